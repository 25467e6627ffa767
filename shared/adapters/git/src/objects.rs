//! The objects of a repository, in a bare one of this machine: commits and trees are read and made without a checkout.
//!
//! What is fetched has the contents of files only where the server cannot leave them out. None is needed: files are
//! told apart by the names of their objects, and those that are new are copied in one after the other.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use git2::{
    ErrorCode, ObjectType, Odb, Oid, Repository, RepositoryInitOptions, Signature, Time, Tree,
};
use iib_ports::{CatalogUpdate, CommitNote, Made, Reverted};
use tempfile::TempDir;
use walkdir::WalkDir;

use crate::fault::Fault;

/// Who makes commits, as in the reference (worker flows §14).
const AUTHOR: (&str, &str) = ("IIB Worker", "iib-worker@redhat.com");
/// The mode of a file that is put into a repository.
const FILE: i32 = 0o100_644;
/// The mode of a folder.
const FOLDER: i32 = 0o040_000;
/// What is read at once.
const BUFFER: usize = 64 * 1024;
/// From which size on an object is packed by itself, bytes: comparing objects takes several of them into memory.
const LARGE: i64 = 1024 * 1024;
/// What comparing objects may take, bytes.
const WINDOW: i64 = 32 * 1024 * 1024;
/// Files below a folder that are looked at, at most; as many as a catalog may have.
const FILES: usize = 200_000;

/// Objects in a folder, which goes with the value.
pub(crate) struct Objects {
    folder: TempDir,
}

/// What is done to a folder of a tree, by name.
type Changes = BTreeMap<Vec<u8>, Change>;

/// What is done to an entry of a tree.
enum Change {
    Put(Entry),
    Remove,
    Below(Changes),
}

/// An object under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    id: Oid,
    mode: i32,
}

/// A commit with the objects that came with it.
pub(crate) struct New {
    pub(crate) commit: Oid,
    objects: Vec<Oid>,
}

impl Objects {
    /// No objects, in a folder below `scratch`.
    pub(crate) fn create(scratch: &Path) -> Result<Self, Fault> {
        let folder = tempfile::Builder::new()
            .prefix("iib-git-")
            .tempdir_in(scratch);
        let folder = folder.map_err(Fault::Scratch)?;
        let mut options = RepositoryInitOptions::new();
        // Nobody's template, whoever the process runs as.
        options.bare(true).external_template(false);
        let repository = Repository::init_opts(folder.path(), &options)?;
        // Files whose contents were left out are named in trees all the same.
        git2::opts::strict_object_creation(false);
        let mut config = repository.config()?;
        // By this name libgit2 1.9 has what Git calls the threshold of big files.
        config.set_i64("pack.deltaCacheSize", LARGE)?;
        config.set_i64("pack.windowMemory", WINDOW)?;
        Ok(Self { folder })
    }

    /// Where files of a call may be put.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn open(&self) -> Result<Repository, Fault> {
        Ok(Repository::open_bare(self.folder.path())?)
    }

    /// Takes in a pack.
    pub(crate) fn unpack(&self, pack: &mut dyn Read) -> Result<(), Fault> {
        let repository = self.open()?;
        let odb = repository.odb()?;
        let mut writer = odb.packwriter()?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = pack.read(&mut buffer).map_err(Fault::of_reading)?;
            let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else {
                break;
            };
            writer.write_all(read).map_err(Fault::Pack)?;
        }
        writer.commit()?;
        Ok(())
    }

    /// Whether a commit is `head` or before it, as far as commits are here, and whether its parent is here, too.
    pub(crate) fn holds(&self, head: Oid, commit: Oid) -> Result<bool, Fault> {
        let repository = self.open()?;
        let (mut seen, mut open) = (std::collections::BTreeSet::new(), vec![head]);
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            let Some(found) = found(repository.find_commit(id))? else {
                continue;
            };
            if id == commit {
                let mut parents = found.parent_ids();
                let odb = repository.odb()?;
                return Ok(parents.all(|parent| odb.exists(parent)));
            }
            open.extend(found.parent_ids());
        }
        Ok(false)
    }

    /// Makes a commit upon `head`.
    pub(crate) fn commit(
        &self,
        head: Oid,
        update: &CatalogUpdate,
    ) -> Result<(Made, Option<New>), Fault> {
        let repository = self.open()?;
        let odb = repository.odb()?;
        let tree = repository.find_commit(head)?.tree()?;
        let (mut changes, mut new, mut made) = (Changes::new(), Vec::new(), Made::default());
        for path in &update.removed {
            match entry_at(&repository, &tree, path.as_bytes())? {
                Some(_) => put(&mut changes, path.as_bytes(), Change::Remove),
                None => made.missing.push(path.clone()),
            }
        }
        for path in &update.written {
            let there = files_below(&repository, &tree, path)?;
            let here = update.folder.join(path);
            let mut known = BTreeMap::new();
            for (file, at) in files_of(&here)? {
                let id = Oid::hash_file(ObjectType::Blob, &at)?;
                let before = there.get(file.as_bytes());
                if before.is_none_or(|before| before.id != id) {
                    new.push(copy(&odb, &at)?);
                    let whole = format!("{path}/{file}");
                    let entry = Entry { id, mode: FILE };
                    put(&mut changes, whole.as_bytes(), Change::Put(entry));
                }
                known.insert(file.into_bytes(), ());
            }
            for file in there.keys().filter(|file| is_of_catalog(file)) {
                if !known.contains_key(file) {
                    let whole = [path.as_bytes(), b"/", file].concat();
                    put(&mut changes, &whole, Change::Remove);
                }
            }
        }
        let commit = write(&repository, head, &tree, &changes, new, &update.note)?;
        made.commit = commit.as_ref().map(|new| new.commit.to_string());
        Ok((made, commit))
    }

    /// Makes a commit upon `head` that puts back what `commit` changed.
    pub(crate) fn revert(
        &self,
        head: Oid,
        commit: Oid,
        note: &CommitNote,
    ) -> Result<(Reverted, Option<New>), Fault> {
        let repository = self.open()?;
        let now = repository.find_commit(head)?.tree()?;
        let commit = repository.find_commit(commit)?;
        let (after, before) = (commit.tree()?, commit.parent(0)?.tree()?);
        let diff = repository.diff_tree_to_tree(Some(&before), Some(&after), None)?;
        let mut touched: BTreeMap<Vec<u8>, [Option<Entry>; 2]> = BTreeMap::new();
        for delta in diff.deltas() {
            let sides = [delta.old_file(), delta.new_file()];
            for (side, file) in sides.iter().enumerate() {
                let Some(path) = file.path_bytes().filter(|_| !file.id().is_zero()) else {
                    continue;
                };
                let mode = u32::from(file.mode()).try_into().unwrap_or(FILE);
                let entry = Entry {
                    id: file.id(),
                    mode,
                };
                let of_path = touched.entry(path.to_owned()).or_default();
                if let Some(place) = of_path.get_mut(side) {
                    *place = Some(entry);
                }
            }
        }
        let (mut changes, mut reverted) = (Changes::new(), Reverted::default());
        for (path, [before, after]) in touched {
            let now = entry_at(&repository, &now, &path)?;
            match before {
                _ if now == before => {}
                _ if now != after => reverted
                    .left
                    .push(String::from_utf8_lossy(&path).into_owned()),
                Some(before) => put(&mut changes, &path, Change::Put(before)),
                None => put(&mut changes, &path, Change::Remove),
            }
        }
        let new = write(&repository, head, &now, &changes, Vec::new(), note)?;
        reverted.commit = new.as_ref().map(|new| new.commit.to_string());
        Ok((reverted, new))
    }

    /// Writes a pack with what came with a commit.
    pub(crate) fn pack(&self, new: &New, to: &mut dyn io::Write) -> Result<(), Fault> {
        let repository = self.open()?;
        let mut builder = repository.packbuilder()?;
        // Memory counts here, and there is little to compare.
        builder.set_threads(1);
        for id in &new.objects {
            builder.insert_object(*id, None)?;
        }
        let mut written = Ok(());
        let packed = builder.foreach(|bytes| {
            written = to.write_all(bytes);
            written.is_ok()
        });
        written.map_err(Fault::Scratch)?;
        Ok(packed?)
    }
}

/// Whether a file of a package's folder is one that catalogs are read from. Others are people's.
fn is_of_catalog(file: &[u8]) -> bool {
    let ends = [&b".json"[..], b".yaml", b".yml"];
    ends.iter().any(|end| file.ends_with(end))
}

/// The tree with the changes, and a commit with it upon `head`; none if it is the same tree.
fn write(
    repository: &Repository,
    head: Oid,
    tree: &Tree<'_>,
    changes: &Changes,
    mut new: Vec<Oid>,
    note: &CommitNote,
) -> Result<Option<New>, Fault> {
    let made = apply(repository, Some(tree), changes, &mut new)?;
    let made = match made {
        Some(made) => made,
        None => repository.treebuilder(None)?.write()?,
    };
    if made == tree.id() {
        return Ok(None);
    }
    let (name, address) = AUTHOR;
    let who = Signature::new(name, address, &Time::new(note.at.as_second(), 0))?;
    let parent = repository.find_commit(head)?;
    let made = repository.find_tree(made)?;
    let commit = repository.commit(None, &who, &who, &note.message, &made, &[&parent])?;
    let mut objects = vec![commit, made.id()];
    objects.append(&mut new);
    Ok(Some(New { commit, objects }))
}

/// Changes a tree, and notes the trees that are new; none if nothing is left in it.
fn apply(
    repository: &Repository,
    tree: Option<&Tree<'_>>,
    changes: &Changes,
    new: &mut Vec<Oid>,
) -> Result<Option<Oid>, Fault> {
    let mut builder = repository.treebuilder(tree)?;
    for (name, change) in changes {
        let before = tree.and_then(|tree| tree.get_name_bytes(name));
        let put = match change {
            Change::Put(entry) => Some(*entry),
            Change::Remove => None,
            Change::Below(changes) => {
                let folder = before.as_ref().filter(|entry| entry.filemode() == FOLDER);
                let folder = folder.map(|entry| repository.find_tree(entry.id()));
                let folder = folder.transpose()?;
                let made = apply(repository, folder.as_ref(), changes, new)?;
                made.map(|id| Entry { id, mode: FOLDER })
            }
        };
        match put {
            Some(entry) => drop(builder.insert(name.clone(), entry.id, entry.mode)?),
            None if before.is_some() => builder.remove(name.clone())?,
            None => {}
        }
    }
    if builder.is_empty() {
        return Ok(None);
    }
    let id = builder.write()?;
    if tree.is_none_or(|tree| tree.id() != id) {
        new.push(id);
    }
    Ok(Some(id))
}

/// Puts a change at a path.
fn put(changes: &mut Changes, path: &[u8], change: Change) {
    let slash = path.iter().position(|b| *b == b'/');
    let Some((first, rest)) = slash.and_then(|at| path.split_at_checked(at)) else {
        changes.insert(path.to_owned(), change);
        return;
    };
    let below = changes
        .entry(first.to_owned())
        .or_insert_with(|| Change::Below(Changes::new()));
    // What goes as a whole has nothing below it.
    if let Change::Below(below) = below {
        put(below, rest.get(1..).unwrap_or_default(), change);
    }
}

/// What stands at a path.
fn entry_at(repository: &Repository, tree: &Tree<'_>, path: &[u8]) -> Result<Option<Entry>, Fault> {
    let mut folder = tree.clone();
    let mut names = path.split(|b| *b == b'/').peekable();
    while let Some(name) = names.next() {
        let Some(entry) = folder.get_name_bytes(name) else {
            return Ok(None);
        };
        let (id, mode) = (entry.id(), entry.filemode());
        if names.peek().is_none() {
            return Ok(Some(Entry { id, mode }));
        }
        if mode != FOLDER {
            return Ok(None);
        }
        let below = repository.find_tree(id)?;
        drop(entry);
        folder = below;
    }
    Ok(None)
}

/// The files below a path, by their paths from there.
fn files_below(
    repository: &Repository,
    tree: &Tree<'_>,
    path: &str,
) -> Result<BTreeMap<Vec<u8>, Entry>, Fault> {
    let mut files = BTreeMap::new();
    let root = entry_at(repository, tree, path.as_bytes())?;
    let mut open: Vec<(Vec<u8>, Oid)> = root
        .filter(|entry| entry.mode == FOLDER)
        .map(|entry| (Vec::new(), entry.id))
        .into_iter()
        .collect();
    while let Some((above, id)) = open.pop() {
        if files.len() + open.len() > FILES {
            return Err(Fault::Protocol("a folder has more files than a catalog"));
        }
        for entry in repository.find_tree(id)?.iter() {
            let path = [&above, entry.name_bytes()].concat();
            let (id, mode) = (entry.id(), entry.filemode());
            match mode == FOLDER {
                true => open.push(([&path[..], b"/"].concat(), id)),
                false => drop(files.insert(path, Entry { id, mode })),
            }
        }
    }
    Ok(files)
}

/// The files in a folder of this machine, by their paths from there.
fn files_of(folder: &Path) -> Result<Vec<(String, PathBuf)>, Fault> {
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(|error| Fault::Scratch(error.into()))?;
        let path = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        // What is no text is no name in a catalog either.
        let path = path.to_str().filter(|_| entry.file_type().is_file());
        if let Some(path) = path.filter(|path| !path.split('/').any(is_of_git)) {
            files.push((path.to_owned(), entry.path().to_owned()));
        }
    }
    Ok(files)
}

/// Names that Git has for itself, on some system or other, and takes for nothing else.
fn is_of_git(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == ".git" || name.starts_with("git~")
}

/// Copies a file into the objects.
fn copy(odb: &Odb<'_>, file: &Path) -> Result<Oid, Fault> {
    let mut file = File::open(file).map_err(Fault::Scratch)?;
    let size = file.metadata().map_err(Fault::Scratch)?.len();
    let size = usize::try_from(size).map_err(|_| Fault::TooLarge(size))?;
    let mut writer = odb.writer(size, ObjectType::Blob)?;
    io::copy(&mut file, &mut writer).map_err(Fault::Scratch)?;
    Ok(writer.finalize()?)
}

/// What was looked for, if it is there.
fn found<T>(looked: Result<T, git2::Error>) -> Result<Option<T>, git2::Error> {
    match looked {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_has_for_itself_is_no_file_of_a_catalog() {
        let folder = tempfile::tempdir().unwrap();
        for file in [
            "a/catalog.json",
            "a/.git/config",
            "a/.GIT/x",
            "a/git~1/x",
            "a/.gitignore",
        ] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found: Vec<String> = files_of(folder.path())
            .unwrap()
            .into_iter()
            .map(|(path, _)| path)
            .collect();
        assert_eq!(found, ["a/.gitignore", "a/catalog.json"]);
    }
}
