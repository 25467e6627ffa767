//! Requests that start from the result of another one: `from_index: request:<id>`. Ours.

use crate::refusal::Rule;
use crate::{Facts, Record, Refusal, Request, RequestId, State};

/// The request that the text of an index stands for.
pub(crate) fn request_named(index: &str) -> Option<RequestId> {
    let text = index.strip_prefix("request:")?;
    let id: RequestId = text.parse().ok()?;
    // One number has one text, by which it can be looked for.
    (id.to_string() == text).then_some(id)
}

impl Request {
    /// The request whose result it starts from.
    pub fn starts_after(&self) -> Option<RequestId> {
        request_named(self.start()?)
    }

    /// Refuses to start from the result of this request, which is what was found of the one that it names.
    ///
    /// # Errors
    /// [`Refusal`] if there is none, or nothing comes of it that one could start from.
    pub fn check_start(&self, before: Option<&Record>) -> Result<(), Refusal> {
        let (Some(id), Some(start)) = (self.starts_after(), self.start()) else {
            return Ok(());
        };
        let refused = |why: &str| {
            let text = format!(
                "The index \"{start}\" is the result of the request {id}, and {why}: name a request that makes an index, or an index itself"
            );
            Err(Refusal::new(Rule::Choice, None, text))
        };
        let Some(before) = before else {
            return refused("there is no such request");
        };
        if !before.request.makes_index() {
            let kind = before.request.name();
            return refused(&format!("requests of the type {kind} make none"));
        }
        if before.is_dry_run {
            return refused("it is a dry run, which makes none");
        }
        match before.state() {
            State::Failed if before.is_cancelled => refused("that was cancelled"),
            State::Failed => refused("that has failed"),
            State::Complete if result(&before.facts).is_none() => refused("that has made none"),
            State::Complete | State::InProgress => Ok(()),
        }
    }
}

impl Record {
    /// The index that a request has made and another one may start from: the very image, under the service's own name
    /// where it has one, because its tag may have moved since.
    pub fn made_index(&self) -> Option<&str> {
        result(&self.facts).filter(|_| self.state() == State::Complete)
    }
}

fn result(facts: &Facts) -> Option<&str> {
    let copy = facts.internal_index_image_copy_resolved.as_deref();
    let resolved = copy.or(facts.index_image_resolved.as_deref());
    resolved.or(facts.index_image.as_deref())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{AddRequest, BatchId, RecursiveRelatedBundles, RmRequest, Update};

    fn after(index: &str) -> Request {
        let rm = RmRequest {
            from_index: index.to_owned(),
            ..RmRequest::default()
        };
        rm.into()
    }

    fn record(request: impl Into<Request>) -> Record {
        let now = Timestamp::UNIX_EPOCH;
        Record::new(RequestId(12), BatchId(1), None, request.into(), now)
    }

    #[test]
    fn only_a_number_names_a_request() {
        for (index, id) in [
            ("request:12", Some(12)),
            ("request:", None),
            ("request:v4.6", None),
            ("request:+1", None),
            ("request:012", None),
            ("Request:12", None),
            ("r.example/request:12", None),
            ("request", None),
        ] {
            assert_eq!(after(index).starts_after(), id.map(RequestId), "{index}");
        }
        assert_eq!(after("request:12").started_from("r/i@x"), after("r/i@x"));
    }

    #[test]
    fn what_makes_no_index_is_nothing_to_start_from() {
        let ends = |state, facts| {
            let mut ended = record(AddRequest::default());
            let update = Update::state(state, "over").with(facts);
            ended.apply(&update, Timestamp::UNIX_EPOCH);
            ended
        };
        let made = Facts {
            index_image: Some("r.example/iib:12".to_owned()),
            index_image_resolved: Some("r.example/iib@sha256:1".to_owned()),
            ..Facts::default()
        };
        let goes_on = record(AddRequest::default());
        let request = after("request:12");
        for good in [&goes_on, &ends(State::Complete, made.clone())] {
            assert_eq!(request.check_start(Some(good)), Ok(()));
        }
        for (bad, why) in [
            (None, "there is no such request"),
            (
                Some(record(RecursiveRelatedBundles::default())),
                "requests of the type recursive-related-bundles make none",
            ),
            (Some(goes_on.clone().as_dry_run()), "it is a dry run"),
            (
                Some(ends(State::Failed, Facts::default())),
                "that has failed",
            ),
            (
                Some(ends(State::Complete, Facts::default())),
                "that has made none",
            ),
        ] {
            let refusal = request.check_start(bad.as_ref()).unwrap_err();
            assert!(refusal.to_string().contains(why), "{refusal}");
        }
        assert_eq!(after("r.example/i:1").check_start(None), Ok(()));
        let ended = ends(State::Complete, made);
        assert_eq!(ended.made_index(), Some("r.example/iib@sha256:1"));
    }
}
