#![doc = include_str!("../README.md")]

mod artifacts;
mod class;
mod clock;
mod index_db;
mod logs;
mod notifier;
mod queue;
mod registry;
mod requests;

pub use artifacts::{ArtifactError, ArtifactKey, Artifacts, Bytestream, Stored};
pub use class::{Class, Classify, chain};
pub use clock::Clock;
pub use index_db::*;
pub use logs::Logs;
pub use notifier::Notifier;
pub use queue::{Queue, QueueError};
pub use registry::{BlobSource, BlobStream, InMemory, Registry, RegistryError};
pub use requests::{NewRequest, Page, PageQuery, Requests, StoreError};
