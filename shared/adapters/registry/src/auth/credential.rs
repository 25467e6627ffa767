//! Secrets and the forms they come in.

use base64::Engine as _;
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

/// User name and password as a header of HTTP has them (RFC 7617).
pub(super) fn pair(user: &str, password: &Secret) -> Secret {
    let pair = Secret::new(format!("{user}:{}", password.expose()));
    Secret::new(base64::engine::general_purpose::STANDARD.encode(pair.expose()))
}

/// The password in such a pair.
pub(super) fn password(pair: &str) -> Option<Secret> {
    let pair = base64::engine::general_purpose::STANDARD
        .decode(pair)
        .ok()?;
    let pair = Secret::new(String::from_utf8(pair).ok()?);
    let (_, password) = pair.expose().split_once(':')?;
    Some(Secret::new(password))
}

impl Credential {
    /// Its secret, in the forms in which it is sent.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::Anonymous => Vec::new(),
            Self::Basic { user, password } => vec![pair(user, password), password.clone()],
            Self::Identity(token) | Self::Bearer(token) => vec![token.clone()],
        }
    }

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
