//! Changing a catalog folder package by package. What is not touched keeps its bytes.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use iib_fbc::{Blob, Catalog, Deprecations, Form, write_blob};
use walkdir::WalkDir;

use crate::folder::{
    BUFFER, CatalogFolder, FolderError, Holds, IGNORE_FILE, Spot, check_folder_name, io_error,
};

/// The file of a package in its folder.
const FILE: &str = "catalog.json";
/// What stands between documents of YAML.
const SEPARATOR: &[u8] = b"---\n";
/// Bits of what is written here. They count: the digest of a serve cache is made over them.
const FILE_MODE: u32 = 0o644;
const FOLDER_MODE: u32 = 0o755;

/// Changes. After a failure the folder may be changed in part.
impl CatalogFolder {
    /// Takes a package out, with its folder and whatever else belongs to it, and says whether it was
    /// there.
    ///
    /// # Errors
    /// [`FolderError`]: a file cannot be written.
    pub fn remove(&mut self, package: &str) -> Result<bool, FolderError> {
        if !self.cut(package, |_| true)? {
            return Ok(false);
        }
        self.forget(package);
        let folder = self.root.join(package);
        let inside = |spot: &Spot| spot.file.starts_with(package);
        let uses = |spot: &Spot| spot.files.iter().any(|file| file.starts_with(package));
        let mut others = self.packages.iter().filter(|(owner, _)| !owner.is_empty());
        let is_shared = others.any(|(_, spots)| {
            let mut spots = spots.iter();
            spots.any(|spot| inside(spot) || uses(spot))
        });
        let is_folder = check_folder_name(package).is_ok() && folder.is_dir();
        if package.is_empty() || !is_folder || is_shared {
            return Ok(true);
        }
        // What belongs to no package, or is no catalog at all, goes along.
        if self.cut("", inside)? {
            self.outline
                .others
                .retain(|other| !other.package.is_empty());
            self.outline_again("", &self.spots(""))?;
        }
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error(&folder, "remove")(error))
            }
            _ => Ok(true),
        }
    }

    /// Puts channels, bundles and the package itself in place of those that are there, into
    /// `<package>/catalog.json`. Objects of other schemas stay as they are, and where they are.
    ///
    /// # Errors
    /// [`FolderError`]: a file cannot be read or written, or the package has a name that is no
    /// folder's.
    pub fn replace(&mut self, package: &str, content: &Catalog) -> Result<(), FolderError> {
        check_folder_name(package)?;
        let file = Path::new(package).join(FILE);
        let kept = self.others_in(package, &file)?;
        self.cut(package, |spot| {
            spot.holds == Holds::Part || kept.is_some() && *spot.file == *file
        })?;
        self.forget(package);
        let file = self.free(&file);
        self.write(&file, |out| {
            for blob in content.blobs() {
                write_blob(blob, out)?;
            }
            out.write_all(kept.as_deref().unwrap_or_default())
        })?;
        let elsewhere = self.spots(package);
        self.read_file(&file.into())?;
        self.outline_again(package, &elsewhere)
    }

    /// Puts deprecations of a package in place of those it has, into
    /// `<folder>/<package>/<package>.json`.
    ///
    /// # Errors
    /// As of [`CatalogFolder::replace`].
    pub fn deprecate(
        &mut self,
        folder: &str,
        deprecations: &Deprecations,
    ) -> Result<(), FolderError> {
        let package = &deprecations.package;
        check_folder_name(package)?;
        self.cut(package, |spot| spot.holds == Holds::Deprecations)?;
        let others = &mut self.outline.others;
        others.retain(|other| other.package != *package || !other.is_deprecations());
        let file = Path::new(folder)
            .join(package)
            .join(format!("{package}.json"));
        let file = self.free(&file);
        self.write(&file, |out| write_blob(deprecations.blob(), out))?;
        self.read_file(&file.into())
    }

    /// Puts the packages of another folder in place of those of the same name, as files where their
    /// folders hold all of them and nothing else, else written anew. Objects without a package come
    /// along.
    ///
    /// # Errors
    /// As of [`CatalogFolder::replace`].
    pub fn merge(&mut self, fragment: &Self) -> Result<(), FolderError> {
        let names: Vec<&str> = fragment
            .packages()
            .filter(|name| !name.is_empty())
            .collect();
        for name in &names {
            check_folder_name(name)?;
            self.remove(name)?;
        }
        let mut copied = BTreeSet::new();
        for name in names {
            // Where others had something in the folder it is there still.
            if fragment.has_folder_of_its_own(name) && !self.root.join(name).exists() {
                let files = self.copy_folder(fragment, name)?;
                for file in &files {
                    self.read_file(file)?;
                }
                copied.extend(files);
            } else {
                let content = fragment.package(name)?;
                let file = self.free(&Path::new(name).join(FILE));
                self.write(&file, |out| {
                    (content.blobs()).try_for_each(|blob| write_blob(blob, out))
                })?;
                self.read_file(&file.into())?;
            }
        }
        let of_none = fragment.packages.get("").into_iter().flatten();
        let of_none: Vec<&Spot> = of_none
            .filter(|spot| !copied.contains(&spot.file))
            .collect();
        let in_text = |blob: Blob<'_>| {
            let mut text = Vec::new();
            let written = write_blob(blob, &mut text);
            written
                .map(|()| text)
                .map_err(io_error(&self.root, "write"))
        };
        // They may have come with the fragment before.
        let known = self.package("")?;
        let known: Result<BTreeSet<Vec<u8>>, _> = known.blobs().map(in_text).collect();
        let mut known = known?;
        let mut text = Vec::new();
        for spot in of_none {
            let path = fragment.root.join(&spot.file);
            let opened = File::open(&path).map_err(io_error(&path, "read"))?;
            let object = in_text(fragment.blob("", spot, &opened)?.as_blob())?;
            if !known.contains(&object) {
                text.extend_from_slice(&object);
                known.insert(object);
            }
        }
        if text.is_empty() {
            return Ok(());
        }
        let file = self.free(Path::new(FILE));
        self.write(&file, |out| out.write_all(&text))?;
        self.read_file(&file.into())
    }

    /// Whether the folder with a package's name has all of the package, and no more than what belongs
    /// to nobody else.
    fn has_folder_of_its_own(&self, package: &str) -> bool {
        // What an ignore file above it leaves out would be seen in another catalog.
        if self.root.join(IGNORE_FILE).exists() {
            return false;
        }
        let inside = |spot: &Spot| spot.file.starts_with(package);
        self.packages.iter().all(|(owner, spots)| {
            if owner == package {
                // Objects in files of their own may be elsewhere.
                spots
                    .iter()
                    .all(|spot| inside(spot) && spot.files.is_empty())
            } else {
                owner.is_empty() || !spots.iter().any(inside)
            }
        })
    }

    /// Copies the folder of a package, and gives the catalog files in it.
    fn copy_folder(
        &self,
        fragment: &Self,
        package: &str,
    ) -> Result<BTreeSet<Arc<Path>>, FolderError> {
        let from = fragment.root.join(package);
        for entry in WalkDir::new(&from).sort_by_file_name() {
            let entry = entry.map_err(|error| FolderError::Io {
                path: error.path().unwrap_or(&from).to_owned(),
                action: "list",
                source: error.into(),
            })?;
            let Ok(relative) = entry.path().strip_prefix(&fragment.root) else {
                continue;
            };
            let to = self.root.join(relative);
            if entry.file_type().is_dir() {
                make_folder(&to)?;
            } else {
                fs::copy(entry.path(), &to).map_err(io_error(&to, "write"))?;
                set_mode(&to, FILE_MODE)?;
            }
        }
        let spots = fragment.packages.values().flatten();
        let files = spots.filter(|spot| spot.file.starts_with(package));
        Ok(files.map(|spot| spot.file.clone()).collect())
    }

    /// The bytes of the objects of other schemas in the package's file, if nothing else stands in it
    /// but the package's own: they are written again behind the new ones.
    fn others_in(&self, package: &str, file: &Path) -> Result<Option<Vec<u8>>, FolderError> {
        let here = |spot: &&Spot| *spot.file == *file;
        let foreign = |(owner, spots): (&String, &Vec<Spot>)| {
            owner != package && spots.iter().any(|spot| here(&spot))
        };
        let own: Vec<&Spot> = (self.packages.get(package).into_iter().flatten())
            .filter(here)
            .collect();
        let is_json = own.iter().all(|spot| spot.form == Form::Json);
        if own.is_empty() || !is_json || self.packages.iter().any(foreign) {
            return Ok(None);
        }
        let path = self.root.join(file);
        let failed = io_error(&path, "read");
        let mut opened = File::open(&path).map_err(&failed)?;
        let mut kept = Vec::new();
        for spot in own.iter().filter(|spot| spot.holds != Holds::Part) {
            opened
                .seek(SeekFrom::Start(spot.at.start))
                .map_err(&failed)?;
            let mut part = (&opened).take(spot.at.end - spot.at.start);
            part.read_to_end(&mut kept).map_err(&failed)?;
            kept.push(b'\n');
        }
        Ok(Some(kept))
    }

    /// Takes objects of a package out of their files. A file with nothing else goes, and so do folders
    /// that are empty then.
    fn cut(&mut self, package: &str, which: impl Fn(&Spot) -> bool) -> Result<bool, FolderError> {
        let Some(spots) = self.packages.remove(package) else {
            return Ok(false);
        };
        let (gone, kept): (Vec<Spot>, Vec<Spot>) = spots.into_iter().partition(which);
        if let Some(cached) = &mut self.cached {
            cached.note_change(package);
        }
        if !kept.is_empty() {
            self.packages.insert(package.to_owned(), kept);
        }
        let files: BTreeSet<Arc<Path>> = gone.iter().map(|spot| spot.file.clone()).collect();
        for file in files {
            let others = self.packages.values_mut().flatten();
            let mut left: Vec<&mut Spot> = others.filter(|spot| spot.file == file).collect();
            let path = self.root.join(&file);
            if left.is_empty() {
                fs::remove_file(&path).map_err(io_error(&path, "remove"))?;
                self.remove_empty_folders(&file)?;
                continue;
            }
            left.sort_by_key(|spot| spot.at.start);
            keep_only(&path, &mut left).map_err(io_error(&path, "write"))?;
        }
        Ok(!gone.is_empty())
    }

    fn remove_empty_folders(&self, file: &Path) -> Result<(), FolderError> {
        for folder in file.ancestors().skip(1) {
            if folder.as_os_str().is_empty() {
                break;
            }
            let path = self.root.join(folder);
            match fs::remove_dir(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => break,
                Err(error) => return Err(io_error(&path, "remove")(error)),
            }
        }
        Ok(())
    }

    fn spots(&self, package: &str) -> Vec<Spot> {
        self.packages.get(package).cloned().unwrap_or_default()
    }

    /// Takes objects that stayed where they are into the outline again.
    fn outline_again(&mut self, package: &str, spots: &[Spot]) -> Result<(), FolderError> {
        for spot in spots {
            let path = self.root.join(&spot.file);
            let opened = File::open(&path).map_err(io_error(&path, "read"))?;
            let blob = self.blob(package, spot, &opened)?;
            self.outline.push(blob.outlined(self.rules));
        }
        Ok(())
    }

    fn forget(&mut self, package: &str) {
        self.outline
            .remove_packages(&BTreeSet::from([package.to_owned()]));
        self.origins.forget(package);
    }

    /// A name near this one that no file has, in a folder that can be made.
    fn free(&self, file: &Path) -> PathBuf {
        let mut free = PathBuf::new();
        for folder in file.parent().into_iter().flat_map(Path::components) {
            free.push(folder);
            let path = self.root.join(&free);
            if path.exists() && !path.is_dir() {
                free = self.unused(free);
            }
        }
        free.push(file.file_name().unwrap_or_default());
        self.unused(free)
    }

    fn unused(&self, path: PathBuf) -> PathBuf {
        let is_taken = |path: &Path| self.root.join(path).exists();
        if !is_taken(&path) {
            return path;
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let end = path.extension().map(|end| end.to_string_lossy());
        let end = end.map(|end| format!(".{end}")).unwrap_or_default();
        let names = (2..).map(|number| path.with_file_name(format!("{stem}-{number}{end}")));
        let free = names.into_iter().find(|name| !is_taken(name));
        free.unwrap_or_else(|| path.clone())
    }

    fn write(
        &self,
        file: &Path,
        content: impl FnOnce(&mut io::BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), FolderError> {
        let mut folder = self.root.clone();
        for part in file.parent().into_iter().flat_map(Path::components) {
            folder.push(part);
            make_folder(&folder)?;
        }
        let path = self.root.join(file);
        let written = || -> io::Result<()> {
            let mut out = io::BufWriter::with_capacity(BUFFER, File::create(&path)?);
            content(&mut out)?;
            out.flush()
        };
        written().map_err(io_error(&path, "write"))?;
        set_mode(&path, FILE_MODE)
    }
}

/// Writes a file again with these objects only, and notes where they are then. What stands between
/// them goes, but for what separates documents.
fn keep_only(path: &Path, left: &mut [&mut Spot]) -> io::Result<()> {
    let mut input = File::open(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (partial, file) = create_beside(path, &name)?;
    let mut out = io::BufWriter::with_capacity(BUFFER, file);
    let mut written = 0;
    for spot in left {
        input.seek(SeekFrom::Start(spot.at.start))?;
        let size = spot.at.end - spot.at.start;
        let mut part = Vec::new();
        (&input).take(size).read_to_end(&mut part)?;
        // Also before the first, which may have its own: an object in braces would make the file JSON.
        let is_separated = spot.form == Form::Json || part.starts_with(SEPARATOR);
        let separator = if is_separated { b"" } else { SEPARATOR };
        out.write_all(separator)?;
        let start = written + separator.len() as u64;
        spot.at = start..start + part.len() as u64;
        if part.last() != Some(&b'\n') {
            part.push(b'\n');
        }
        out.write_all(&part)?;
        written = start + part.len() as u64;
    }
    out.flush()?;
    let out = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    out.set_permissions(input.metadata()?.permissions())?;
    fs::rename(partial, path)
}

/// A new file beside another one. What is there already is not written to: it may have other names, too.
fn create_beside(path: &Path, name: &str) -> io::Result<(PathBuf, File)> {
    let mut number = 0;
    loop {
        let partial = path.with_file_name(format!(".{name}.{number}.partial"));
        match File::create_new(&partial) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            created => return Ok((partial, created?)),
        }
    }
}

fn make_folder(path: &Path) -> Result<(), FolderError> {
    match fs::create_dir(path) {
        Ok(()) => set_mode(path, FOLDER_MODE),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(io_error(path, "create")(error)),
    }
}

/// Modes are exact, whatever the process's mask.
fn set_mode(path: &Path, mode: u32) -> Result<(), FolderError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(io_error(path, "write"))
}

#[cfg(test)]
mod tests;
