//! What every adapter of a port has to fulfil.
//!
//! Each suite is an async function that takes a factory of empty stores and panics at the first
//! rule that is broken. A suite knows the port only, nothing of what is behind it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a broken rule is to fail the test that runs the suite"
)]

mod artifacts;
mod catalog_repositories;
mod lines;
mod listing;
mod logs;
mod outbox;
mod queue;
mod registries;
mod registry;
mod requests;
mod secrets;
mod tags;
mod watch;

pub use artifacts::artifacts;
pub use catalog_repositories::{Elsewhere, catalog_repositories};
pub use lines::lines;
pub use listing::listing;
pub use logs::logs;
pub use outbox::outbox;
pub use queue::{Inbox, queue};
pub use registries::{Tenant, registries};
pub use registry::{lenient_registry, registry};
pub use requests::requests;
pub use secrets::secrets;
pub use tags::tags;
pub use watch::watch;
