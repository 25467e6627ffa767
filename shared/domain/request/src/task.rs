//! The message between stages.

use serde::{Deserialize, Serialize};

use crate::{RequestId, Stage, TraceParent};

/// A nudge to work on a request. The record is the truth; a message may be lost, doubled or late
/// and nothing but time is lost (architecture §2.5). Members that a newer version has put into it
/// are passed over: it is not stored again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The request to work on.
    pub request_id: RequestId,
    /// The stage the sender thought it is in.
    pub stage: Stage,
    /// Whose turn it takes: the queue of its request, else the user. Without one it takes those of
    /// requests that nobody is known to have asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The trace of its request, if that has one.
    #[serde(
        default,
        deserialize_with = "TraceParent::if_it_is_one",
        skip_serializing_if = "Option::is_none"
    )]
    pub traceparent: Option<TraceParent>,
}

impl Task {
    /// A nudge without anything else; see [`crate::Record::task`].
    pub fn new(request_id: RequestId, stage: Stage) -> Self {
        Self {
            request_id,
            stage,
            group: None,
            traceparent: None,
        }
    }
}
