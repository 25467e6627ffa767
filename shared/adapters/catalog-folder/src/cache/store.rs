//! A serve cache whose files lie one behind the other in a few files of this machine.
//!
//! A cache has a file for each bundle in each channel: thousands, which are made to be packed into a layer. So many
//! files cost a file system more than the bytes in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use iib_fbc::{ServeFile, ServeForm, ServePlan};
use iib_ports::{CacheContent, CacheMember, Stretch};

use super::{CacheError, DIGEST, FILE_MODE, FILES, FOLDER_MODE, digest, io_error, warnings};
use crate::folder::CatalogFolder;
use crate::parallel;

/// Files that a store has at most.
const SEGMENTS: usize = 64;
/// Bytes of no use that are not worth moving the others.
const SLACK: u64 = 1 << 20;

/// The cache that was made of a catalog.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    form: ServeForm,
    /// The file with all packages.
    packages: Placed,
    /// Its other files, by package. Names of several packages can make the same path, and that of the last
    /// package counts.
    files: BTreeMap<String, Vec<Placed>>,
    /// The packages that changed since.
    changed: BTreeSet<String>,
}

/// A file of a cache.
#[derive(Debug, Clone)]
struct Placed {
    /// Below the folder of files.
    path: String,
    stretch: Stretch,
}

impl Stored {
    /// Something of a package changed.
    pub(crate) fn note_change(&mut self, package: &str) {
        if !self.changed.contains(package) {
            self.changed.insert(package.to_owned());
        }
    }

    /// The files that count, by path.
    fn by_path(&self) -> BTreeMap<&str, &Stretch> {
        let files = self.files.values().flatten();
        let all = [&self.packages].into_iter().chain(files);
        all.map(|file| (&*file.path, &file.stretch)).collect()
    }

    fn segments(&self) -> BTreeSet<&str> {
        let files = self.files.values().flatten();
        let all = [&self.packages].into_iter().chain(files);
        all.map(|file| &*file.stretch.file).collect()
    }
}

impl CatalogFolder {
    /// Makes the cache of the catalog as it is now, which has no faults, in files in the folder `store`. If that
    /// is the store of the cache that was made of this catalog last, in the same form, just files of packages that
    /// changed since are made anew; otherwise all that is in the folder goes. What is in a store is never written to
    /// again. What it gives are words for people.
    ///
    /// # Errors
    /// [`CacheError`]. The next cache is made from nothing then.
    pub fn store_cache(
        &mut self,
        store: &Path,
        form: ServeForm,
    ) -> Result<Vec<String>, CacheError> {
        let plan = ServePlan::new(self.outline(), form)?;
        let older = self.cached.take().filter(|older| older.form == form);
        let older = older.filter(|older| {
            let mut segments = older.segments().into_iter();
            segments.all(|segment| store.join(segment).is_file())
        });
        let (touched, mut kept) = match older {
            Some(older) => (older.changed, older.files),
            None => {
                renew(store)?;
                let all = self.packages().map(str::to_owned).collect();
                (all, BTreeMap::new())
            }
        };
        let segment = Segment::create(store)?;
        for package in &touched {
            kept.remove(package);
        }
        let there: Vec<&String> = touched
            .iter()
            .filter(|package| self.packages.contains_key(*package))
            .collect();
        let packages = segment.add(plan.packages(self.outline()))?;
        let made = parallel::each(&there, |package| {
            let mut files = Vec::new();
            plan.package(&self.package(package)?, |file| {
                files.push(segment.add(file)?);
                Ok::<_, CacheError>(())
            })?;
            Ok::<_, CacheError>(((*package).to_owned(), files))
        })?;
        kept.extend(made);
        let mut stored = Stored {
            form,
            packages,
            files: kept,
            changed: BTreeSet::new(),
        };
        tidy(store, &segment, &mut stored)?;
        self.cached = Some(Box::new(stored));
        Ok(warnings(self, plan))
    }

    /// All that is in the folder of the cache that was made last; nothing if none was made.
    pub fn cache_members(&self) -> Vec<CacheMember> {
        let Some(stored) = &self.cached else {
            return Vec::new();
        };
        let folder = |path: String| CacheMember {
            path,
            mode: FOLDER_MODE,
            content: CacheContent::Folder,
        };
        let files = stored.by_path();
        let mut folders = BTreeSet::from([FILES.to_owned()]);
        for path in files.keys() {
            let ends = path.match_indices('/');
            folders.extend(ends.map(|(end, _)| format!("{FILES}/{}", &path[..end])));
        }
        let mut members: Vec<CacheMember> = folders.into_iter().map(folder).collect();
        members.extend(files.into_iter().map(|(path, stretch)| CacheMember {
            path: format!("{FILES}/{path}"),
            mode: FILE_MODE,
            content: CacheContent::Stored(stretch.clone()),
        }));
        members.push(CacheMember {
            path: DIGEST.to_owned(),
            mode: FILE_MODE,
            content: CacheContent::Digest,
        });
        members
    }

    /// The digest of the cache that was made last, 16 hexadecimal digits. It depends on the permission bits of
    /// the catalog's files and folders.
    ///
    /// # Errors
    /// [`CacheError`]: a file cannot be read.
    pub fn cache_digest(&self, store: &Path) -> Result<String, CacheError> {
        let Some(stored) = &self.cached else {
            let missing = io::Error::from(io::ErrorKind::NotFound);
            return Err(io_error(store, "find the cache in")(missing));
        };
        digest::of_catalog(&self.root)?.with_stored(&stored.by_path(), store)
    }
}

/// Leaves an empty store.
fn renew(store: &Path) -> Result<(), CacheError> {
    match fs::remove_dir_all(store) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error(store, "remove")(error));
        }
        _ => {}
    }
    fs::create_dir_all(store).map_err(io_error(store, "create"))
}

fn names(store: &Path) -> Result<Vec<String>, CacheError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(store).map_err(io_error(store, "list"))? {
        let entry = entry.map_err(io_error(store, "list"))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// Moves together what is kept if it is in too many files or among too much of no use, and removes files that are
/// needed no more. So a store has few files, and about twice the bytes of its cache at most.
fn tidy(store: &Path, segment: &Segment, stored: &mut Stored) -> Result<(), CacheError> {
    let used: u64 = stored.by_path().values().map(|stretch| stretch.size).sum();
    let mut there = 0;
    for name in stored.segments() {
        let path = store.join(name);
        there += fs::metadata(&path).map_err(io_error(&path, "read"))?.len();
    }
    if stored.segments().len() > SEGMENTS || there > used.saturating_mul(2).saturating_add(SLACK) {
        for file in stored.files.values_mut().flatten() {
            if file.stretch.file != segment.name {
                file.stretch = segment.take_over(store, &file.stretch)?;
            }
        }
    }
    let segments = stored.segments();
    for name in names(store)? {
        if !segments.contains(&*name) {
            let path = store.join(name);
            fs::remove_file(&path).map_err(io_error(&path, "remove"))?;
        }
    }
    Ok(())
}

/// A file of a store while it is written, by several threads.
struct Segment {
    path: PathBuf,
    name: Arc<str>,
    file: File,
    /// Bytes that are taken.
    end: AtomicU64,
}

impl Segment {
    /// Its name is that of no other file of this process, so what is said of one is never found in another.
    fn create(store: &Path) -> Result<Self, CacheError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name: Arc<str> = number.to_string().into();
        let path = store.join(&*name);
        let file = File::create_new(&path).map_err(io_error(&path, "create"))?;
        Ok(Self {
            path,
            name,
            file,
            end: AtomicU64::new(0),
        })
    }

    fn add(&self, file: ServeFile) -> Result<Placed, CacheError> {
        let stretch = self.write(file.text.as_bytes())?;
        let path = file.path;
        Ok(Placed { path, stretch })
    }

    fn write(&self, bytes: &[u8]) -> Result<Stretch, CacheError> {
        let size = bytes.len() as u64;
        let at = self.end.fetch_add(size, Ordering::Relaxed);
        let written = self.file.write_all_at(bytes, at);
        written.map_err(io_error(&self.path, "write"))?;
        Ok(Stretch {
            file: self.name.clone(),
            at,
            size,
        })
    }

    fn take_over(&self, store: &Path, stretch: &Stretch) -> Result<Stretch, CacheError> {
        let path = store.join(&*stretch.file);
        let mut bytes = vec![0; stretch.size as usize];
        let read = File::open(&path).and_then(|file| file.read_exact_at(&mut bytes, stretch.at));
        read.map_err(io_error(&path, "read"))?;
        self.write(&bytes)
    }
}
