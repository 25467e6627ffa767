//! The digest of a cache: FNV-1a over two tar streams, that of the catalog and that of the cache's
//! files (spec index-database §14 "Digest").

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::Hasher as _;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fnv::FnvHasher;
use iib_ports::Stretch;
use walkdir::WalkDir;

use super::{CacheError, io_error};

const BLOCK: usize = 512;
/// Most bytes of a path in a header's name, and in its prefix.
const NAME: usize = 100;
const PREFIX: usize = 155;

/// The digest as far as the catalog goes.
pub(super) struct Begun(FnvHasher);

/// Begins a digest with the files of the catalog.
pub(super) fn of_catalog(catalog: &Path) -> Result<Begun, CacheError> {
    let mut hasher = FnvHasher::default();
    archive(&mut hasher, catalog)?;
    Ok(Begun(hasher))
}

impl Begun {
    /// The digest with the files of the cache, as 16 hexadecimal digits.
    pub(super) fn with_files(mut self, files: &Path) -> Result<String, CacheError> {
        archive(&mut self.0, files)?;
        Ok(self.finish())
    }

    /// The same with files that are in a store.
    pub(super) fn with_stored(
        mut self,
        files: &BTreeMap<&str, &Stretch>,
        store: &Path,
    ) -> Result<String, CacheError> {
        let mut opened: Option<(&str, File)> = None;
        for (path, stretch) in in_order(files) {
            let Some(stretch) = stretch else {
                member(&mut self.0, &path, super::FOLDER_MODE, None);
                continue;
            };
            let name = store.join(&*stretch.file);
            let mut file = match opened.take() {
                Some((known, file)) if known == &*stretch.file => file,
                _ => File::open(&name).map_err(io_error(&name, "open"))?,
            };
            member(&mut self.0, &path, super::FILE_MODE, Some(stretch.size));
            file.seek(SeekFrom::Start(stretch.at))
                .map_err(io_error(&name, "read"))?;
            let part = Read::by_ref(&mut file).take(stretch.size);
            if content(&mut self.0, &name, part)? != stretch.size {
                let cut = io::Error::from(io::ErrorKind::UnexpectedEof);
                return Err(io_error(&name, "read")(cut));
            }
            opened = Some((&stretch.file, file));
        }
        end(&mut self.0);
        Ok(self.finish())
    }

    fn finish(self) -> String {
        format!("{:016x}", self.0.finish())
    }
}

/// Files with the folders above them, as an archive of their folder has them: that itself, then every file and
/// folder in it, depth first.
fn in_order<'a>(files: &BTreeMap<&'a str, &'a Stretch>) -> Vec<(String, Option<&'a Stretch>)> {
    let mut members: BTreeMap<Vec<&str>, Option<&Stretch>> = BTreeMap::new();
    for (path, stretch) in files {
        let parts: Vec<&str> = path.split('/').collect();
        for end in 0..parts.len() {
            members.entry(parts[..end].to_vec()).or_default();
        }
        members.insert(parts, Some(*stretch));
    }
    let members = members.into_iter();
    members
        .map(|(parts, stretch)| (parts.join("/"), stretch))
        .collect()
}

/// A complete archive of a folder: the folder itself, then every file and folder in it, depth
/// first, whatever the ignore files say.
fn archive(hasher: &mut FnvHasher, root: &Path) -> Result<(), CacheError> {
    for entry in WalkDir::new(root).sort_by_file_name() {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(root).to_owned();
            io_error(&path, "list")(error.into())
        })?;
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let is_folder = entry.file_type().is_dir();
        if !is_folder && !entry.file_type().is_file() {
            continue;
        }
        let metadata = fs::metadata(entry.path()).map_err(io_error(entry.path(), "read"))?;
        let mode = metadata.permissions().mode() & 0o777;
        let size = (!is_folder).then_some(metadata.len());
        member(hasher, &relative.to_string_lossy(), mode, size);
        if !is_folder {
            let file = File::open(entry.path()).map_err(io_error(entry.path(), "open"))?;
            content(hasher, entry.path(), file)?;
        }
    }
    end(hasher);
    Ok(())
}

/// The header of a file of so many bytes, or of a folder. That of all has no path.
fn member(hasher: &mut FnvHasher, path: &str, mode: u32, size: Option<u64>) {
    let member = Member {
        path: match path {
            "" => ".".to_owned(),
            path => path.to_owned(),
        },
        mode,
        size: size.unwrap_or(0),
        kind: if size.is_none() { b'5' } else { b'0' },
    };
    member.write(hasher);
}

/// Gives the number of bytes.
fn content(hasher: &mut FnvHasher, path: &Path, mut from: impl Read) -> Result<u64, CacheError> {
    let mut buffer = vec![0; 128 * BLOCK];
    let mut size = 0;
    loop {
        let read = from.read(&mut buffer).map_err(io_error(path, "read"))?;
        if read == 0 {
            break;
        }
        hasher.write(buffer.get(..read).unwrap_or_default());
        size += read;
    }
    pad(hasher, size);
    Ok(size as u64)
}

fn end(hasher: &mut FnvHasher) {
    hasher.write(&[0; 2 * BLOCK]);
}

fn pad(hasher: &mut FnvHasher, size: usize) {
    hasher.write(&[0; BLOCK][..size.next_multiple_of(BLOCK) - size]);
}

struct Member {
    path: String,
    mode: u32,
    size: u64,
    kind: u8,
}

impl Member {
    fn write(&self, hasher: &mut FnvHasher) {
        if let Some((prefix, name)) = split(&self.path) {
            hasher.write(&self.header(prefix, name));
            return;
        }
        // Too long, or not ASCII: the path is in a record of its own, and shortened here.
        let ascii: String = self.path.chars().filter(char::is_ascii).collect();
        let (folder, base) = self.path.rsplit_once('/').unwrap_or((".", &self.path));
        let folder = folder.trim_start_matches("./");
        let name: String = match folder {
            "." | "" => format!("PaxHeaders.0/{base}"),
            folder => format!("{folder}/PaxHeaders.0/{base}"),
        };
        let name: String = name.chars().filter(char::is_ascii).take(NAME).collect();
        let name = name.trim_end_matches('/');
        let record = record(&self.path);
        let extended = Header {
            prefix: "",
            name,
            mode: 0,
            size: record.len() as u64,
            kind: b'x',
            devices: false,
        };
        hasher.write(&extended.bytes());
        hasher.write(record.as_bytes());
        pad(hasher, record.len());
        let short = ascii
            .get(..NAME)
            .map_or(&*ascii, |cut| cut.trim_end_matches('/'));
        hasher.write(&self.header("", short));
    }

    fn header(&self, prefix: &str, name: &str) -> [u8; BLOCK] {
        let header = Header {
            prefix,
            name,
            mode: self.mode,
            size: self.size,
            kind: self.kind,
            devices: true,
        };
        header.bytes()
    }
}

/// Prefix and name of a path that fits a header.
fn split(path: &str) -> Option<(&str, &str)> {
    if !path.is_ascii() {
        return None;
    }
    if path.len() <= NAME {
        return Some(("", path));
    }
    let at = path.get(..path.len().min(PREFIX + 1))?.rfind('/')?;
    let (prefix, name) = (path.get(..at)?, path.get(at + 1..)?);
    (!name.is_empty() && name.len() <= NAME && prefix.len() <= PREFIX).then_some((prefix, name))
}

/// `LENGTH path=PATH`, where the length counts itself.
fn record(path: &str) -> String {
    let rest = format!(" path={path}\n");
    let mut size = rest.len();
    loop {
        let text = format!("{size}{rest}");
        if text.len() == size {
            return text;
        }
        size = text.len();
    }
}

/// A POSIX ustar header.
struct Header<'a> {
    prefix: &'a str,
    name: &'a str,
    mode: u32,
    size: u64,
    kind: u8,
    /// Whether the device numbers are written, as zeroes.
    devices: bool,
}

impl Header<'_> {
    fn bytes(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let devices: &[u8] = if self.devices { b"0000000" } else { b"" };
        for (at, text) in [
            (0, self.name.as_bytes()),
            (100, format!("{:07o}", self.mode).as_bytes()),
            (108, b"0000000"),
            (116, b"0000000"),
            (124, format!("{:011o}", self.size).as_bytes()),
            (136, b"00000000000"),
            (148, b"        "),
            (156, &[self.kind]),
            (257, b"ustar\0"),
            (263, b"00"),
            (329, devices),
            (337, devices),
            (345, self.prefix.as_bytes()),
        ] {
            if let Some(place) = block.get_mut(at..at + text.len()) {
                place.copy_from_slice(text);
            }
        }
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        let sum = format!("{sum:06o}\0 ");
        if let Some(place) = block.get_mut(148..156) {
            place.copy_from_slice(sum.as_bytes());
        }
        block
    }
}

#[cfg(test)]
mod tests {
    use super::{record, split};

    #[test]
    fn a_record_counts_itself() {
        assert_eq!(record("a"), "9 path=a\n");
        assert_eq!(record("ab"), "11 path=ab\n");
        let long = "x".repeat(90);
        assert_eq!(record(&long).len(), 99);
        assert_eq!(
            record(&"x".repeat(91)),
            format!("101 path={}\n", "x".repeat(91))
        );
    }

    #[test]
    fn long_paths_are_split_at_a_slash() {
        let (folder, name) = ("f".repeat(120), "n".repeat(90));
        let path = format!("{folder}/{name}");
        assert_eq!(split(&path), Some((folder.as_str(), name.as_str())));
        assert_eq!(split(&"n".repeat(101)), None);
        assert_eq!(split("ö"), None);
    }
}
