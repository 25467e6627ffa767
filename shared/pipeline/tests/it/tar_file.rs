//! Tar archives, also such as no archiver writes, and their compressed forms.

use std::io::Write as _;

use flate2::write::GzEncoder;

/// An archive under construction.
#[derive(Default)]
pub(crate) struct TarFile(Vec<u8>);

impl TarFile {
    /// An archive with these files.
    pub(crate) fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut archive = Self::default();
        for (path, content) in files {
            archive = archive.entry(b'0', path, content);
        }
        archive
    }

    /// An entry of any type and path.
    pub(crate) fn entry(self, kind: u8, path: &str, content: &[u8]) -> Self {
        self.entry_that_says(content.len() as u64, kind, path, content)
    }

    /// An entry whose header states this size, whatever its content is.
    pub(crate) fn entry_that_says(
        mut self,
        size: u64,
        kind: u8,
        path: &str,
        content: &[u8],
    ) -> Self {
        let mut header = tar::Header::new_ustar();
        header.set_size(size);
        header.set_mode(0o644);
        // Straight into the field: the crate refuses the paths that are wanted here.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.as_mut_bytes()[156] = kind;
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// A hard link.
    pub(crate) fn link(mut self, path: &str, target: &str) -> Self {
        let start = self.0.len();
        self = self.entry(b'1', path, b"");
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes().copy_from_slice(&self.0[start..]);
        header.as_mut_bytes()[157..157 + target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        self.0.truncate(start);
        self.0.extend_from_slice(header.as_bytes());
        self
    }

    /// The archive with its end marker.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}
