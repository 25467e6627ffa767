//! Claiming a request for a stage's work.

use jiff::Timestamp;

use crate::{Lease, LeaseToken, Outcome, Record, Stage, Unknown};

/// Stops of the service in the middle of one stage after which the request is given up. A stop is
/// not the request's fault, but one that takes the whole process down each time would otherwise
/// be begun again at every restart, for ever.
const MAX_INTERRUPTIONS: u32 = 20;

/// What a message that asks for a stage's work leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The record with the attempt counted and a lease; to be saved before the work begins.
    Granted(Box<Record>),
    /// Somebody is at it until then; the message goes back to the queue.
    Leased(Timestamp),
    /// Too many attempts; the request is to be ended.
    Exhausted,
    /// The request is at another stage. Where it waits there for somebody, that stage's message may
    /// have been lost in a crash and is to be sent again, whether the request is past the message's
    /// stage or has not come that far.
    Elsewhere(Option<Stage>),
    /// The request has ended.
    Ended,
}

impl Record {
    /// Decides what a message for `stage` leads to (architecture §2.5, "every stage may run
    /// twice"). The attempt is counted before the work, so that a request which kills its
    /// process cannot loop. A lease that is granted runs until `until` and has the owner `token`.
    pub fn claim(
        &self,
        stage: Stage,
        token: &LeaseToken,
        now: Timestamp,
        until: Timestamp,
        max_attempts: u32,
    ) -> Claim {
        let mut record = self.clone();
        if record.work.stage == Stage::Queued && stage == Stage::Pin {
            record.conclude(Outcome::Completed);
        }
        let work = &mut record.work;
        let leased = work.leased_until(now);
        if work.stage == Stage::Done {
            return Claim::Ended;
        }
        if work.stage != stage {
            let waits_for = match work.stage {
                // Its first message is that of pin.
                Stage::Queued => Stage::Pin,
                other => other,
            };
            return Claim::Elsewhere(leased.is_none().then_some(waits_for));
        }
        if let Some(until) = leased {
            return Claim::Leased(until);
        }
        if work.attempts >= max_attempts || work.interruptions >= MAX_INTERRUPTIONS {
            return Claim::Exhausted;
        }
        if work.attempts + work.interruptions > 0 {
            work.repeats += 1;
        }
        work.attempts += 1;
        work.nudged = None;
        work.lease = Some(Lease {
            token: token.clone(),
            until,
            unknown: Unknown::default(),
        });
        Claim::Granted(Box::new(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AddRequest, BatchId, Request, RequestId, Transition, Update};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn record() -> Record {
        Record::new(
            RequestId(1),
            BatchId(1),
            None,
            Request::Add(AddRequest::default()),
            at(0),
        )
    }

    fn claim(record: &Record, stage: Stage, now: i64) -> Claim {
        let token = LeaseToken::new(now.to_string());
        record.claim(stage, &token, at(now), at(now + 60), 3)
    }

    fn granted(record: &Record, stage: Stage, now: i64) -> Record {
        match claim(record, stage, now) {
            Claim::Granted(record) => *record,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_second_copy_waits_for_the_lease_and_then_counts_as_an_attempt() {
        let first = granted(&record(), Stage::Pin, 0);
        assert_eq!(first.work.stage, Stage::Pin);
        assert_eq!(claim(&first, Stage::Pin, 59), Claim::Leased(at(60)));
        let second = granted(&first, Stage::Pin, 60);
        assert_eq!((second.work.attempts, second.work.repeats), (2, 1));
        // The lease has another owner now.
        let tokens = [0, 60].map(|second| LeaseToken::new(second.to_string()));
        let holds = tokens.each_ref().map(|token| second.is_worked_on_by(token));
        assert_eq!(holds, [false, true]);
    }

    #[test]
    fn attempts_end() {
        let mut record = record();
        for n in 0..3 {
            record = granted(&record, Stage::Pin, n * 100);
        }
        assert_eq!(claim(&record, Stage::Pin, 1000), Claim::Exhausted);
    }

    #[test]
    fn a_stop_of_the_service_is_no_attempt() {
        let mut record = granted(&record(), Stage::Pin, 0);
        record.release();
        assert_eq!((record.work.attempts, &record.work.lease), (0, &None));
        record.release();
        assert_eq!(record.work.attempts, 0);
        // But it may have left something behind.
        let again = granted(&record, Stage::Pin, 1);
        assert_eq!((again.work.attempts, again.work.repeats), (1, 1));
    }

    #[test]
    fn a_request_that_takes_the_service_down_each_time_is_given_up() {
        let mut record = record();
        for n in 0..MAX_INTERRUPTIONS {
            record = granted(&record, Stage::Pin, i64::from(n));
            record.release();
        }
        assert_eq!(claim(&record, Stage::Pin, 1000), Claim::Exhausted);
    }

    #[test]
    fn a_message_for_another_stage_sends_that_of_the_present_one_unless_somebody_is_at_it() {
        assert_eq!(
            claim(&record(), Stage::Push, 0),
            Claim::Elsewhere(Some(Stage::Pin))
        );
        let mut record = granted(&record(), Stage::Pin, 0);
        record.conclude(Outcome::Completed);
        for late_or_early in [Stage::Pin, Stage::Push] {
            let waiting = claim(&record, late_or_early, 1);
            assert_eq!(waiting, Claim::Elsewhere(Some(Stage::Mutate)));
            let worked_on = granted(&record, Stage::Mutate, 1);
            assert_eq!(claim(&worked_on, late_or_early, 2), Claim::Elsewhere(None));
        }
        record.conclude(Outcome::Rejected);
        assert_eq!(claim(&record, Stage::Mutate, 3), Claim::Ended);
    }

    #[test]
    fn a_rebase_whose_message_was_lost_goes_on_with_the_one_that_is_still_there() {
        let mut record = granted(&record(), Stage::Pin, 0);
        record.apply(&Update::doing("Resolving"), at(1));
        record.conclude(Outcome::Completed);
        record.conclude(Outcome::Completed);
        record.plan = Some(crate::plan::tests::index());
        record = granted(&record, Stage::Push, 2);
        // The process dies right after this is saved. The message of push is early now.
        assert_eq!(record.conclude(Outcome::Rebase), Transition::To(Stage::Pin));
        assert_eq!((record.work.rebases, &record.plan), (1, &None));
        let early = claim(&record, Stage::Push, 3);
        assert_eq!(early, Claim::Elsewhere(Some(Stage::Pin)));
        let mut again = granted(&record, Stage::Pin, 4);
        assert_eq!(again.work.attempts, 1);
        // Its states are told once more, but not twice.
        again.apply(&Update::doing("Resolving"), at(5));
        again.apply(&Update::doing("Resolving"), at(6));
        let reasons = again.history.iter().map(|entry| &*entry.state_reason);
        let wanted = ["The request was initiated", "Resolving", "Resolving"];
        assert_eq!(reasons.collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn a_request_that_ended_is_nobodys() {
        let mut record = granted(&record(), Stage::Pin, 0);
        let token = LeaseToken::new("0");
        assert!(record.is_worked_on_by(&token));
        record.fail("no", at(1));
        assert!(!record.is_worked_on_by(&token));
    }
}
