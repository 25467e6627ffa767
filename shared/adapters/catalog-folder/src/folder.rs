//! Catalogs as folders of files (spec index-database §12, §13).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use iib_fbc::{
    Catalog, Documents, Form, ObjectFault, Origins, OwnedBlob, ReadError, Report, Rules, check,
    check_objects, is_folder_name, layout_fault, take_objects_in, write_blob,
};
use walkdir::WalkDir;

use crate::cache::Stored;
use crate::ignore_file::Patterns;
use crate::parallel;

/// The largest file that is read, in bytes. The largest catalogs known have some 200 MiB in all.
const FILE_LIMIT: u64 = 1 << 30;
/// The largest file of a single object.
const OBJECT_LIMIT: u64 = 16 << 20;

/// Bytes written at once.
pub(crate) const BUFFER: usize = 1 << 18;

pub(crate) const IGNORE_FILE: &str = ".indexignore";

/// A catalog folder cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
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
    /// A file that is larger than any catalog.
    #[error("{} is larger than {limit} bytes: leave it out with an {IGNORE_FILE} file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file that is no catalog.
    #[error("{}: {fault}", path.display())]
    Read {
        /// The file, relative to the folder.
        path: PathBuf,
        /// What is wrong; part of the message, so not a source.
        fault: ReadError,
    },
    /// A bundle with objects or properties that cannot be read.
    #[error("{}: read bundle objects: package {package:?}, bundle {bundle:?}: {fault}", path.display())]
    Objects {
        /// The file, relative to the folder.
        path: PathBuf,
        /// The bundle's package.
        package: String,
        /// The bundle.
        bundle: String,
        /// What is wrong; part of the message, so not a source.
        fault: Box<ObjectFault>,
    },
    /// The folder for a new catalog has something in it.
    #[error("output dir {path:?} must be empty: choose another, or remove what is in it")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A package whose name cannot be that of a folder.
    #[error("the package {0:?} has a name that cannot be that of a folder")]
    PackageName(String),
    /// A file that is not what it was when the folder was opened.
    #[error("{} changed while it was read: try again", path.display())]
    Changed {
        /// The file, relative to the folder.
        path: PathBuf,
    },
}

/// A catalog folder. Opening it reads all of it once and keeps an outline; the contents, which are
/// nearly all of a catalog, are read again when they are wanted, a package at a time.
#[derive(Debug, Clone)]
pub struct CatalogFolder {
    pub(crate) root: PathBuf,
    /// By which it is read and checked.
    pub(crate) rules: Rules,
    pub(crate) outline: Catalog,
    pub(crate) origins: Origins,
    /// Where the objects of each package are; those of none are under the empty name.
    pub(crate) packages: BTreeMap<String, Vec<Spot>>,
    found: Found,
    /// The serve cache that was made of it last.
    pub(crate) cached: Option<Box<Stored>>,
}

/// What a folder has, whether or not it makes a catalog.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Files that were read.
    pub files: usize,
    /// Files that ignore files leave out.
    pub left_out: usize,
    /// Templates a catalog is made from, by file and schema, each once.
    pub templates: BTreeSet<(String, String)>,
}

/// An object without its contents, and where it is.
struct Object {
    spot: Spot,
    outline: OwnedBlob,
}

/// Where an object is.
#[derive(Debug, Clone)]
pub(crate) struct Spot {
    /// The file, relative to the folder.
    pub(crate) file: Arc<Path>,
    /// Its bytes.
    pub(crate) at: Range<u64>,
    pub(crate) form: Form,
    /// Files with objects of the bundle, relative to the folder.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) holds: Holds,
}

/// What an object is, as far as changing a package depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// A package, a channel or a bundle.
    Part,
    /// Deprecations.
    Deprecations,
    /// An object of another schema.
    Other,
}

impl Holds {
    fn of(blob: &OwnedBlob) -> Self {
        match blob {
            OwnedBlob::Package(_) | OwnedBlob::Channel(_) | OwnedBlob::Bundle(_) => Self::Part,
            OwnedBlob::Other(other) if other.is_deprecations() => Self::Deprecations,
            OwnedBlob::Other(_) => Self::Other,
        }
    }
}

impl CatalogFolder {
    /// Reads every catalog file below a folder, in the order of their paths, by the rules of version
    /// 1.26.4.
    ///
    /// # Errors
    /// [`FolderError`], the first.
    pub fn open(root: &Path) -> Result<Self, FolderError> {
        Self::open_by(root, Rules::Opm126)
    }

    /// The same by these rules.
    ///
    /// # Errors
    /// [`FolderError`], the first.
    pub fn open_by(root: &Path, rules: Rules) -> Result<Self, FolderError> {
        let (files, left_out) = files(root)?;
        let mut folder = Self::of_files(root, files, rules)?;
        folder.found.left_out = left_out;
        Ok(folder)
    }

    /// Reads a single catalog file, or a link to one. No ignore file applies: it was named. Objects
    /// in files of their own are looked for in its folder, where the rules know such.
    ///
    /// # Errors
    /// [`FolderError`], the first.
    pub fn open_file(file: &Path, rules: Rules) -> Result<Self, FolderError> {
        let (Some(name), Some(folder)) = (file.file_name(), file.parent()) else {
            let kind = io::Error::other("it is no file");
            return Err(io_error(file, "read")(kind));
        };
        let root = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        Self::of_files(root, vec![name.into()], rules)
    }

    fn of_files(root: &Path, files: Vec<PathBuf>, rules: Rules) -> Result<Self, FolderError> {
        let mut folder = Self {
            root: root.to_owned(),
            rules,
            outline: Catalog::default(),
            origins: Origins::default(),
            packages: BTreeMap::new(),
            found: Found {
                files: files.len(),
                ..Found::default()
            },
            cached: None,
        };
        let files: Vec<Arc<Path>> = files.into_iter().map(Into::into).collect();
        let read = parallel::each(&files, |file| folder.parse(file))?;
        for objects in read {
            folder.take(objects);
        }
        Ok(folder)
    }

    /// Takes in what a file holds.
    pub(crate) fn read_file(&mut self, file: &Arc<Path>) -> Result<(), FolderError> {
        let objects = self.parse(file)?;
        self.take(objects);
        Ok(())
    }

    /// What a file holds.
    fn parse(&self, file: &Arc<Path>) -> Result<Vec<Object>, FolderError> {
        let opened = regular(&self.root.join(file), FILE_LIMIT);
        let opened = opened.map_err(|error| error.within(&self.root))?;
        let mut objects = Vec::new();
        // What is wrong inside objects comes after all that is wrong with the file.
        let mut inside = None;
        for document in Documents::new(opened).by(self.rules) {
            let document = document.map_err(|fault| FolderError::Read {
                path: file.to_path_buf(),
                fault,
            })?;
            let mut blob = document.blob;
            let files = match self.take_objects_in(file, &mut blob) {
                Ok(files) => files,
                Err(fault) => {
                    inside.get_or_insert(fault);
                    continue;
                }
            };
            let spot = Spot {
                file: file.clone(),
                at: document.at,
                form: document.form,
                files,
                holds: Holds::of(&blob),
            };
            objects.push(Object {
                spot,
                outline: blob.outlined(self.rules),
            });
        }
        match inside {
            Some(fault) => Err(fault),
            None => Ok(objects),
        }
    }

    fn take(&mut self, objects: Vec<Object>) {
        for Object { spot, outline } in objects {
            let shown = spot.file.to_string_lossy();
            self.origins.note(outline.as_blob(), &shown);
            if let Some(schema) = outline.template_schema() {
                let template = (shown.into_owned(), schema.to_owned());
                self.found.templates.insert(template);
            }
            if let Some(cached) = &mut self.cached {
                cached.note_change(outline.package());
            }
            let spots = self.packages.entry(outline.package().to_owned());
            spots.or_default().push(spot);
            self.outline.push(outline);
        }
    }

    /// The catalog as far as checking, comparing and drawing need it ([`OwnedBlob::outlined`]).
    pub fn outline(&self) -> &Catalog {
        &self.outline
    }

    /// The rules it was opened by.
    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// The same catalog in another folder, which has the same files.
    #[must_use]
    pub fn in_folder(&self, root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            ..self.clone()
        }
    }

    /// Packages of which whoever reads the folder leaves something out: an ignore file applies to what was
    /// changed.
    ///
    /// # Errors
    /// [`FolderError`]: the folder cannot be listed.
    pub fn unseen(&self) -> Result<BTreeSet<String>, FolderError> {
        let (seen, _) = files(&self.root)?;
        let seen: BTreeSet<&Path> = seen.iter().map(PathBuf::as_path).collect();
        let is_unseen = |spots: &Vec<Spot>| spots.iter().any(|spot| !seen.contains(&*spot.file));
        let unseen = self.packages.iter().filter(|(_, spots)| is_unseen(spots));
        Ok(unseen.map(|(package, _)| package.clone()).collect())
    }

    /// What the folder has.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// Every fault of the catalog by the rules it was opened by, with the files it is in.
    pub fn check(&self) -> Report {
        let mut report = check(&self.outline, self.rules).located(&self.origins);
        if let Rules::Konflux(_) = self.rules {
            let packages = self.packages.iter().filter(|(name, _)| !name.is_empty());
            report.faults.extend(packages.filter_map(|(name, spots)| {
                let files = spots.iter().map(|spot| spot.file.to_string_lossy());
                let files: BTreeSet<Cow<'_, str>> = files.collect();
                layout_fault(name, &files.iter().map(|file| &**file).collect())
            }));
        }
        report
    }

    /// Names of the packages, sorted; an empty one stands for objects without a package.
    pub fn packages(&self) -> impl Iterator<Item = &str> {
        self.packages.keys().map(String::as_str)
    }

    /// All of a package, sorted as the rules have it; nothing if it is not there.
    ///
    /// # Errors
    /// [`FolderError`]: a file is not what it was any more.
    pub fn package(&self, name: &str) -> Result<Catalog, FolderError> {
        let mut catalog = Catalog::default();
        let mut open: Option<(&Path, File)> = None;
        for spot in self.packages.get(name).into_iter().flatten() {
            let file = &spot.file;
            let full = self.root.join(file);
            let opened = match open.take() {
                Some((path, opened)) if path == &**file => opened,
                _ => File::open(&full).map_err(io_error(&full, "read"))?,
            };
            catalog.push(self.blob(name, spot, &opened)?);
            open = Some((file, opened));
        }
        match self.rules {
            Rules::Opm126 => catalog.sort(),
            Rules::OpmNewest | Rules::Konflux(_) => catalog.sort_as_newest(),
        }
        Ok(catalog)
    }

    /// The object at a place in a file, which is open.
    pub(crate) fn blob(
        &self,
        package: &str,
        spot: &Spot,
        mut opened: &File,
    ) -> Result<OwnedBlob, FolderError> {
        let Spot { file, at, .. } = spot;
        let full = self.root.join(file);
        opened
            .seek(SeekFrom::Start(at.start))
            .map_err(io_error(&full, "read"))?;
        let part = opened.take(at.end - at.start);
        let document = Documents::of_part(part, spot.form).by(self.rules).next();
        let mut blob = match document {
            Some(Ok(document)) if document.blob.package() == package => document.blob,
            _ => {
                return Err(FolderError::Changed {
                    path: file.to_path_buf(),
                });
            }
        };
        if !spot.files.is_empty() {
            self.take_objects_in(file, &mut blob)?;
        }
        Ok(blob)
    }

    /// Checks the objects of a bundle, takes in those that are in files of their own, and tells which
    /// these are.
    fn take_objects_in(
        &self,
        file: &Path,
        blob: &mut OwnedBlob,
    ) -> Result<Vec<PathBuf>, FolderError> {
        let mut files = Vec::new();
        let OwnedBlob::Bundle(bundle) = blob else {
            return Ok(files);
        };
        let folder = file.parent().unwrap_or(Path::new(""));
        let taken = match self.rules {
            Rules::Opm126 => take_objects_in(bundle, |name| {
                let path = inside(folder, name);
                let path = path.ok_or_else(|| "it is outside the catalog's folder".to_owned())?;
                let object = object(&self.root, &path)?;
                files.push(path);
                Ok(object)
            }),
            // Files are not gone to any more.
            Rules::OpmNewest | Rules::Konflux(_) => check_objects(bundle),
        };
        match taken {
            Ok(()) => Ok(files),
            Err(fault) => Err(FolderError::Objects {
                path: file.to_owned(),
                package: bundle.package.clone(),
                bundle: bundle.name.clone(),
                fault: Box::new(fault),
            }),
        }
    }
}

/// The whole catalog of a folder as one value, package by package.
///
/// # Errors
/// As of [`CatalogFolder`].
pub fn read_folder(root: &Path) -> Result<Catalog, FolderError> {
    let folder = CatalogFolder::open(root)?;
    let mut catalog = Catalog::default();
    for name in folder.packages() {
        catalog.extend(folder.package(name)?);
    }
    Ok(catalog)
}

/// A file with an object.
fn object(root: &Path, file: &Path) -> Result<Vec<u8>, String> {
    read(&root.join(file), OBJECT_LIMIT).map_err(|error| match error {
        FolderError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            format!("open {}: no such file or directory", file.display())
        }
        FolderError::Io { source, .. } => source.to_string(),
        other => other.within(root).to_string(),
    })
}

impl FolderError {
    /// The same with the file as it is called in the catalog, as far as it is the catalog's fault.
    fn within(self, root: &Path) -> Self {
        match self {
            Self::TooLarge { path, limit } => Self::TooLarge {
                path: path.strip_prefix(root).unwrap_or(&path).to_owned(),
                limit,
            },
            other => other,
        }
    }
}

/// A path relative to a folder, without dots; `None` if it leads out of the root.
fn inside(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut path = folder.to_owned();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FolderError> {
    let mut bytes = Vec::new();
    regular(path, limit)?
        .read_to_end(&mut bytes)
        .map_err(io_error(path, "read"))?;
    Ok(bytes)
}

/// A regular file, or a link to one, up to a limit. Anything else could block or never end.
fn regular(path: &Path, limit: u64) -> Result<io::Take<File>, FolderError> {
    let failed = io_error(path, "read");
    let metadata = fs::metadata(path).map_err(&failed)?;
    if !metadata.is_file() {
        let kind = io::Error::other("it is no regular file: leave it out of the catalog");
        return Err(failed(kind));
    }
    if metadata.len() > limit {
        return Err(FolderError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(File::open(path).map_err(failed)?.take(limit))
}

/// The catalog's files relative to the root, sorted, without those that ignore files name, and the
/// number of these.
fn files(root: &Path) -> Result<(Vec<PathBuf>, usize), FolderError> {
    let mut patterns = Patterns::default();
    let mut found = Vec::new();
    for entry in WalkDir::new(root).sort_by_file_name() {
        let entry = entry.map_err(|error| FolderError::Io {
            path: error.path().unwrap_or(root).to_owned(),
            action: "list",
            source: error.into(),
        })?;
        if entry.file_type().is_dir() {
            continue;
        }
        let Ok(path) = entry.path().strip_prefix(root) else {
            continue;
        };
        if entry.file_name() == IGNORE_FILE {
            let lines = read(entry.path(), OBJECT_LIMIT)?;
            let folder = path.parent().unwrap_or(Path::new(""));
            patterns.add(folder, &String::from_utf8_lossy(&lines));
        } else {
            found.push(path.to_owned());
        }
    }
    let all = found.len();
    found.retain(|file| !patterns.leave_out(file));
    let left_out = all - found.len();
    Ok((found, left_out))
}

/// Writes a catalog into a folder, a file for each package: `<package>/catalog.json`. The same
/// content gives the same bytes. Objects without a package go into `catalog.json`.
///
/// # Errors
/// As of [`FolderWriter`].
pub fn write_folder(catalog: Catalog, root: &Path) -> Result<(), FolderError> {
    let mut writer = FolderWriter::new(root)?;
    for (package, part) in catalog.by_package() {
        writer.package(&package, &part)?;
    }
    writer.finish()
}

/// Writes a catalog package by package. A folder that was not there is there when all of it is; one
/// that was there and empty is filled at the end.
#[derive(Debug)]
pub struct FolderWriter {
    root: PathBuf,
    /// Whether the folder was there: it may be one that cannot be replaced, such as a mount.
    existed: bool,
    /// Where the catalog is until then; removed when dropped.
    partial: PathBuf,
}

impl FolderWriter {
    /// Begins a catalog in a folder that is absent or empty.
    ///
    /// # Errors
    /// [`FolderError::NotEmpty`] if there is something in it; it cannot be listed or made.
    pub fn new(root: &Path) -> Result<Self, FolderError> {
        // Without a slash at the end, behind which a name would be one inside the folder.
        let root: PathBuf = root.components().collect();
        let existed = match fs::read_dir(&root).map(|mut entries| entries.next().is_some()) {
            Ok(true) => return Err(FolderError::NotEmpty { path: root }),
            Ok(false) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(io_error(&root, "list")(error)),
        };
        let partial = if existed {
            root.join(format!(".{}.partial", std::process::id()))
        } else {
            let mut name = root.as_os_str().to_owned();
            name.push(format!(".{}.partial", std::process::id()));
            PathBuf::from(name)
        };
        remove(&partial).map_err(io_error(&partial, "remove"))?;
        fs::create_dir_all(&partial).map_err(io_error(&partial, "create"))?;
        Ok(Self {
            root,
            existed,
            partial,
        })
    }

    /// Writes the objects of a package; those of no package, whose name is empty, go into the folder itself
    /// (newest-opm §3).
    ///
    /// # Errors
    /// The package has a name that is no folder's, or writing fails.
    pub fn package(&mut self, name: &str, catalog: &Catalog) -> Result<(), FolderError> {
        if !name.is_empty() {
            check_folder_name(name)?;
        }
        let folder = self.partial.join(name);
        fs::create_dir_all(&folder).map_err(io_error(&folder, "create"))?;
        let path = folder.join("catalog.json");
        let failed = io_error(&path, "write");
        let mut out = BufWriter::with_capacity(BUFFER, File::create(&path).map_err(&failed)?);
        for blob in catalog.blobs() {
            write_blob(blob, &mut out).map_err(&failed)?;
        }
        out.flush().map_err(failed)
    }

    /// Puts the catalog in its place.
    ///
    /// # Errors
    /// It cannot be renamed.
    pub fn finish(self) -> Result<(), FolderError> {
        let failed = io_error(&self.root, "fill");
        if !self.existed {
            return fs::rename(&self.partial, &self.root).map_err(failed);
        }
        for entry in fs::read_dir(&self.partial).map_err(&failed)? {
            let entry = entry.map_err(&failed)?;
            fs::rename(entry.path(), self.root.join(entry.file_name())).map_err(&failed)?;
        }
        Ok(())
    }
}

impl Drop for FolderWriter {
    fn drop(&mut self) {
        // Renamed away, or of no use to anybody.
        let _ = remove(&self.partial);
    }
}

/// A package's name is that of its folder.
pub(crate) fn check_folder_name(name: &str) -> Result<(), FolderError> {
    match is_folder_name(name) {
        true => Ok(()),
        false => Err(FolderError::PackageName(name.to_owned())),
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

pub(crate) fn io_error<'a>(
    path: &'a Path,
    action: &'static str,
) -> impl Fn(io::Error) -> FolderError + 'a {
    move |source| FolderError::Io {
        path: path.to_owned(),
        action,
        source,
    }
}
