#![doc = include_str!("../README.md")]

mod deps;
pub mod intake;

pub use deps::Deps;
