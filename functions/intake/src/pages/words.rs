//! What pages say of requests in a few words.

use std::fmt;

use iib_request::{Record, State};
use jiff::Timestamp;

/// Bytes of a name where there is little room.
const SHORT: usize = 100;
/// Digits of a digest there.
const DIGITS: usize = 12;

/// How a request stands.
pub(crate) struct Standing {
    pub(crate) class: &'static str,
    pub(crate) words: &'static str,
}

/// A time as people read it.
#[derive(Clone, Copy)]
pub(crate) struct Time(pub(crate) Timestamp);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.strftime("%Y-%m-%d %H:%M:%S UTC").fmt(f)
    }
}

impl Standing {
    pub(crate) fn of(record: &Record) -> Self {
        let state = record.state();
        Self {
            class: state.as_str(),
            words: match record.is_cancelled {
                true => "cancelled",
                false => in_words(state),
            },
        }
    }

    pub(crate) fn unreadable() -> Self {
        Self {
            class: "unknown",
            words: "cannot be read by this version",
        }
    }
}

pub(crate) fn in_words(state: State) -> &'static str {
    match state {
        State::InProgress => "in progress",
        State::Complete => "complete",
        State::Failed => "failed",
    }
}

/// The beginning of a name; of a digest, enough to tell it from others.
pub(crate) fn short(name: &str) -> String {
    let cut = match name.split_once("@sha256:") {
        Some((repository, hex)) => {
            let hex: String = hex.chars().take(DIGITS).collect();
            format!("{repository}@sha256:{hex}")
        }
        None => name.to_owned(),
    };
    cut_to(&cut, SHORT)
}

/// The beginning of a text: so many bytes of it as it is in a page, so that no text makes that large.
pub(crate) fn cut_to(text: &str, limit: usize) -> String {
    let mut size = 0;
    let fits = |character: &char| {
        size += match character {
            '<' | '>' | '&' | '"' | '\'' => "&#00;".len(),
            other => other.len_utf8(),
        };
        size <= limit
    };
    let beginning: String = text.chars().take_while(fits).collect();
    match beginning.len() < text.len() {
        true => format!("{beginning}…"),
        false => beginning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_as_short_in_the_page_as_it_has_to_be() {
        assert_eq!(short("r.example/a:v1"), "r.example/a:v1");
        let digest = "0123456789abcdef".repeat(4);
        let pinned = format!("r.example/a@sha256:{digest}");
        assert_eq!(short(&pinned), "r.example/a@sha256:0123456789ab");
        for long in ["x".repeat(5000), "<".repeat(5000), "é".repeat(5000)] {
            let text = short(&long);
            assert!(text.ends_with('…') && text.len() < SHORT + 5, "{text}");
            assert!(text.replace('<', "&#60;").len() < SHORT + 5, "{text}");
        }
    }
}
