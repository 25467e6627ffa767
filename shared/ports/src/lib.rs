#![doc = include_str!("../README.md")]

mod index_db;

pub use index_db::*;
