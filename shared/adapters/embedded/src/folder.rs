//! The folder that holds everything, and its lock.

mod lock;
mod private;
mod recovery;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use iib_ports::{ArtifactRoot, Clock};
use tokio::sync::Notify;

use crate::database::Database;
use crate::durable;
use crate::registry::RegistryStore;
use crate::requests::{Facets, SqliteWatch, Watched, Woken};
use crate::{
    EmbeddedError, FileArtifacts, FileLogs, SqliteLines, SqliteQueue, SqliteRequests, SqliteSecrets,
};
pub(crate) use lock::FolderLock;

pub use recovery::Freed;

/// Layout of `state.db`, see [`Database::open`]. Steps are never edited once released; a change
/// is a further step.
const LAYOUT: [&str; 9] = [
    include_str!("folder/state.sql"),
    include_str!("folder/waiting.sql"),
    include_str!("folder/once.sql"),
    include_str!("folder/facets.sql"),
    include_str!("folder/turns.sql"),
    include_str!("folder/outbox.sql"),
    include_str!("folder/lines.sql"),
    include_str!("folder/dry_runs.sql"),
    include_str!("folder/moved.sql"),
];

/// A data folder that this process owns. The lock is held until the folder and every store that
/// came from it are gone.
///
/// ```text
/// <folder>/owner.lock   process id of the owner
/// <folder>/state.db     requests and queues
/// <folder>/artifacts/   documents, uploads, intermediate results, logs of ended requests
/// <folder>/logs/        build logs of requests that go on
/// <folder>/registry/    the registry, if it is used
/// ```
#[derive(Debug, Clone)]
pub struct DataFolder {
    path: PathBuf,
    database: Database,
    facets: Arc<Facets>,
    lock: Arc<FolderLock>,
    arrivals: Arc<Notify>,
    woken: Arc<Woken>,
    watched: Arc<Watched>,
    freed: Freed,
}

impl DataFolder {
    /// Takes the folder into possession, creating it if needed, takes the rights of others on it
    /// away, and frees what a former owner
    /// held: leases of requests (such an attempt does not count, see
    /// [`iib_request::Record::release`]) and messages that were being worked on.
    ///
    /// # Errors
    /// [`EmbeddedError`]: `Owned` while another process has it, `Shared` if others may read it and it
    /// has something else in it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, EmbeddedError> {
        let path = path.as_ref();
        create_folder(path)?;
        private::make_private(path)?;
        let lock = FolderLock::take(path)?;
        let file = path.join("state.db");
        let database = Database::open(&file, &LAYOUT)?;
        let freed = recovery::free_former_work(&database, &file)?;
        let facets = Facets::read_all(&database);
        let facets = facets.map_err(|source| EmbeddedError::Database {
            path: file,
            action: "read",
            source,
        })?;
        let folder = Self {
            path: path.to_owned(),
            database,
            facets: Arc::new(facets),
            lock: Arc::new(lock),
            arrivals: Arc::new(Notify::new()),
            woken: Arc::default(),
            watched: Arc::default(),
            freed,
        };
        for sub_folder in [folder.artifacts_path(), folder.logs_path()] {
            create_folder(&sub_folder)?;
        }
        for root in ArtifactRoot::ALL {
            create_folder(&folder.artifacts_path().join(root.prefix()))?;
        }
        empty_folder(&FileArtifacts::incoming(&folder.artifacts_path()))?;
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What opening it freed, for the log.
    pub fn freed(&self) -> Freed {
        self.freed
    }

    /// The store of requests.
    pub fn requests(&self) -> SqliteRequests {
        SqliteRequests::new(
            self.database.clone(),
            self.facets.clone(),
            self.woken.clone(),
            self.watched.clone(),
            self.lock.clone(),
        )
    }

    /// Waiting for changes of requests, of at most so many at once.
    pub fn watch(&self, limit: u32) -> SqliteWatch {
        SqliteWatch::new(self.database.clone(), self.watched.clone(), limit)
    }

    /// The queues. A message that was received `max_receive_count` times without being deleted
    /// goes to the dead letters.
    pub fn queue(&self, clock: Arc<dyn Clock>, max_receive_count: u32) -> SqliteQueue {
        SqliteQueue::new(
            self.database.clone(),
            self.arrivals.clone(),
            clock,
            max_receive_count,
            self.lock.clone(),
        )
    }

    /// The store of artifacts.
    pub fn artifacts(&self) -> FileArtifacts {
        FileArtifacts::new(self.artifacts_path(), self.lock.clone())
    }

    /// The build logs.
    pub fn logs(&self) -> FileLogs {
        FileLogs::new(self.logs_path(), self.lock.clone())
    }

    /// The lines in front of indexes.
    pub fn lines(&self) -> SqliteLines {
        SqliteLines::new(self.database.clone(), self.lock.clone())
    }

    /// Secrets of requests.
    pub fn secrets(&self, clock: Arc<dyn Clock>) -> SqliteSecrets {
        SqliteSecrets::new(self.database.clone(), clock, self.lock.clone())
    }

    /// The registry.
    ///
    /// # Errors
    /// [`EmbeddedError`]: `Owned` if it is open already.
    pub fn registry(&self) -> Result<RegistryStore, EmbeddedError> {
        RegistryStore::open(self.path.join("registry"))
    }

    fn artifacts_path(&self) -> PathBuf {
        self.path.join("artifacts")
    }

    fn logs_path(&self) -> PathBuf {
        self.path.join("logs")
    }
}

/// Removes everything in a folder, and creates it if it is not there.
pub(crate) fn empty_folder(path: &Path) -> Result<(), EmbeddedError> {
    match std::fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(EmbeddedError::File {
            path: path.to_owned(),
            action: "emptied",
            source,
        }),
        _ => create_folder(path),
    }
}

/// Creates a folder and those above it, if it is not there.
pub(crate) fn create_folder(path: &Path) -> Result<(), EmbeddedError> {
    durable::create_folder(path).map_err(|source| EmbeddedError::File {
        path: path.to_owned(),
        action: "created",
        source,
    })
}
