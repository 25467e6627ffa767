//! The digest of a cache: FNV-1a over two tar streams, that of the catalog and that of the cache's
//! files (spec index-database §14 "Digest").

use std::fs;
use std::hash::Hasher as _;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fnv::FnvHasher;
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
        Ok(format!("{:016x}", self.0.finish()))
    }
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
        let member = Member {
            path: match relative.to_string_lossy() {
                path if path.is_empty() => ".".to_owned(),
                path => path.into_owned(),
            },
            mode: metadata.permissions().mode() & 0o777,
            size: if is_folder { 0 } else { metadata.len() },
            kind: if is_folder { b'5' } else { b'0' },
        };
        member.write(hasher);
        if !is_folder {
            content(hasher, entry.path())?;
        }
    }
    hasher.write(&[0; 2 * BLOCK]);
    Ok(())
}

fn content(hasher: &mut FnvHasher, path: &Path) -> Result<(), CacheError> {
    let mut file = fs::File::open(path).map_err(io_error(path, "open"))?;
    let mut buffer = vec![0; 128 * BLOCK];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer).map_err(io_error(path, "read"))?;
        if read == 0 {
            break;
        }
        hasher.write(buffer.get(..read).unwrap_or_default());
        size += read;
    }
    pad(hasher, size);
    Ok(())
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
