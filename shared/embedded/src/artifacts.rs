//! Artifacts as files.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use iib_ports::{ArtifactError, ArtifactKey, Artifacts, Bytestream, Stored};
use tempfile::NamedTempFile;
use tokio::task::spawn_blocking;

use crate::durable::place;
use crate::file_stream::{HashedFile, HashingWriter, read_stream};
use crate::folder::FolderLock;

/// Artifacts as files under a folder, named by their keys.
///
/// A file is written under another name, flushed to the disk and then renamed. Once a stage has
/// stored its artifacts, the record says that it need not run again, and outlives a power cut; so
/// must they.
#[derive(Debug, Clone)]
pub struct FileArtifacts {
    folder: PathBuf,
    _lock: Arc<FolderLock>,
}

impl FileArtifacts {
    pub(crate) fn new(folder: PathBuf, lock: Arc<FolderLock>) -> Self {
        Self {
            folder,
            _lock: lock,
        }
    }

    /// Where files are while they are written. What a former owner left there is of no use.
    pub(crate) fn incoming(folder: &Path) -> PathBuf {
        // Keys do not begin with a dot.
        folder.join(".incoming")
    }

    async fn write(&self, path: PathBuf, mut content: Bytestream) -> Result<Stored, WriteFault> {
        let incoming = Self::incoming(&self.folder);
        let temporary = blocking(move || NamedTempFile::new_in(incoming)).await?;
        let (file, temporary) = temporary.into_parts();
        let mut writer = HashingWriter::new(Box::new(HashedFile::new(file)));
        while let Some(bytes) = content.next().await {
            writer.write(bytes.map_err(WriteFault::Content)?).await?;
        }
        let written = writer.finish().await?;
        let stored = Stored {
            size: written.size(),
            digest: written.digest(),
        };
        blocking(move || place(&written, temporary, &path)).await?;
        Ok(stored)
    }
}

/// Why a write ended early.
enum WriteFault {
    /// The stream to be stored failed.
    Content(ArtifactError),
    /// The file did.
    File(io::Error),
}

impl From<io::Error> for WriteFault {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

#[async_trait]
impl Artifacts for FileArtifacts {
    async fn put(&self, key: &ArtifactKey, content: Bytestream) -> Result<Stored, ArtifactError> {
        let path = self.folder.join(key.as_str());
        self.write(path, content)
            .await
            .map_err(|fault| match fault {
                WriteFault::Content(error) => error,
                WriteFault::File(error) => unavailable(key, "written", error),
            })
    }

    async fn get(&self, key: &ArtifactKey) -> Result<Bytestream, ArtifactError> {
        let path = self.folder.join(key.as_str());
        let opened = blocking(move || {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        });
        let (file, length) = opened.await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ArtifactError::Missing(key.clone()),
            _ => unavailable(key, "read", error),
        })?;
        let key = key.clone();
        let stream = read_stream(file, length);
        Ok(stream
            .map_err(move |error| unavailable(&key, "read", error))
            .boxed())
    }

    async fn delete(&self, key: &ArtifactKey) -> Result<(), ArtifactError> {
        let path = self.folder.join(key.as_str());
        let removed = blocking(move || {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            // Empty folders of old requests would pile up; one that is still in use stays.
            if let Some(parent) = path.parent() {
                let _ = fs::remove_dir(parent);
            }
            Ok(())
        });
        removed
            .await
            .map_err(|error| unavailable(key, "removed", error))
    }
}

fn unavailable(key: &ArtifactKey, action: &'static str, source: io::Error) -> ArtifactError {
    ArtifactError::Unavailable {
        key: key.clone(),
        action,
        source: source.into(),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}
