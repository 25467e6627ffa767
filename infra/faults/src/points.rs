//! Where a process can die, and which of these places a run takes.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use iib_testkit::crash::{Death, LastCall};

/// A call during which a process dies. Known by its kind, because some calls are made at the same
/// time, and who is first differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    /// The kind of the call, `port.method`.
    pub(crate) call: &'static str,
    /// So many calls of its kind come before.
    pub(crate) before: usize,
    pub(crate) last: LastCall,
}

impl Point {
    pub(crate) fn death(self) -> Death {
        Death::At(self.call, self.before)
    }
}

/// Which kill points are played of those that requests of every kind have: so many of them, by a seed.
/// What a kind of request has of its own is always played.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) size: usize,
    pub(crate) seed: u64,
}

/// All places among these calls.
pub(crate) fn all(calls: &[&'static str]) -> Vec<Point> {
    let mut counts = BTreeMap::new();
    for call in calls {
        *counts.entry(*call).or_insert(0) += 1;
    }
    let mut points = Vec::new();
    for last in [LastCall::Lost, LastCall::Unanswered] {
        for (call, count) in &counts {
            points.extend((0..*count).map(|before| Point { call, before, last }));
        }
    }
    points
}

/// Some of these places, in their order: those that are not shared, and of the others a sample, in
/// which every kind of call is once if there is room.
pub(crate) fn chosen(points: &[Point], shared: &[Point], sample: Sample) -> Vec<Point> {
    let mut rng = Rng::with_seed(sample.seed);
    let mut common: Vec<_> = points
        .iter()
        .filter(|point| shared.contains(point))
        .collect();
    rng.shuffle(&mut common);
    // First one of each kind, then what is left.
    let mut seen = BTreeSet::new();
    let (mut common, rest): (Vec<_>, Vec<_>) = common
        .into_iter()
        .partition(|point| seen.insert(point.call));
    common.extend(rest);
    common.truncate(sample.size);
    let taken = |point: &&Point| !shared.contains(point) || common.contains(point);
    points.iter().filter(taken).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLS: [&str; 6] = ["a", "b", "a", "c", "a", "b"];

    fn sample(size: usize, seed: u64) -> Vec<Point> {
        let points = all(&CALLS);
        chosen(&points, &points, Sample { size, seed })
    }

    #[test]
    fn a_process_can_die_before_and_after_each_call() {
        let points = all(&CALLS);
        assert_eq!(points.len(), 2 * CALLS.len());
        for last in [LastCall::Lost, LastCall::Unanswered] {
            for (call, before) in [("a", 2), ("b", 1), ("c", 0)] {
                assert!(points.contains(&Point { call, before, last }));
            }
        }
    }

    #[test]
    fn a_sample_is_known_by_its_seed() {
        assert_eq!(sample(5, 1), sample(5, 1));
        assert!((0..20).any(|seed| sample(5, seed) != sample(5, 1)));
        assert_eq!(sample(100, 1), all(&CALLS));
    }

    #[test]
    fn a_sample_has_every_kind_of_call() {
        for seed in 0..20 {
            let sample = sample(3, seed);
            let calls: Vec<_> = sample.iter().map(|point| point.call).collect();
            assert_eq!(sample.len(), 3);
            assert!(["a", "b", "c"].iter().all(|call| calls.contains(call)));
        }
    }

    #[test]
    fn what_is_not_shared_is_always_played() {
        let (points, shared) = (all(&CALLS), all(&["a", "b", "c"]));
        for seed in 0..20 {
            let chosen = chosen(&points, &shared, Sample { size: 1, seed });
            let own = |point: &&Point| !shared.contains(point);
            assert_eq!(chosen.iter().filter(own).count(), 6);
            assert_eq!(chosen.len(), 7);
        }
    }
}
