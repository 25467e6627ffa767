//! Tests of the command, and of the workspace as a whole.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute, not the functions they share"
)]

mod bundles;
mod cancels;
mod catalog_images;
mod changes;
mod command;
mod directions;
mod disk;
#[cfg(test)]
mod doctor;
mod dry_runs;
mod engine;
mod events;
mod files;
mod following;
mod git;
mod kill;
mod looking;
mod messaging;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod network;
mod older;
mod process;
#[cfg(test)]
mod signed;
mod submitting;
mod surroundings;
mod traces;
