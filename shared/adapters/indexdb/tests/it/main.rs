//! Index databases through the port.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod adding;
mod drawing;
mod examples;
mod exporting;
mod hostile;
mod made;
mod migration;
mod opening;
mod removing;
