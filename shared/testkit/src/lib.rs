#![doc = include_str!("../README.md")]

pub mod contract;
pub mod crash;
pub mod docker_registry;
pub mod examples;
#[cfg(feature = "servers")]
pub mod function;
pub mod git_server;
pub mod images;
#[cfg(feature = "servers")]
pub mod issuer;
pub mod memory;
pub mod ministack;
mod program;
mod pull;
#[cfg(feature = "servers")]
pub mod rabbitmq;
pub mod scripted_registry;
pub mod second_opinion;
pub mod time;

pub use pull::Pull;
