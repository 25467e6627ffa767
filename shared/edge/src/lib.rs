#![doc = include_str!("../README.md")]

pub mod config;
mod notifier;
pub mod sqs;
mod start;
pub mod telemetry;

pub use config::{Config, ConfigError};
pub use notifier::LogNotifier;
pub use start::StartFailure;
