#![doc = include_str!("../README.md")]

mod artifacts;
mod auth_secret;
mod clients;
mod ecr;
mod event_bus;
mod failure;
mod lines;
mod logs;
mod operations;
mod queue;
mod requests;
mod secrets;
mod table;
mod topic;
mod watch;

pub use artifacts::S3Artifacts;
pub use auth_secret::AuthSecret;
pub use clients::Clients;
pub use ecr::{Ecr, EcrRegistries, EcrRegistry, EcrSettings, EcrTags};
pub use event_bus::EventBus;
pub use lines::DynamoLines;
pub use logs::DynamoLogs;
pub use queue::{QueueUrls, SqsQueue};
pub use requests::DynamoRequests;
pub use secrets::KmsSecrets;
pub use topic::Topic;
pub use watch::DynamoWatch;
