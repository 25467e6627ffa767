#![doc = include_str!("../README.md")]

pub mod config;
pub mod sqs;
mod start;
pub mod telemetry;

pub use config::{Config, ConfigError};
pub use start::StartFailure;
