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
