//! Artifacts as files.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use iib_ports::{
    Artifact, ArtifactError, ArtifactKey, ArtifactRoot, Artifacts, Bytestream, Stored,
};
use iib_request::RequestId;
use tempfile::NamedTempFile;
use tokio::task::spawn_blocking;

use crate::durable::{create_folder, place};
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
    documents: DocumentFolders,
    _lock: Arc<FolderLock>,
}

/// Folders of people's own for documents of requests, each under its number, as today's service names
/// them. What has no folder stays with the other artifacts.
#[derive(Debug, Clone, Default)]
pub struct DocumentFolders {
    /// `<id>.log`: the logs of requests that have ended.
    pub logs: Option<PathBuf>,
    /// `<id>_related_bundles.json`.
    pub related_bundles: Option<PathBuf>,
    /// `<id>_recursive_related_bundles.json`.
    pub nested_bundles: Option<PathBuf>,
}

impl DocumentFolders {
    /// The documents of a request that stand in such folders.
    fn of(&self, id: RequestId) -> impl Iterator<Item = (ArtifactKey, PathBuf)> {
        let documents = [
            (&self.logs, ArtifactKey::log(id), format!("{id}.log")),
            (
                &self.related_bundles,
                ArtifactKey::related_bundles(id),
                format!("{id}_related_bundles.json"),
            ),
            (
                &self.nested_bundles,
                ArtifactKey::nested_bundles(id),
                format!("{id}_recursive_related_bundles.json"),
            ),
        ];
        let placed = documents.map(|(folder, key, name)| {
            let folder = folder.as_ref()?;
            Some((key, folder.join(name)))
        });
        placed.into_iter().flatten()
    }

    /// Where this document stands, if it is one of those.
    fn place(&self, key: &ArtifactKey) -> Option<PathBuf> {
        let mut documents = self.of(key.request()?);
        documents.find_map(|(document, path)| (document == *key).then_some(path))
    }
}

impl FileArtifacts {
    pub(crate) fn new(folder: PathBuf, lock: Arc<FolderLock>) -> Self {
        Self {
            folder,
            documents: DocumentFolders::default(),
            _lock: lock,
        }
    }

    /// The same with documents in folders of their own.
    #[must_use]
    pub fn with_documents_in(self, documents: DocumentFolders) -> Self {
        Self { documents, ..self }
    }

    fn path(&self, key: &ArtifactKey) -> PathBuf {
        let own = self.documents.place(key);
        own.unwrap_or_else(|| self.folder.join(key.as_str()))
    }

    /// Where files are while they are written. What a former owner left there is of no use.
    pub(crate) fn incoming(folder: &Path) -> PathBuf {
        // Keys do not begin with a dot.
        folder.join(".incoming")
    }

    async fn write(
        &self,
        key: &ArtifactKey,
        mut content: Bytestream,
    ) -> Result<Stored, WriteFault> {
        let path = self.path(key);
        // A name cannot be given across file systems.
        let incoming = match self.documents.place(key) {
            Some(own) => own.parent().map(Path::to_owned).unwrap_or_default(),
            None => Self::incoming(&self.folder),
        };
        let temporary = blocking(move || {
            create_folder(&incoming)?;
            NamedTempFile::new_in(incoming)
        })
        .await?;
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
        self.write(key, content).await.map_err(|fault| match fault {
            WriteFault::Content(error) => error,
            WriteFault::File(error) => unavailable(key, "written", error),
        })
    }

    async fn get(&self, key: &ArtifactKey) -> Result<Bytestream, ArtifactError> {
        let path = self.path(key);
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
        let (folder, path) = (self.folder.clone(), self.path(key));
        let removed = blocking(move || {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            // Empty folders of old requests would pile up; one that is still in use stays, and so
            // do those right below, into which people put files.
            let mut parent = path.parent().filter(|_| path.starts_with(&folder));
            while let Some(empty) = parent.filter(|parent| parent.parent() != Some(&*folder)) {
                if fs::remove_dir(empty).is_err() {
                    break;
                }
                parent = empty.parent();
            }
            Ok(())
        });
        removed
            .await
            .map_err(|error| unavailable(key, "removed", error))
    }

    async fn list(
        &self,
        root: ArtifactRoot,
        request: Option<RequestId>,
        after: Option<&ArtifactKey>,
        limit: u32,
    ) -> Result<Vec<Artifact>, ArtifactError> {
        let prefix = match request {
            Some(request) => format!("{}{request}/", root.prefix()),
            None => root.prefix().to_owned(),
        };
        let (folder, after) = (self.folder.clone(), after.cloned());
        let of_request = request.filter(|_| root == ArtifactRoot::Kept);
        let documents: Vec<_> = of_request
            .iter()
            .flat_map(|id| self.documents.of(*id))
            .collect();
        let listed = blocking(move || {
            let mut found = Vec::new();
            walk(&folder.join(&prefix), &prefix, &mut found)?;
            for (key, path) in documents {
                found.extend(artifact(key, fs::metadata(path))?);
            }
            found.retain(|artifact| after.as_ref().is_none_or(|after| artifact.key > *after));
            found.sort_by(|a, b| a.key.cmp(&b.key));
            found.truncate(limit as usize);
            Ok(found)
        });
        listed.await.map_err(|source| ArtifactError::Unlisted {
            root: root.prefix(),
            source: source.into(),
        })
    }

    async fn link(&self, _key: &ArtifactKey) -> Result<Option<String>, ArtifactError> {
        Ok(None)
    }
}

/// Collects the artifacts in a folder and those below. What is removed meanwhile is left out, and
/// so is what cannot be an artifact.
fn walk(folder: &Path, prefix: &str, found: &mut Vec<Artifact>) -> io::Result<()> {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let entries = match fs::read_dir(folder) {
        Err(error) if gone(&error) => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let facts = match entry.metadata() {
            Err(error) if gone(&error) => continue,
            facts => facts?,
        };
        let name = format!("{prefix}{name}");
        if facts.is_dir() {
            walk(&entry.path(), &format!("{name}/"), found)?;
        } else if let (true, Ok(key)) = (facts.is_file(), name.parse()) {
            found.extend(artifact(key, Ok(facts))?);
        }
    }
    Ok(())
}

/// An artifact as it is listed; `None` if there is no such file.
fn artifact(key: ArtifactKey, facts: io::Result<fs::Metadata>) -> io::Result<Option<Artifact>> {
    let facts = match facts {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        facts => facts?,
    };
    Ok(Some(Artifact {
        key,
        size: facts.len(),
        stored: facts.modified()?.try_into().map_err(io::Error::other)?,
    }))
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
