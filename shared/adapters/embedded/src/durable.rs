//! Files and folders that outlast a power cut.
//!
//! A rename shows either the old file or the new one, but nothing says when the disk learns of
//! it: a flush of the file does for its bytes, one of the folder for its name.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use tempfile::TempPath;

use crate::file_stream::HashedFile;

/// Gives a finished file its name; when this returns, both are on the disk. The bytes go first,
/// so the name never shows a file with less in it.
///
/// The target's folder may be removed between its creation and the renaming, when it is emptied
/// by a deletion; one more round is then enough.
///
/// # Errors
/// That of the file system; the file may have its name by then, and is removed otherwise.
pub(crate) fn place(file: &HashedFile, temporary: TempPath, target: &Path) -> io::Result<()> {
    file.flush_to_disk()?;
    let folder = folder_of(target);
    create_folder(folder)?;
    match temporary.persist(target) {
        Ok(()) => {}
        Err(error) if error.error.kind() == io::ErrorKind::NotFound => {
            create_folder(folder)?;
            error.path.persist(target)?;
        }
        Err(error) => return Err(error.into()),
    }
    flush_folder(folder)?;
    // Whoever created the folder may not have flushed its name yet.
    flush_folder(folder_of(folder))
}

/// Creates a folder and those above it that are missing; the new ones are on the disk when this
/// returns.
///
/// # Errors
/// That of the file system.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = folder_of(path);
    create_folder(above)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        other => other?,
    }
    flush_folder(above)
}

fn flush_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The folder a path is in; the current one for a bare name.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        // The root, or no path at all: nothing is above either.
        None => Path::new("/"),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::NamedTempFile;

    use super::*;

    fn finished(folder: &Path) -> (HashedFile, TempPath) {
        let (file, path) = NamedTempFile::new_in(folder).unwrap().into_parts();
        (HashedFile::new(file), path)
    }

    #[test]
    fn a_file_gets_its_name_with_the_folders_that_are_missing() {
        let root = tempfile::tempdir().unwrap();
        for target in ["a", "b/c/d", "b/c/e", "b/c/d"] {
            let (file, temporary) = finished(root.path());
            let former = temporary.to_path_buf();
            let target = root.path().join(target);
            place(&file, temporary, &target).unwrap();
            assert!(target.is_file() && !former.exists(), "{target:?}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_there_is_an_error_and_leaves_no_file() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("taken"), "a file").unwrap();
        let (file, temporary) = finished(root.path());
        let former = temporary.to_path_buf();
        assert!(place(&file, temporary, &root.path().join("taken/x")).is_err());
        assert!(create_folder(&root.path().join("taken")).is_err());
        assert!(!former.exists());
    }

    #[test]
    fn a_bare_name_is_in_the_current_folder() {
        for (path, folder) in [("a", "."), ("a/b", "a"), ("/a", "/"), ("/", "/"), ("", "/")] {
            assert_eq!(folder_of(Path::new(path)), Path::new(folder), "{path:?}");
        }
    }
}
