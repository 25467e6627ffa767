//! Why a process could not start.

use std::error::Error;
use std::fmt;

/// A failure before the first event, as `main` returns it. What Rust prints then is the `Debug`
/// form, so that is written for people: the failure and its causes.
pub struct StartFailure(Box<dyn Error + Send + Sync>);

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for StartFailure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the function cannot start: {}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, "\n  because: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConfigError;

    #[test]
    fn a_person_can_read_why_a_function_does_not_start() {
        let failure =
            StartFailure::from(ConfigError::from(vec!["IIB_X: is not a number".to_owned()]));
        let text = format!("{failure:?}");
        assert_eq!(
            text,
            "the function cannot start: these settings cannot be used:\n  IIB_X: is not a number"
        );
    }
}
