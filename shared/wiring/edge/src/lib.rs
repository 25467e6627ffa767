#![doc = include_str!("../README.md")]

pub mod config;
mod deadline;
mod figures;
mod notifier;
pub mod s3;
pub mod sqs;
mod start;
pub mod telemetry;

pub use config::{Config, ConfigError, Messaging};
pub use deadline::deadline;
pub use figures::EmfFigures;
pub use notifier::LogNotifier;
pub use start::StartFailure;
