#![doc = include_str!("../README.md")]

mod auth;
mod body;
mod call;
mod client;
mod config;
mod counted;
mod error;
mod hosts;
mod manifest;
mod mount;
mod presence;
mod pull;
mod push;
mod refusal;
mod resolver;
mod retry;
mod tags;
mod target;
mod traced;
mod transport;

pub use auth::{AuthFileError, LoginSearch, Outcome, Place};
pub use client::RegistryClient;
pub use config::RegistryConfig;
pub use error::{Fault, RegistryInitError};
pub use resolver::Resolver;
