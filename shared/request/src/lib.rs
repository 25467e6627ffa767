#![doc = include_str!("../README.md")]

mod add;
mod claim;
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
mod update;
mod upload;
mod view;

pub use add::{AddRequest, OVERWRITE_TOKEN};
pub use claim::Claim;
pub use ids::{BatchId, RequestId};
pub use listing::{Listing, Meta};
pub use plan::{Built, IndexToRead, PinnedBundle, Plan};
pub use record::{Kind, Outputs, Record};
pub use refusal::Refusal;
pub use scope::{Scope, ScopeError};
pub use settings::{ApiSettings, BinaryImages, WorkSettings};
pub use stage::{Outcome, Stage, Transition};
pub use state::{State, StateEntry};
pub use task::Task;
pub use update::Update;
pub use upload::{NoUploadKind, SecretRef, UploadKind};
pub use view::{Form, View, log_expiration};
