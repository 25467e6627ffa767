//! One process at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::EmbeddedError;

/// The owner's process id fits several times.
const OWNER_LIMIT: u64 = 64;

/// The lock on a folder. The system gives it back when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct FolderLock {
    /// The lock lives as long as the open file.
    _file: File,
}

impl FolderLock {
    /// Locks the folder and leaves this process's id in the lock file for whoever comes second.
    pub(crate) fn take(folder: &Path) -> Result<Self, EmbeddedError> {
        let path = folder.join("owner.lock");
        let failed = |action| {
            let path = path.clone();
            move |source| EmbeddedError::File {
                path,
                action,
                source,
            }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed("created"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(EmbeddedError::Owned {
                    folder: folder.to_owned(),
                    owner: owner(&mut file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed("locked")(source)),
        }
        write_owner(&mut file).map_err(failed("written"))?;
        Ok(Self { _file: file })
    }
}

fn write_owner(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// The process id in the lock file; none if its owner has not come to write it yet.
fn owner(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(OWNER_LIMIT).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
