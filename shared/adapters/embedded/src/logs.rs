//! Build logs as files.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use iib_ports::{Logs, StoreError};
use iib_request::RequestId;
use tokio::task::spawn_blocking;

use crate::folder::FolderLock;

/// The most that is read of a log, bytes. A log of a hundred bundles has some ten kilobytes.
const READ_LIMIT: u64 = 16 * 1024 * 1024;

/// One file for each request: `<id>.log`.
#[derive(Debug, Clone)]
pub struct FileLogs {
    folder: PathBuf,
    _lock: Arc<FolderLock>,
}

impl FileLogs {
    pub(crate) fn new(folder: PathBuf, lock: Arc<FolderLock>) -> Self {
        Self {
            folder,
            _lock: lock,
        }
    }

    fn path(&self, id: RequestId) -> PathBuf {
        self.folder.join(format!("{id}.log"))
    }
}

#[async_trait]
impl Logs for FileLogs {
    async fn append(&self, id: RequestId, lines: &[String]) -> Result<(), StoreError> {
        let mut text = String::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        let path = self.path(id);
        blocking("write the log", move || {
            // The system appends one call's bytes as a whole, so that lines of two stages never
            // mix and a killed process leaves no half batch.
            let mut file = OpenOptions::new().append(true).create(true).open(path)?;
            file.write_all(text.as_bytes())
        })
        .await
    }

    async fn read(&self, id: RequestId) -> Result<Option<String>, StoreError> {
        let path = self.path(id);
        blocking("read the log", move || read_tail(&path, READ_LIMIT)).await
    }

    async fn remove(&self, id: RequestId) -> Result<(), StoreError> {
        let path = self.path(id);
        blocking("remove the log", move || match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }
}

/// The log's last `limit` bytes from the beginning of a line, with a note if that is not all.
fn read_tail(path: &Path, limit: u64) -> io::Result<Option<String>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let skipped = file.metadata()?.len().saturating_sub(limit);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    if skipped == 0 {
        return Ok(Some(text.into_owned()));
    }
    let whole_lines = text.split_once('\n').map_or(&*text, |(_, rest)| rest);
    Ok(Some(format!(
        "[the beginning of this log, more than {skipped} bytes, is left out]\n{whole_lines}"
    )))
}

async fn blocking<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    let done = spawn_blocking(work).await.map_err(io::Error::other);
    done.flatten().map_err(|source| StoreError::Unavailable {
        action,
        source: source.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_log_the_last_whole_lines_are_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.log");
        assert_eq!(read_tail(&path, 8).unwrap(), None);
        std::fs::write(&path, "first\nsecond\nthird\n").unwrap();
        let text = read_tail(&path, 100).unwrap().unwrap();
        assert_eq!(text, "first\nsecond\nthird\n");
        let text = read_tail(&path, 8).unwrap().unwrap();
        assert_eq!(
            text,
            "[the beginning of this log, more than 11 bytes, is left out]\nthird\n"
        );
    }
}
