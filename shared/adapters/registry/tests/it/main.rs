//! The client against registries that behave, and against ones that do not.
#![expect(
    clippy::unwrap_used,
    reason = "in helpers of tests, which clippy does not take for tests"
)]

mod contract;
mod credentials;
mod docker_registry;
mod hosts;
mod limits;
mod manifests;
mod memory;
mod mounts;
mod pulls;
mod pushes;
mod redirects;
mod retries;
mod setup;
