//! What was tried and what it came to.

use std::collections::BTreeSet;

/// Counts over a platform, or the whole suite.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Calls at which a process was killed, before and after counted apart.
    pub(crate) kill_points: usize,
    /// Other faults.
    pub(crate) faults: usize,
    /// Requests that were taken in and are not there, or did not come to what they should.
    pub(crate) lost: usize,
    /// Requests, states or tags that are there twice, or changed after the end.
    pub(crate) duplicated: usize,
    /// Requests that did not end.
    pub(crate) stuck: usize,
    /// Scenarios that did not go as they should in another way.
    pub(crate) failed: usize,
    /// The kinds of calls at which a process was killed.
    pub(crate) calls: BTreeSet<&'static str>,
    /// What was wrong, for people.
    pub(crate) complaints: Vec<String>,
}

impl Tally {
    pub(crate) fn lost(&mut self, what: &str) {
        self.lost += 1;
        self.complaints.push(format!("lost: {what}"));
    }

    pub(crate) fn duplicated(&mut self, what: &str) {
        self.duplicated += 1;
        self.complaints.push(format!("duplicated: {what}"));
    }

    pub(crate) fn stuck(&mut self, what: &str) {
        self.stuck += 1;
        self.complaints.push(format!("stuck: {what}"));
    }

    /// Takes in how a scenario ended: the number of faults it tried.
    pub(crate) fn scenario(&mut self, name: &str, ended: anyhow::Result<usize>) {
        match ended {
            Ok(faults) => self.faults += faults,
            Err(error) => {
                self.failed += 1;
                self.complaints.push(format!("failed: {name}: {error:#}"));
            }
        }
    }

    /// Takes in the counts of another platform.
    pub(crate) fn add(&mut self, other: Self) {
        self.kill_points += other.kill_points;
        self.faults += other.faults;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.stuck += other.stuck;
        self.failed += other.failed;
        self.calls.extend(other.calls);
        self.complaints.extend(other.complaints);
    }

    /// Whether nothing was wrong.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost + self.duplicated + self.stuck + self.failed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_was_wrong_shows() {
        assert!(Tally::default().is_clean());
        let wrong: [fn(&mut Tally); 4] = [
            |tally| tally.lost("a"),
            |tally| tally.duplicated("a"),
            |tally| tally.stuck("a"),
            |tally| tally.scenario("a", Err(anyhow::anyhow!("b"))),
        ];
        for spoil in wrong {
            let (mut tally, mut whole) = (Tally::default(), Tally::default());
            spoil(&mut tally);
            assert!(!tally.is_clean());
            whole.add(tally);
            assert!(!whole.is_clean());
            assert_eq!(whole.complaints.len(), 1);
        }
    }
}
