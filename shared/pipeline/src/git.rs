//! The Git repository of an index that is overwritten (worker flows §14).
//!
//! What the request changed is committed and pushed before the index's tag moves, and taken back if the tag does not
//! move after all ([ADR 23](../../../docs/adr/0023-catalogs-in-git.md)). A commit is noted in the record before it is pushed, and so is
//! the one that takes it back: whoever comes after a crash looks whether the branch has it.

mod commit;
mod revert;

pub(crate) use commit::commit;
pub(crate) use revert::{settle, settle_job};

/// How often a commit is made anew because the branch has moved, or an answer was lost.
const ROUNDS: u32 = 5;
