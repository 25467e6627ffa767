//! What can be wrong with a layer.

use std::io;

use super::{Compression, FormFault, PathFault, PieceFault};

/// A layer that could not be read.
///
/// [`LayerError::Read`], [`LayerError::Copy`] and [`LayerError::Write`] come from outside and may
/// pass (class Retry); everything else is in the layer's bytes and stays (class Reject).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// The compressed bytes stopped coming.
    #[error("the layer's bytes could not be read")]
    Read(#[source] io::Error),
    /// The copy of the compressed bytes could not be written, or not read again.
    #[error("the copy of the layer in the scratch folder could not be written or read")]
    Copy(#[source] io::Error),
    /// The unpacked file could not be written.
    #[error("the file found in the layer could not be written")]
    Write(#[source] io::Error),
    /// More unpacked bytes than allowed.
    #[error("the layer unpacks to more than {limit} bytes, the limit set for layers")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The stream ends before its content does.
    #[error("the layer ends early: its {0} stream is incomplete; push the image again")]
    Truncated(Compression),
    /// The decoder refuses the bytes (also for a wrong checksum).
    #[error("the layer is not a valid {compression} stream; push the image again")]
    Corrupt {
        /// What it was read as.
        compression: Compression,
        /// What the decoder said.
        source: io::Error,
    },
    /// The layer starts in our own form, but is not in it.
    #[error("the layer claims to be in IIB's form and is not; push the image again")]
    Form(#[source] FormFault),
    /// A piece of a layer in our own form is broken.
    #[error("the layer's piece at byte {offset} is broken; push the image again")]
    Piece {
        /// Where the piece starts in the compressed layer.
        offset: u64,
        /// What is wrong with it.
        source: PieceFault,
    },
    /// The tar archive is malformed.
    #[error("the layer's tar archive is malformed at byte {offset}")]
    Tar {
        /// Where the header in question starts in the unpacked layer.
        offset: u64,
        /// What is wrong with it.
        source: TarFault,
    },
    /// An entry has a path that no layer may hold.
    #[error("the layer holds an entry `{path}`; rebuild the image without it")]
    Path {
        /// The path, as far as it is text.
        path: String,
        /// What is wrong with it.
        source: PathFault,
    },
    /// An entry that is not acceptable where it stands.
    #[error("the layer's entry `{path}` {reason}; rebuild the image without it")]
    Refused {
        /// The entry.
        path: String,
        /// Why it is refused.
        reason: Refusal,
    },
    /// A bundle's file is larger than allowed.
    #[error("the bundle's file `{path}` has {size} bytes, more than the limit of {limit}")]
    FileTooLarge {
        /// The file.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A bundle's files are larger together than allowed.
    #[error("the bundle's files have more than {limit} bytes together, the limit set for bundles")]
    FilesTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// More hard links to files elsewhere in the image than are followed: each may take reading
    /// every layer once more.
    #[error(
        "more than {limit} of the image's files are hard links to files elsewhere in it; rebuild the image with copies of them"
    )]
    TooManyLinks {
        /// The limit.
        limit: usize,
    },
    /// More files than are read of a bundle, or of a catalog.
    #[error("the image has more than {limit} files where {limit} are the most that is read")]
    TooManyFiles {
        /// The limit.
        limit: usize,
    },
}

/// Why an entry is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// A character or block device.
    Device,
    /// A named pipe.
    Fifo,
    /// A file with holes in a form of GNU tar.
    Sparse,
    /// A type of entry that layers do not have.
    UnknownType,
    /// Something else stands where a regular file is looked for.
    NotAFile,
    /// Something else stands where a directory is looked for.
    NotADirectory,
    /// A hard link to a file that the image does not have, or to itself.
    LinkToNothing,
    /// The same file twice in one layer: readers disagree which one counts.
    Duplicate,
}

/// What is wrong with a tar archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TarFault {
    /// The header's checksum does not fit.
    #[error("the header's checksum is wrong")]
    Checksum,
    /// A number in the header is no number.
    #[error("a number in the header cannot be read")]
    Number,
    /// A long name or extended header is larger than any real one.
    #[error(
        "an extended header is larger than {} bytes",
        super::entries::EXTENSION_LIMIT
    )]
    ExtensionSize,
    /// An extended header does not follow its syntax.
    #[error("an extended header cannot be read")]
    Extension,
    /// The archive ends inside an entry.
    #[error("the archive ends inside an entry")]
    Truncated,
    /// One zero block, then something else.
    #[error("its end is marked by one block instead of two")]
    End,
}

impl LayerError {
    /// Whether the same call may succeed later (class Retry). Otherwise the layer itself is at
    /// fault (class Reject).
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Read(_) | Self::Copy(_) | Self::Write(_))
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Device => "is a device",
            Self::Fifo => "is a named pipe",
            Self::Sparse => "is a sparse file",
            Self::UnknownType => "has an unknown type",
            Self::NotAFile => "is not a regular file",
            Self::NotADirectory => "is not a directory",
            Self::LinkToNothing => "is a hard link to a file that is not there",
            Self::Duplicate => "occurs twice",
        })
    }
}
