//! Claiming a request for a stage's work.

use jiff::{SignedDuration, Timestamp};

use crate::{Outcome, Record, Stage};

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
    /// The request is past that stage. Where it waits for another one, that stage's message may
    /// have been lost in a crash and is to be sent again.
    Past(Option<Stage>),
    /// The request has not come that far; its own message will follow.
    Early,
}

impl Record {
    /// Decides what a message for `stage` leads to (architecture §2.5, "every stage may run
    /// twice"). The attempt is counted before the work, so that a request which kills its
    /// process cannot loop.
    pub fn claim(
        &self,
        stage: Stage,
        now: Timestamp,
        lease: SignedDuration,
        max_attempts: u32,
    ) -> Claim {
        let mut record = self.clone();
        if record.stage == Stage::Queued && stage == Stage::Pin {
            record.conclude(Outcome::Completed);
        }
        let leased = record.leased_until.filter(|until| *until > now);
        if record.stage > stage {
            let waiting = leased.is_none() && record.stage != Stage::Done;
            return Claim::Past(waiting.then_some(record.stage));
        }
        if record.stage < stage {
            return Claim::Early;
        }
        if let Some(until) = leased {
            return Claim::Leased(until);
        }
        if record.attempts >= max_attempts || record.interruptions >= MAX_INTERRUPTIONS {
            return Claim::Exhausted;
        }
        record.attempts += 1;
        record.leased_until = Some(now.saturating_add(lease).unwrap_or(Timestamp::MAX));
        Claim::Granted(Box::new(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AddRequest, BatchId, Kind, RequestId};

    const LEASE: SignedDuration = SignedDuration::from_secs(60);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn record() -> Record {
        Record::new(
            RequestId(1),
            BatchId(1),
            None,
            Kind::Add(AddRequest::default()),
            at(0),
        )
    }

    fn granted(record: &Record, stage: Stage, now: i64) -> Record {
        match record.claim(stage, at(now), LEASE, 3) {
            Claim::Granted(record) => *record,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_second_copy_waits_for_the_lease_and_then_counts_as_an_attempt() {
        let first = granted(&record(), Stage::Pin, 0);
        assert_eq!(first.stage, Stage::Pin);
        assert_eq!(
            first.claim(Stage::Pin, at(59), LEASE, 3),
            Claim::Leased(at(60))
        );
        let second = granted(&first, Stage::Pin, 60);
        assert_eq!(second.attempts, 2);
    }

    #[test]
    fn attempts_end() {
        let mut record = record();
        for n in 0..3 {
            record = granted(&record, Stage::Pin, n * 100);
        }
        assert_eq!(
            record.claim(Stage::Pin, at(1000), LEASE, 3),
            Claim::Exhausted
        );
    }

    #[test]
    fn a_stop_of_the_service_is_no_attempt() {
        let mut record = granted(&record(), Stage::Pin, 0);
        record.release();
        assert_eq!((record.attempts, record.leased_until), (0, None));
        record.release();
        assert_eq!(record.attempts, 0);
    }

    #[test]
    fn a_request_that_takes_the_service_down_each_time_is_given_up() {
        let mut record = record();
        for n in 0..MAX_INTERRUPTIONS {
            record = granted(&record, Stage::Pin, i64::from(n));
            record.release();
        }
        assert_eq!(
            record.claim(Stage::Pin, at(1000), LEASE, 3),
            Claim::Exhausted
        );
    }

    #[test]
    fn a_late_message_sends_the_present_stage_again_unless_somebody_is_at_it() {
        let mut record = granted(&record(), Stage::Pin, 0);
        record.conclude(Outcome::Completed);
        let waiting = record.claim(Stage::Pin, at(1), LEASE, 3);
        assert_eq!(waiting, Claim::Past(Some(Stage::Mutate)));
        let worked_on = granted(&record, Stage::Mutate, 1);
        assert_eq!(
            worked_on.claim(Stage::Pin, at(2), LEASE, 3),
            Claim::Past(None)
        );
        assert_eq!(worked_on.claim(Stage::Push, at(2), LEASE, 3), Claim::Early);
    }
}
