//! Secrets and the forms they come in.

pub(crate) use iib_ports::Secret;

/// What an auth file holds for a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// Nothing.
    Anonymous,
    /// User name and password.
    Basic { user: String, password: Secret },
    /// `identitytoken`: a refresh token for the registry's token server.
    Identity(Secret),
    /// `registrytoken`: a token to show to the registry as it is.
    Bearer(Secret),
}

impl Credential {
    /// What it is, without what is secret about it.
    pub(crate) fn form(&self) -> String {
        match self {
            Self::Anonymous => "nothing".to_owned(),
            Self::Basic { user, .. } => format!("user `{user}` with a password"),
            Self::Identity(_) => "an identity token".to_owned(),
            Self::Bearer(_) => "a registry token".to_owned(),
        }
    }
}
