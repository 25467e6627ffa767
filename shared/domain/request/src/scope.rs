//! Distribution scopes.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far an index may travel. A request may only lower it: prod, stage, dev.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// For developers.
    Dev,
    /// For tests before release.
    Stage,
    /// For everybody; what an index without the label has.
    Prod,
}

/// The requested scope is wider than that of the index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Text as in worker flows §4.2.
    #[error(
        "Cannot set \"distribution_scope\" to {wanted} because from index is already set to {present}"
    )]
    Raised {
        /// What the request asks for.
        wanted: Scope,
        /// What the index has.
        present: Scope,
    },
    /// The index carries a scope this service does not know.
    #[error(
        "the label `com.redhat.index.delivery.distribution_scope` of the index is `{0}`; it must be one of dev, stage, prod"
    )]
    Unknown(String),
}

impl Scope {
    /// Reads a scope in any case; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "dev" => Some(Self::Dev),
            "stage" => Some(Self::Stage),
            "prod" => Some(Self::Prod),
            _ => None,
        }
    }

    /// The name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Stage => "stage",
            Self::Prod => "prod",
        }
    }

    /// The scope of the new index (worker flows §4.2): the requested one, which may not be
    /// wider than that of the index it starts from.
    ///
    /// # Errors
    /// [`ScopeError`], a reason to reject the request.
    pub fn settle(label: Option<&str>, wanted: Option<Self>) -> Result<Self, ScopeError> {
        let present = match label {
            None => Self::Prod,
            Some(text) => Self::parse(text).ok_or_else(|| ScopeError::Unknown(text.to_owned()))?,
        };
        match wanted {
            Some(wanted) if wanted > present => Err(ScopeError::Raised { wanted, present }),
            Some(wanted) => Ok(wanted),
            None => Ok(present),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_may_only_be_lowered() {
        assert_eq!(Scope::settle(None, None), Ok(Scope::Prod));
        assert_eq!(Scope::settle(Some("stage"), None), Ok(Scope::Stage));
        assert_eq!(
            Scope::settle(Some("prod"), Some(Scope::Dev)),
            Ok(Scope::Dev)
        );
        let refused = Scope::settle(Some("stage"), Some(Scope::Prod)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "Cannot set \"distribution_scope\" to prod because from index is already set to stage"
        );
        assert!(matches!(
            Scope::settle(Some("all"), None),
            Err(ScopeError::Unknown(_))
        ));
    }
}
