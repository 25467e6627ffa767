//! `rollback`: put back what an index named before a request overwrote it. Ours: the reference
//! resubmits an older index by hand.

use std::borrow::Cow;

use iib_oci::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Kind;
use crate::payload::{OVERWRITE_TOKEN, Parameters, Payload, ROLLBACK, check_names, set_text};
use crate::record::format;
use crate::refusal::Rule;
use crate::view::{From, Shown};
use crate::{Overwritten, Record, Refusal, RequestId, Unknown};

/// What `POST /builds/<id>/rollback` asks for: what the request with this number did to an index is
/// undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// The request that overwrote it.
    pub rolled_back: RequestId,
    /// The index, with its tag.
    pub from_index: String,
    /// What the tag has to name still: the result of that request.
    pub result: Digest,
    /// What it is to name again.
    pub replaced: Digest,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl Rollback {
    /// What such a request does, as users read it.
    pub const ABOUT: &'static str = "Puts back what an index named before a request overwrote it";
    /// What a call has in its body.
    pub const PARAMETERS: Parameters = ROLLBACK;

    /// Reads what was sent to undo this request, on behalf of this user.
    ///
    /// # Errors
    /// [`Refusal`]: a parameter that is not taken; no login, where the user is known, as for the
    /// overwriting itself; a request that goes on, or that overwrote nothing.
    pub fn read(record: &Record, payload: &Payload, user: Option<&str>) -> Result<Self, Refusal> {
        check_names(payload, Self::PARAMETERS)?;
        let token = set_text(payload, OVERWRITE_TOKEN)?;
        if user.is_some() && token.is_none() {
            let text = format!(
                "You must set \"{OVERWRITE_TOKEN}\": the index is overwritten with your own login"
            );
            return Err(Refusal::new(Rule::TokenNeeded, OVERWRITE_TOKEN, text));
        }
        let id = record.id;
        let nothing = |text: String| Refusal::new(Rule::NothingOverwritten, None, text);
        if !record.state().is_final() {
            return Err(nothing(format!(
                "The request {id} goes on: wait until it has ended, then roll it back"
            )));
        }
        let Some(Overwritten {
            index,
            replaced,
            result,
            ..
        }) = record.overwritten.clone()
        else {
            return Err(nothing(format!(
                "The request {id} overwrote no index, so there is nothing to put back"
            )));
        };
        Ok(Self {
            rolled_back: id,
            from_index: index,
            result,
            replaced,
            unknown: Unknown::default(),
        })
    }
}

impl Kind for Rollback {
    const NAME: &'static str = "rollback";
    const ABOUT: &'static str = Self::ABOUT;
    const FORMAT: u32 = format::WITH_ROLLBACKS;
    const FOUND_BY_RESULT: bool = true;

    type View<'a> = RollbackView<'a>;

    /// A version that does not know it must leave it alone.
    fn format(&self) -> u32 {
        Self::FORMAT
    }

    fn closing(&self) -> Cow<'static, str> {
        format!(
            "The index image was put back to what it named before the request {} overwrote it",
            self.rolled_back
        )
        .into()
    }

    fn images(&self) -> Vec<(&'static str, &str)> {
        vec![("from_index", &self.from_index)]
    }

    fn listed_index(&self) -> Option<&str> {
        Some(&self.from_index)
    }

    fn queued_by(&self) -> Option<&str> {
        Some(&self.from_index)
    }

    fn overwritten(&self) -> Option<&str> {
        Some(&self.from_index)
    }

    fn view<'a>(&'a self, shown: &Shown<'a>) -> RollbackView<'a> {
        let facts = shown.facts();
        RollbackView {
            rolled_back: self.rolled_back,
            from: From::new(Some(&self.from_index), facts),
            index_image: facts.index_image.as_deref(),
        }
    }
}

/// What such a request shows: the index before, and what it is again.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RollbackView<'a> {
    /// The request whose overwriting is undone.
    rolled_back: RequestId,
    #[serde(flatten)]
    from: From<'a>,
    /// What the index names again.
    index_image: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use iib_oci::Digest;
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::{AddRequest, BatchId, Outcome, Stage};

    fn record() -> Record {
        let request = AddRequest::default();
        let now = Timestamp::UNIX_EPOCH;
        let mut record = Record::new(RequestId(7), BatchId(7), None, request.into(), now);
        record.overwritten = Some(Overwritten {
            index: "r.example/team/index:v4.16".to_owned(),
            replaced: Digest::of(b"before"),
            result: Digest::of(b"after"),
            unknown: Unknown::default(),
        });
        record
    }

    fn ended() -> Record {
        let mut record = record();
        record.work.stage = Stage::Push;
        record.fail("The answer was lost", Timestamp::UNIX_EPOCH);
        record.conclude(Outcome::Rejected);
        record
    }

    fn payload(value: &serde_json::Value) -> Payload {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn what_was_noted_is_put_back() {
        let read = Rollback::read(&ended(), &Payload::new(), None).unwrap();
        assert_eq!(read.rolled_back, RequestId(7));
        assert_eq!(read.replaced, Digest::of(b"before"));
        assert_eq!(read.result, Digest::of(b"after"));
        let with_token = payload(&json!({OVERWRITE_TOKEN: "u:p"}));
        assert_eq!(Rollback::read(&ended(), &with_token, Some("ann")), Ok(read));
    }

    #[test]
    fn what_cannot_be_put_back_is_refused() {
        let refused = |record: &Record, body: &serde_json::Value, user| {
            let refused = Rollback::read(record, &payload(body), user).unwrap_err();
            (refused.rule(), refused.to_string())
        };
        let (rule, _) = refused(&ended(), &json!({}), Some("ann"));
        assert_eq!(rule, Rule::TokenNeeded);
        let (rule, _) = refused(&ended(), &json!({OVERWRITE_TOKEN: 1}), None);
        assert_eq!(rule, Rule::Type);
        let (rule, text) = refused(&ended(), &json!({"force": true}), None);
        assert_eq!(rule, Rule::UnknownParameter, "{text}");
        let (rule, text) = refused(&record(), &json!({}), None);
        assert_eq!(rule, Rule::NothingOverwritten);
        assert!(text.contains("The request 7 goes on"), "{text}");
        let mut nothing = ended();
        nothing.overwritten = None;
        let (rule, text) = refused(&nothing, &json!({}), None);
        assert_eq!(rule, Rule::NothingOverwritten);
        assert!(text.contains("overwrote no index"), "{text}");
    }
}
