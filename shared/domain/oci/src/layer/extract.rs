//! Streaming one file out of a layer.

use std::io::{Read, Write};

use super::entries::{Entries, EntryKind, Stream};
use super::{EntryPath, LayerError, LayerReader, Refusal};

/// What a layer says about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extracted {
    /// It holds the file, of this many bytes.
    Found {
        /// Size in bytes.
        size: u64,
    },
    /// There it is another name of this file, of the same layer or of one below.
    Linked {
        /// What it is a hard link to.
        target: EntryPath,
    },
    /// It deletes the file of the layers below.
    WhitedOut,
    /// It does not mention the file: look in the layer below.
    Absent,
}

/// What happens to the entries behind the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// They are checked like those before, and a second copy of the file is refused.
    Check,
    /// They are left unread. [`LayerReader::finish`] still reads them for the digests.
    Leave,
}

/// Copies the file at `wanted` to `sink` without holding it in memory.
///
/// Entries with a path that leaves the root are refused wherever they are. Devices, links and names
/// that are no text are passed over elsewhere, because the layers of an index include those of its
/// base; at the path itself, or in place of one of its directories, anything but the expected is
/// refused.
///
/// # Errors
/// [`LayerError`]. What was written to `sink` until then is worthless.
pub fn extract_file<R: Read>(
    layer: &mut LayerReader<R>,
    wanted: &EntryPath,
    sink: &mut impl Write,
    rest: Rest,
) -> Result<Extracted, LayerError> {
    extract(layer, wanted, sink, rest)
}

pub(super) fn extract(
    stream: &mut impl Stream,
    wanted: &EntryPath,
    sink: &mut impl Write,
    rest: Rest,
) -> Result<Extracted, LayerError> {
    let mut entries = Entries::new(stream);
    let mut extracted = Extracted::Absent;
    while let Some(entry) = entries.next()? {
        if entry.path.is_root() {
            continue;
        }
        if entry.path == *wanted {
            entry.check_readable()?;
            if let Extracted::Found { .. } | Extracted::Linked { .. } = extracted {
                return Err(entry.refused(Refusal::Duplicate));
            }
            if entry.kind == EntryKind::HardLink {
                let target = entry.link_target()?;
                extracted = Extracted::Linked { target };
                continue;
            }
            if entry.kind != EntryKind::File {
                return Err(entry.refused(Refusal::NotAFile));
            }
            entries.content(|bytes| sink.write_all(bytes).map_err(LayerError::Write))?;
            extracted = Extracted::Found { size: entry.size };
            if rest == Rest::Leave {
                break;
            }
        } else if wanted.is_below(&entry.path) && entry.kind != EntryKind::Directory {
            return Err(entry.refused(Refusal::NotADirectory));
        } else if extracted == Extracted::Absent
            && entry.path.whiteout().is_some_and(|w| w.hides(wanted))
        {
            // It hides the file in layers below, never one in this layer.
            extracted = Extracted::WhitedOut;
        }
    }
    Ok(extracted)
}

#[cfg(test)]
mod tests;
