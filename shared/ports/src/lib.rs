#![doc = include_str!("../README.md")]

mod artifacts;
mod backoff;
mod catalog_repositories;
mod catalogs;
mod class;
mod clock;
mod figures;
mod gates;
mod index_db;
mod lines;
mod logs;
mod notifier;
mod outbox;
mod queue;
mod registries;
mod registry;
mod requests;
mod secrets;
mod system_clock;
mod tokens;
mod traces;
mod watch;

pub use artifacts::{
    Artifact, ArtifactError, ArtifactKey, ArtifactRoot, Artifacts, Bytestream, Stored,
};
pub use backoff::Backoff;
pub use catalog_repositories::{
    CatalogBranch, CatalogRepositories, CatalogUpdate, CommitNote, Made, RepositoryError, Reverted,
    Sent,
};
pub use catalogs::{
    CACHE_DIGEST_BYTES, CacheContent, CacheMember, CatalogError, CatalogFiles, Catalogs, Stretch,
};
pub use class::{Class, Classify, causes, chain};
pub use clock::Clock;
pub use figures::{
    Attempt, AttemptResult, Dimension, End, Figure, Figures, Form, NoFigures, Sample,
    ServiceGauges, Unit, cold_start, given_up,
};
pub use gates::{GateAnswer, GateError, Gates};
pub use index_db::*;
pub use lines::{Line, Lines, Moved};
pub use logs::Logs;
pub use notifier::Notifier;
pub use outbox::{AnnounceError, Announcer, Behind, NEWS_DAYS, Outbox, Waiting};
pub use queue::{Delivery, Queue, QueueError};
pub use registries::{GivenLogin, Keyring, Registries, Transferred};
pub use registry::{
    AuthDocument, BlobSource, BlobStream, InMemory, Login, Registry, RegistryError, RegistryLogins,
    Tags,
};
pub use requests::{
    Created, Listed, Listing, NewBatch, NewRequest, ONCE_LIMIT, Older, OlderQuery, OperatorStore,
    Page, PageQuery, Requests, StoreError, Sweeps, Unreadable,
};
pub use secrets::{SECRET_LIMIT, Secret, SecretError, Secrets};
pub use system_clock::SystemClock;
pub use tokens::{TokenError, Tokens};
pub use traces::{NoTraces, TRACE, Traces};
pub use watch::{Waited, Watch};
