//! What the registry holds.

mod blobs;
mod document;
mod listing;
mod manifests;
mod uploads;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use iib_oci::Digest;
use rusqlite::Connection;
use tokio::task::spawn_blocking;

use super::fault::Fault;
use crate::EmbeddedError;
use crate::database::Database;
use crate::folder::{FolderLock, create_folder, empty_folder};
use uploads::Uploads;

pub(super) use listing::ListPage;
pub(super) use uploads::{Upload, UploadState};

/// Layout of `registry.db`, see [`Database::open`].
const LAYOUT: [&str; 1] = [include_str!("store/registry.sql")];

/// Where the content of blobs is, in the registry's folder.
const BLOBS: &str = "blobs/sha256";

/// The content of a registry. Clones are the same one.
#[derive(Debug, Clone)]
pub struct RegistryStore {
    folder: Arc<Path>,
    database: Database,
    uploads: Arc<Uploads>,
    _lock: Arc<FolderLock>,
}

impl RegistryStore {
    /// Takes a folder into possession, creating it if needed. Uploads that a former owner left
    /// unfinished are removed.
    ///
    /// # Errors
    /// [`EmbeddedError`]: `Owned` while it is open elsewhere, also in this process.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, EmbeddedError> {
        let folder = folder.as_ref();
        create_folder(folder)?;
        let lock = FolderLock::take(folder)?;
        let uploads = folder.join("uploads");
        empty_folder(&uploads)?;
        // What is above the blobs' folders must not depend on who stores the first blob.
        create_folder(&folder.join(BLOBS))?;
        let database = Database::open(&folder.join("registry.db"), &LAYOUT)?;
        Ok(Self {
            folder: folder.into(),
            database,
            uploads: Arc::new(Uploads::new(uploads)),
            _lock: Arc::new(lock),
        })
    }

    /// Where the content of a blob is. The digits are checked by the digest's type, so the path
    /// stays in the folder.
    fn blob_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let prefix = hex.get(..2).unwrap_or_default();
        self.folder.join(BLOBS).join(prefix).join(hex)
    }

    async fn query<T, W>(&self, action: &'static str, work: W) -> Result<T, Fault>
    where
        T: Send + 'static,
        W: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let failed = |source| Fault::Database { action, source };
        self.database.run(work).await.map_err(failed)
    }
}

/// Work on files, off the async threads.
async fn blocking<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Fault> {
    let done = spawn_blocking(work).await.map_err(std::io::Error::other);
    done.flatten()
        .map_err(|source| Fault::Storage { action, source })
}
