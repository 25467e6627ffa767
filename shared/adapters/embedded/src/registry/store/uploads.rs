//! Uploads under way.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{Stream, StreamExt};
use iib_oci::Digest;
use tempfile::TempPath;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::{RegistryStore, blocking};
use crate::durable::place;
use crate::file_stream::{HashedFile, HashingWriter};
use crate::registry::fault::Fault;
use crate::registry::name::Name;

/// Uploads at a time. Each holds an open file; clients also leave some behind that they never
/// finish (a refused mount opens one), so the oldest idle one makes room for a new one.
const UPLOADS_LIMIT: usize = 256;

/// The largest blob, bytes: several times the largest image layers there are, so that a runaway
/// client meets an end.
const BLOB_LIMIT: u64 = 64 * 1024 * 1024 * 1024;

/// Random characters in the name of an upload, which is also what a client knows it by.
const NAME_LENGTH: usize = 32;

/// The uploads of a registry, in memory: they end with the process.
#[derive(Debug)]
pub(super) struct Uploads {
    folder: PathBuf,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// Counts uploads, so that the oldest is known.
    begun: u64,
    by_id: BTreeMap<String, Session>,
}

#[derive(Debug)]
struct Session {
    order: u64,
    name: Name,
    path: TempPath,
    file: Arc<AsyncMutex<HashedFile>>,
}

/// How far an upload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::registry) struct UploadState {
    pub(in crate::registry) id: String,
    /// Bytes that are there.
    pub(in crate::registry) size: u64,
}

/// An upload in the hands of one call; others wait until it is dropped.
#[derive(Debug)]
pub(in crate::registry) struct Upload {
    id: String,
    name: Name,
    file: OwnedMutexGuard<HashedFile>,
}

impl Uploads {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            open: Mutex::default(),
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Makes room for one more upload.
    fn make_room(&mut self) -> Result<Option<Session>, Fault> {
        if self.by_id.len() < UPLOADS_LIMIT {
            return Ok(None);
        }
        let idle = self
            .by_id
            .iter()
            .filter(|(_, session)| Arc::strong_count(&session.file) == 1)
            .min_by_key(|(_, session)| session.order)
            .map(|(id, _)| id.clone());
        match idle {
            Some(id) => Ok(self.by_id.remove(&id)),
            None => Err(Fault::TooManyUploads),
        }
    }
}

impl RegistryStore {
    /// Begins an upload to a repository.
    pub(in crate::registry) async fn begin_upload(
        &self,
        name: &Name,
    ) -> Result<UploadState, Fault> {
        let folder = self.uploads.folder.clone();
        let file = blocking("begin an upload", move || {
            tempfile::Builder::new()
                .prefix("")
                .rand_bytes(NAME_LENGTH)
                .tempfile_in(folder)
        })
        .await?;
        let (file, path) = file.into_parts();
        let id = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let mut open = self.uploads.open();
        let _forgotten = open.make_room()?;
        open.begun += 1;
        let session = Session {
            order: open.begun,
            name: name.clone(),
            path,
            file: Arc::new(AsyncMutex::new(HashedFile::new(file))),
        };
        open.by_id.insert(id.clone(), session);
        Ok(UploadState { id, size: 0 })
    }

    /// Takes an upload into this call's hands; waits for the call that has it.
    pub(in crate::registry) async fn upload(&self, name: &Name, id: &str) -> Result<Upload, Fault> {
        let file = {
            let open = self.uploads.open();
            let session = open.by_id.get(id).filter(|session| session.name == *name);
            session.map(|session| session.file.clone())
        };
        let file = file.ok_or_else(|| Fault::UploadUnknown(name.clone()))?;
        let file = file.lock_owned().await;
        // While this call waited, another one may have ended the upload; its file is a blob by
        // now and must not be written to.
        if !self.uploads.open().by_id.contains_key(id) {
            return Err(Fault::UploadUnknown(name.clone()));
        }
        Ok(Upload {
            id: id.to_owned(),
            name: name.clone(),
            file,
        })
    }

    /// Gives an upload up and removes what is there of it.
    pub(in crate::registry) async fn cancel_upload(&self, upload: Upload) -> Result<(), Fault> {
        let session = self.uploads.open().by_id.remove(&upload.id);
        match session {
            Some(session) => blocking("remove an upload", move || session.path.close()).await,
            None => Err(Fault::UploadUnknown(upload.name)),
        }
    }

    /// Ends an upload: its content becomes the blob `digest` of the repository. If it has
    /// another digest, the upload is given up (as distribution does).
    pub(in crate::registry) async fn finish_upload(
        &self,
        upload: Upload,
        digest: &Digest,
    ) -> Result<(), Fault> {
        let got = upload.file.digest();
        if got != *digest {
            self.cancel_upload(upload).await?;
            return Err(Fault::DigestMismatch {
                expected: digest.clone(),
                got,
            });
        }
        let Some(session) = self.uploads.open().by_id.remove(&upload.id) else {
            return Err(Fault::UploadUnknown(upload.name));
        };
        let (name, size) = (upload.name, upload.file.size());
        let (file, target) = (upload.file, self.blob_path(digest));
        blocking("store a blob", move || {
            file.trim()?;
            // A blob that is there already has the same bytes. The database learns of the blob
            // only when it is on the disk: one that a power cut took would be missing for good,
            // because clients that ask are told it is there and do not push it again.
            place(&file, session.path, &target)
        })
        .await?;
        self.add_blob(&name, digest, size).await
    }
}

impl Upload {
    /// How far it is.
    pub(in crate::registry) fn state(&self) -> UploadState {
        UploadState {
            id: self.id.clone(),
            size: self.file.size(),
        }
    }

    /// Appends a body. Of one that ends early the upload keeps what was stored so far, and the
    /// client may ask how much that is and go on from there.
    pub(in crate::registry) async fn append<S>(self, mut body: S) -> Result<Self, Fault>
    where
        S: Stream<Item = Result<bytes::Bytes, axum::Error>> + Unpin,
    {
        let failed = |source| Fault::Storage {
            action: "store an upload",
            source,
        };
        let mut size = self.file.size();
        let mut writer = HashingWriter::new(self.file);
        while let Some(bytes) = body.next().await {
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(error) => {
                    writer.finish().await.map_err(failed)?;
                    return Err(Fault::Interrupted(error));
                }
            };
            size += bytes.len() as u64;
            if size > BLOB_LIMIT {
                return Err(Fault::TooLarge { limit: BLOB_LIMIT });
            }
            writer.write(bytes).await.map_err(failed)?;
        }
        let file = writer.finish().await.map_err(failed)?;
        Ok(Self { file, ..self })
    }
}
