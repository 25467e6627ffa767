//! Who we are to registries.

use std::sync::Arc;

use crate::{Login, Registry};

/// Whose logins are shown to registries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Keyring {
    /// Those the service has of its own.
    #[default]
    Own,
    /// Those that were given for one request, and where they have none for a repository, the
    /// service's own: what the reference makes of `registry_auths` and of its temporary tokens.
    Given(Vec<GivenLogin>),
}

/// A login that was given for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenLogin {
    /// What it is for: `registry`, or `registry/path` for a repository and all below. The longest
    /// that fits counts, as in auth files (containers-auth.json(5)).
    pub scope: String,
    /// User and password.
    pub login: Login,
}

/// Registry clients, one for each identity.
pub trait Registries: Send + Sync {
    /// A client that shows what is on this keyring. Connections, what registries ask for, and the
    /// rules for hosts are shared by all. What a registry grants is kept for this keyring alone, and
    /// forgotten with the client.
    fn with(&self, keyring: Keyring) -> Arc<dyn Registry>;

    /// What all of them have transferred since this was last asked.
    fn take_transferred(&self) -> Transferred;
}

/// Bytes of blobs that went between here and registries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transferred {
    /// Read from them.
    pub read: u64,
    /// Written to them.
    pub written: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    #[test]
    fn a_keyring_shows_no_password() {
        let keyring = Keyring::Given(vec![GivenLogin {
            scope: "r.example/team".to_owned(),
            login: Login {
                user: "ann".to_owned(),
                password: Secret::new("hunter2"),
            },
        }]);
        let shown = format!("{keyring:?}");
        assert!(shown.contains("r.example/team") && shown.contains("ann"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
