//! The serve cache (spec index-database §14, newest-opm §7), so that `opm serve` need not make it.

mod digest;
mod store;

pub(crate) use store::Stored;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use iib_fbc::{Report, ServeFault, ServeFile, ServeForm, ServePlan};
use walkdir::WalkDir;

use crate::folder::{CatalogFolder, FolderError};

const DIGEST: &str = "digest";
const FILES: &str = "cache";
/// Where the files are until all of them are there.
const PARTIAL: &str = ".cache.partial";
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

/// A cache that was written, or found to fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenCache {
    /// Its digest, 16 hexadecimal digits.
    pub digest: String,
    /// What it does not carry, and what the newest version of the reference refuses in the catalog;
    /// for people.
    pub warnings: Vec<String>,
}

/// Writes the cache of the catalog in a folder into another one. A cache that is there already and
/// fits is left alone.
///
/// The digest depends on the permission bits of the catalog's files and folders, and so does
/// whether the cache is accepted where it is served.
///
/// # Errors
/// [`CacheError`]; the folder is as it was then. Only where the system fails while the new files
/// take the place of the old ones it may hold no cache.
pub fn write_cache(
    catalog: &Path,
    cache: &Path,
    form: ServeForm,
) -> Result<WrittenCache, CacheError> {
    let content = CatalogFolder::open(catalog)?;
    let report = content.check();
    if !report.is_clean() {
        return Err(CacheError::Invalid(report));
    }
    expect_cache(cache)?;
    let plan = ServePlan::new(content.outline(), form)?;
    let digest = match fitting(&content, &plan, cache)? {
        Some(digest) => digest,
        None => write(&content, &plan, cache)?,
    };
    Ok(WrittenCache {
        digest,
        warnings: warnings(&content, plan),
    })
}

/// What there is to say about a cache.
fn warnings(content: &CatalogFolder, plan: ServePlan) -> Vec<String> {
    let mut warnings = plan.warnings;
    if content.packages().all(str::is_empty) {
        warnings.push("the catalog has no package, so nothing will be served".to_owned());
    }
    warnings
}

/// The folder is absent, empty or a cache, maybe with what an interrupted run left.
fn expect_cache(cache: &Path) -> Result<(), CacheError> {
    let entries = match fs::read_dir(cache) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error(cache, "list")(error)),
    };
    for entry in entries {
        let entry = entry.map_err(io_error(cache, "list"))?;
        if ![DIGEST, FILES, PARTIAL]
            .map(Into::into)
            .contains(&entry.file_name())
        {
            return Err(CacheError::Unexpected(entry.path()));
        }
    }
    Ok(())
}

/// The digest of the cache that is there, if it is what would be written. The digest does not tell the forms
/// apart, so the files are compared, too.
fn fitting(
    content: &CatalogFolder,
    plan: &ServePlan,
    cache: &Path,
) -> Result<Option<String>, CacheError> {
    let below = cache.join(FILES);
    let Ok(known) = fs::read_to_string(cache.join(DIGEST)) else {
        return Ok(None);
    };
    if !below.is_dir() || digest::of_catalog(&content.root)?.with_files(&below)? != known {
        return Ok(None);
    }
    let mut expected = BTreeSet::new();
    let same = each_file(content, plan, |file| {
        let found = fs::read(below.join(&file.path));
        if found.is_ok_and(|found| found == file.text.as_bytes()) {
            expected.insert(file.path);
            return Ok(());
        }
        Err(Stop::Different)
    });
    match same {
        Ok(()) if count_files(&below)? == expected.len() => Ok(Some(known)),
        Ok(()) | Err(Stop::Different) => Ok(None),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Why a comparison ends early.
enum Stop {
    Different,
    Failed(CacheError),
}

impl<E: Into<CacheError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

fn count_files(below: &Path) -> Result<usize, CacheError> {
    let mut count = 0;
    for entry in WalkDir::new(below) {
        let entry = entry.map_err(|error| io_error(below, "list")(error.into()))?;
        count += usize::from(!entry.file_type().is_dir());
    }
    Ok(count)
}

/// Gives out every file, with the content of one package in memory at a time.
fn each_file<E: From<ServeFault> + From<FolderError>>(
    content: &CatalogFolder,
    plan: &ServePlan,
    mut take: impl FnMut(ServeFile) -> Result<(), E>,
) -> Result<(), E> {
    take(plan.packages(content.outline()))?;
    for name in content.packages() {
        plan.package(&content.package(name)?, &mut take)?;
    }
    Ok(())
}

/// Writes all files beside those that are there, which they then replace, and gives the digest. The
/// old digest goes first, so that no half cache is taken for a whole one.
fn write(content: &CatalogFolder, plan: &ServePlan, cache: &Path) -> Result<String, CacheError> {
    let (kept, below) = (cache.join(DIGEST), cache.join(FILES));
    let partial = Partial::new(cache)?;
    // The catalog comes first in the digest, so it is hashed while the files are written.
    let begun = thread::scope(|scope| {
        let begun = scope.spawn(|| digest::of_catalog(&content.root));
        each_file(content, plan, |file| write_below(&partial.files, &file))?;
        let begun = begun.join();
        begun.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let digest = begun.with_files(&partial.files)?;
    remove_file(&kept)?;
    match fs::remove_dir_all(&below) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error(cache, "empty")(error));
        }
        _ => {}
    }
    fs::rename(&partial.files, &below).map_err(io_error(&below, "create"))?;
    write_file(&kept, &digest)?;
    partial.keep();
    Ok(digest)
}

/// The files until all of them are there; removed when dropped.
struct Partial<'a> {
    cache: &'a Path,
    files: PathBuf,
    /// Whether the cache's folder was made for them.
    made: bool,
}

impl<'a> Partial<'a> {
    fn new(cache: &'a Path) -> Result<Self, CacheError> {
        let files = cache.join(PARTIAL);
        match fs::remove_dir_all(&files) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error(&files, "remove")(error));
            }
            _ => {}
        }
        let made = !cache.is_dir();
        if made {
            fs::create_dir_all(cache).map_err(io_error(cache, "create"))?;
            set_mode(cache, FOLDER_MODE)?;
        }
        let partial = Self { cache, files, made };
        make_folder(&partial.files)?;
        Ok(partial)
    }

    /// All of it is in its place.
    fn keep(mut self) {
        self.made = false;
    }
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        // Renamed away, or of no use to anybody.
        let _ = fs::remove_dir_all(&self.files);
        if self.made {
            let _ = fs::remove_dir(self.cache);
        }
    }
}

fn make_folder(path: &Path) -> Result<(), CacheError> {
    fs::create_dir(path).map_err(io_error(path, "create"))?;
    set_mode(path, FOLDER_MODE)
}

fn write_below(below: &Path, file: &ServeFile) -> Result<(), CacheError> {
    if let Some((folders, _)) = file.path.rsplit_once('/') {
        let mut folder = below.to_owned();
        for part in folders.split('/') {
            folder.push(part);
            if !folder.is_dir() {
                make_folder(&folder)?;
            }
        }
    }
    write_file(&below.join(&file.path), &file.text)
}

fn remove_file(path: &Path) -> Result<(), CacheError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error(path, "remove")(error))
        }
        _ => Ok(()),
    }
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
