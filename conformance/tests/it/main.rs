//! What has to hold for real operators.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test says what it leaves out, and fails by panicking"
)]

mod corpus;
mod fuzz_corpus;
mod properties;
