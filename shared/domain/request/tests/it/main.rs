//! Tests of what is stored and sent.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests by their attribute, not the functions they share"
)]

mod stored;
