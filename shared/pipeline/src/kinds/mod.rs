//! What is done for each kind of request; [`crate::flow`] says how.

mod add;
mod create_empty_index;
mod rm;
