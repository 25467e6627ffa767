//! The serve cache (spec index-database §14), so that `opm serve` need not make it.

mod digest;

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use iib_fbc::{Report, ServeFault, ServeFile, serve_bundles, serve_packages};

use crate::folder::{CatalogFolder, FolderError};

const DIGEST: &str = "digest";
const FILES: &str = "cache";
const FOLDER_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o640;

/// A serve cache cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The catalog cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The catalog has faults.
    #[error("{}", .0.as_reference().unwrap_or_default())]
    Invalid(Report),
    /// What is in it cannot be served.
    #[error(transparent)]
    Content(#[from] ServeFault),
    /// The folder holds something else.
    #[error("cache directory has unexpected contents: {} is not part of a cache, name another folder", .0.display())]
    Unexpected(PathBuf),
    /// The system did not go along.
    #[error("the system did not {action} {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What it said.
        source: io::Error,
    },
}

fn io_error<'a>(path: &'a Path, action: &'static str) -> impl FnOnce(io::Error) -> CacheError + 'a {
    move |source| CacheError::Io {
        path: path.to_owned(),
        action,
        source,
    }
}

/// Writes the cache of the catalog in a folder into another one, and gives its digest. A cache that
/// is there already and fits is left alone.
///
/// The digest depends on the permission bits of the catalog's files and folders, and so does
/// whether the cache is accepted where it is served.
///
/// # Errors
/// [`CacheError`]; the folder holds no cache then, or the old one.
pub fn write_cache(catalog: &Path, cache: &Path) -> Result<String, CacheError> {
    let content = CatalogFolder::open(catalog)?;
    let report = content.check();
    if !report.is_clean() {
        return Err(CacheError::Invalid(report));
    }
    expect_cache(cache)?;
    let (kept, below) = (cache.join(DIGEST), cache.join(FILES));
    if let Ok(known) = fs::read_to_string(&kept)
        && below.is_dir()
        && digest::of_catalog(catalog)?.with_files(&below)? == known
    {
        return Ok(known);
    }
    // The catalog comes first in the digest, so it is hashed while the files are written.
    let begun = thread::scope(|scope| {
        let begun = scope.spawn(|| digest::of_catalog(catalog));
        write(&content, cache, &below)?;
        begun
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let digest = begun.with_files(&below)?;
    write_file(&kept, &digest)?;
    Ok(digest)
}

/// The folder is absent, empty or a cache.
fn expect_cache(cache: &Path) -> Result<(), CacheError> {
    let entries = match fs::read_dir(cache) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error(cache, "list")(error)),
    };
    for entry in entries {
        let entry = entry.map_err(io_error(cache, "list"))?;
        if entry.file_name() != DIGEST && entry.file_name() != FILES {
            return Err(CacheError::Unexpected(entry.path()));
        }
    }
    Ok(())
}

/// Writes the files. The digest goes first, so that no half cache is taken for a whole one.
fn write(catalog: &CatalogFolder, cache: &Path, below: &Path) -> Result<(), CacheError> {
    let kept = cache.join(DIGEST);
    for gone in [fs::remove_file(&kept), fs::remove_dir_all(below)] {
        match gone {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error(cache, "empty")(error));
            }
            _ => {}
        }
    }
    if !cache.is_dir() {
        fs::create_dir_all(cache).map_err(io_error(cache, "create"))?;
        set_mode(cache, FOLDER_MODE)?;
    }
    fs::create_dir(below).map_err(io_error(below, "create"))?;
    set_mode(below, FOLDER_MODE)?;
    let write = |file: ServeFile| write_file(&below.join(&file.name), &file.text);
    write(serve_packages(catalog.outline()))?;
    for name in catalog.packages() {
        serve_bundles(&catalog.package(name)?, write)?;
    }
    Ok(())
}

fn write_file(path: &Path, text: &str) -> Result<(), CacheError> {
    fs::write(path, text).map_err(io_error(path, "write"))?;
    set_mode(path, FILE_MODE)
}

/// Modes are exact, whatever the process's mask.
fn set_mode(path: &Path, mode: u32) -> Result<(), CacheError> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(io_error(path, "set the mode of"))
}
