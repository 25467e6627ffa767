#![doc = include_str!("../README.md")]

mod add;
mod claim;
mod ids;
mod plan;
mod record;
mod scope;
mod settings;
mod stage;
mod state;
mod task;
mod update;

pub use add::AddRequest;
pub use claim::Claim;
pub use ids::{BatchId, RequestId};
pub use plan::{Built, IndexToRead, PinnedBundle, Plan};
pub use record::{Kind, Outputs, Record};
pub use scope::{Scope, ScopeError};
pub use settings::{ApiSettings, BinaryImages, WorkSettings};
pub use stage::{Outcome, Stage, Transition};
pub use state::{State, StateEntry};
pub use task::Task;
pub use update::Update;
