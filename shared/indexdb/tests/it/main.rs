//! Index databases through the port.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod adding;
mod made;
mod migration;
mod opening;
