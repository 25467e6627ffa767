#![doc = include_str!("../README.md")]

pub mod config;
pub mod sqs;
pub mod telemetry;

pub use config::{Config, ConfigError};
