//! When an index is said to have been created.

use jiff::{SignedDuration, Timestamp};

/// The date of an index that was made from another one: a second after that, or two where it takes
/// its place; an index that names no date counts as made at the epoch (ADR 15).
///
/// Clients reuse a build unless it is *older* than the index is now, so dates have to grow along a
/// chain; with two seconds an index that was overwritten is newer than every build made beside it.
/// They are a function of the input all the same: equal input gives an equal image.
pub fn created_after(index: Option<Timestamp>, overwrites: bool) -> Timestamp {
    let index = index.unwrap_or(Timestamp::UNIX_EPOCH);
    let step = SignedDuration::from_secs(if overwrites { 2 } else { 1 });
    index.saturating_add(step).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a release pipeline does with the builds it finds (spec clients, "created").
    fn is_stale(build: Timestamp, index_now: Timestamp) -> bool {
        build < index_now
    }

    #[test]
    fn a_build_beside_an_overwrite_is_stale_and_one_on_top_of_it_is_not() {
        let mut index = created_after(None, true);
        for _ in 0..3 {
            let beside = created_after(Some(index), false);
            assert!(!is_stale(beside, index));
            index = created_after(Some(index), true);
            assert!(is_stale(beside, index));
            let on_top = created_after(Some(index), false);
            assert!(!is_stale(on_top, index));
        }
    }
}
