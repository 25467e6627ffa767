#![doc = include_str!("../README.md")]

mod add;
mod claim;
mod facts;
mod ids;
mod listing;
mod plan;
mod record;
mod refusal;
mod scope;
mod settings;
mod stage;
mod state;
mod task;
mod unknown;
mod update;
mod upload;
mod view;
mod work;

pub use add::{AddRequest, OVERWRITE_TOKEN};
pub use claim::Claim;
pub use facts::Facts;
pub use ids::{BatchId, RequestId};
pub use listing::{Listing, Meta};
pub use plan::{Built, BuiltLayer, IndexForm, IndexPlan, IndexToRead, PinnedBundle, Plan};
pub use record::{Record, RecordError, Request};
pub use refusal::Refusal;
pub use scope::{Scope, ScopeError};
pub use settings::{ApiSettings, BinaryImages, WorkSettings};
pub use stage::{Outcome, Stage, Transition};
pub use state::{State, StateEntry};
pub use task::Task;
pub use unknown::Unknown;
pub use update::{NewState, Update};
pub use upload::{NoUploadKind, SecretRef, UploadKind};
pub use view::{Form, Stub, View, log_expiration};
pub use work::{Lease, LeaseToken, Work};
