#![doc = include_str!("../README.md")]

mod artifacts;
mod database;
mod durable;
mod error;
mod file_stream;
mod folder;
mod lines;
mod logs;
mod queue;
pub mod registry;
mod requests;
mod secrets;

pub use artifacts::{DocumentFolders, FileArtifacts};
pub use database::DatabaseError;
pub use error::EmbeddedError;
pub use folder::{DataFolder, Freed};
pub use lines::SqliteLines;
pub use logs::FileLogs;
pub use queue::{
    BatchFailures, DeadLetter, QueueStoreError, Received, SqliteQueue, StageSettings, Stopped,
    dead_letter_event, run_stage,
};
pub use requests::{SqliteRequests, SqliteWatch};
pub use secrets::SqliteSecrets;
