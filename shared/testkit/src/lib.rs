#![doc = include_str!("../README.md")]

pub mod contract;
pub mod memory;
pub mod time;
