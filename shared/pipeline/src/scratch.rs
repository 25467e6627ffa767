//! The folder on this machine for files of stages that run.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// How names of folders begin that a process has made for itself.
const OWN: &str = "iib-scratch-";
/// How names of the locks end beside them.
const LOCK: &str = ".lock";
/// How names of folders begin that belong to an attempt.
const ATTEMPT: &str = "iib-work-";

/// A scratch folder. Nothing in it outlives the process, and nothing of an attempt the attempt.
///
/// What a process leaves that is killed would fill the disk of those that come after it: on Lambda `/tmp` stays when the
/// process goes. So each has a folder of its own, beside a lock that the system gives back however the process ends; the
/// next one removes the folders whose locks are free.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    lock: Option<Lock>,
}

#[derive(Debug)]
struct Lock {
    path: PathBuf,
    /// The lock lives as long as the open file.
    _file: File,
}

impl Scratch {
    /// A folder that the caller has for himself, and has emptied.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            lock: None,
        }
    }

    /// A new folder in one that others use, too, such as `/tmp`. Folders there whose processes are gone are removed.
    ///
    /// # Errors
    /// The folder cannot be made or read. One of somebody else that cannot be removed is no error: it stays.
    pub fn below(shared: &Path) -> io::Result<Self> {
        fs::create_dir_all(shared)?;
        remove_left(shared)?;
        let path = shared.join(format!("{OWN}{:016x}", fastrand::u64(..)));
        let lock = Lock::take(&path)?;
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self {
            path,
            lock: Some(lock),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder for an attempt, which goes with the value.
    pub(crate) fn begin(&self) -> io::Result<TempDir> {
        // Who tidies up may have removed all of it.
        fs::create_dir_all(&self.path)?;
        let mut folder = tempfile::Builder::new();
        folder.prefix(ATTEMPT).tempdir_in(&self.path)
    }

    /// Bytes that are free there for this process, if the system tells.
    pub(crate) fn free(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.path).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Whether an attempt has files there.
    pub(crate) fn is_used(&self) -> io::Result<bool> {
        for entry in fs::read_dir(&self.path)? {
            if entry?
                .file_name()
                .as_encoded_bytes()
                .starts_with(ATTEMPT.as_bytes())
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(lock) = &self.lock {
            // What stays goes when the next process starts.
            let _ = fs::remove_dir_all(&self.path);
            let _ = fs::remove_file(&lock.path);
        }
    }
}

impl Lock {
    /// The lock of a folder that is not there yet. It comes to its name locked, so nobody takes it for one that is left.
    fn take(folder: &Path) -> io::Result<Self> {
        let new = folder.with_extension("new");
        let path = folder.with_extension(LOCK.trim_start_matches('.'));
        let file = File::create_new(&new)?;
        file.lock()?;
        fs::rename(new, &path)?;
        Ok(Self { path, _file: file })
    }
}

/// Removes the folders of processes that are gone.
fn remove_left(shared: &Path) -> io::Result<()> {
    for entry in fs::read_dir(shared)? {
        let name = entry?.file_name();
        let folder = (name.to_str())
            .filter(|name| name.starts_with(OWN))
            .and_then(|name| name.strip_suffix(LOCK));
        let Some(folder) = folder else { continue };
        if let Err(error) = remove_if_left(&shared.join(folder), &shared.join(&name)) {
            tracing::warn!(
                folder,
                error = %iib_ports::chain(&error),
                "what a process left in the scratch folder stays there"
            );
        }
    }
    Ok(())
}

fn remove_if_left(folder: &Path, lock: &Path) -> io::Result<()> {
    let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let file = match File::options().write(true).open(lock) {
        // Somebody else removes it.
        Err(error) if is_gone(&error) => return Ok(()),
        file => file?,
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // The lock at last: without it nobody would come back for the rest.
    for removed in [fs::remove_dir_all(folder), fs::remove_file(lock)] {
        match removed {
            Err(error) if !is_gone(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<String> = entries
            .map(|entry| name(entry).into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// What a process leaves that was killed: its folder, and a lock that nobody holds.
    fn leave(shared: &Path) {
        let folder = shared.join(format!("{OWN}0123456789abcdef"));
        fs::create_dir_all(folder.join("iib-work-x")).unwrap();
        fs::write(folder.join("iib-work-x/index.db"), "a database").unwrap();
        fs::write(folder.with_extension("lock"), "").unwrap();
    }

    #[test]
    fn what_a_process_left_that_is_gone_is_removed_and_nothing_else() {
        let shared = tempfile::tempdir().unwrap();
        let other = Scratch::below(shared.path()).unwrap();
        let attempt = other.begin().unwrap();
        fs::write(shared.path().join("somebody's"), "").unwrap();
        fs::create_dir(shared.path().join("iib-scratch-without-a-lock")).unwrap();
        leave(shared.path());
        let before = names(shared.path());

        let own = Scratch::below(shared.path()).unwrap();
        let mut expected = before;
        expected.retain(|name| !name.contains("0123456789abcdef"));
        let file_name = own.path().file_name().unwrap().to_str().unwrap().to_owned();
        expected.extend([format!("{file_name}.lock"), file_name]);
        expected.sort();
        assert_eq!(names(shared.path()), expected);
        assert!(attempt.path().is_dir());
    }

    #[test]
    fn a_folder_goes_with_its_process() {
        let shared = tempfile::tempdir().unwrap();
        let own = Scratch::below(shared.path()).unwrap();
        fs::write(own.path().join("file"), "").unwrap();
        drop(own);
        assert_eq!(names(shared.path()), [""; 0]);
    }

    #[test]
    fn it_is_used_while_an_attempt_has_a_folder() {
        let shared = tempfile::tempdir().unwrap();
        let scratch = Scratch::below(shared.path()).unwrap();
        assert!(!scratch.is_used().unwrap());
        let attempt = scratch.begin().unwrap();
        assert!(scratch.is_used().unwrap());
        drop(attempt);
        assert!(!scratch.is_used().unwrap());
    }
}
