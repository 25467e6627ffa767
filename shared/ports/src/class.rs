//! What to do about an error, and how it is told.

use std::error::Error;

/// The class of an error decides what its stage does (architecture §2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It may pass: the message goes back to the queue.
    Retry,
    /// It will not pass: the request fails with a reason the user can act on.
    Reject,
    /// Our fault or our machine's: like `Retry`, and somebody should look.
    Bug,
}

impl Class {
    /// Its name in figures, traces and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Reject => "reject",
            Self::Bug => "bug",
        }
    }
}

/// An error that knows its class.
pub trait Classify {
    /// The class; decided by an exhaustive match in every implementation.
    fn class(&self) -> Class;
}

/// What never fails has no class.
impl Classify for std::convert::Infallible {
    fn class(&self) -> Class {
        match *self {}
    }
}

/// What the causes of an error say, from the nearest on. `Display` of an error of ours never repeats
/// its source; those of other libraries do, so what was already said is left out.
pub fn causes(error: &dyn Error) -> Vec<String> {
    let mut said = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !said.iter().any(|before| before.contains(&text)) {
            said.push(text);
        }
        cause = inner.source();
    }
    said.split_off(1)
}

/// An error and its causes on one line, for logs.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in causes(error) {
        text.push_str(": ");
        text.push_str(&cause);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{causes, chain};

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Told {
        text: &'static str,
        source: Option<Box<Told>>,
    }

    fn told(texts: &[&'static str]) -> Told {
        let (text, rest) = texts.split_first().unwrap();
        let source = (!rest.is_empty()).then(|| Box::new(told(rest)));
        Told { text, source }
    }

    #[test]
    fn what_was_said_is_not_said_again() {
        for (texts, wanted) in [
            (&["a: b", "b", "c"][..], "a: b: c"),
            (&["a", "b", "b"], "a: b"),
            (&["a", "b: c", "d"], "a: b: c: d"),
            (&["a"], "a"),
        ] {
            assert_eq!(chain(&told(texts)), wanted);
        }
        assert_eq!(causes(&told(&["a: b", "b", "c"])), ["c"]);
    }
}
