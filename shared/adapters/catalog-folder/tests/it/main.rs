//! Catalogs as folders: reading, writing, checking, and the serve cache.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cache;
mod checking;
mod examples;
mod folders;
mod newest;
mod samples;
