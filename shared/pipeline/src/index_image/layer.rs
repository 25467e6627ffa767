//! The layer that holds the index database.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use iib_oci::layer::{EntryPath, PackEntry, PackedLayer, Reuse, Threads, pack};

use crate::StageError;
use crate::contents::InputLayer;

/// Packs a database into a layer, where it is at the path `at`, relative to the root of the image.
/// What did not change since `input` is taken over from there.
///
/// # Errors
/// [`StageError::Scratch`] for files on this machine; [`StageError::Pack`], also for those of `out`.
pub(crate) fn pack_database(
    database: &Path,
    at: &str,
    input: Option<&InputLayer>,
    out: &mut impl Write,
) -> Result<PackedLayer, StageError> {
    let scratch = |source| StageError::Scratch {
        action: "read",
        source,
    };
    let mut content = File::open(database).map_err(scratch)?;
    let size = content.metadata().map_err(scratch)?.len();
    let previous = match input {
        Some(input) => Some((File::open(&input.file).map_err(scratch)?, &input.pieces)),
        None => None,
    };
    let reuse = previous
        .as_ref()
        .map(|(layer, pieces)| Reuse { pieces, layer });
    let parse =
        |path: &str| EntryPath::parse(path.as_bytes()).map_err(|_| StageError::Incomplete("pack"));
    let mut entries = Vec::new();
    for (end, _) in at.match_indices('/') {
        entries.push(PackEntry::directory(parse(&at[..end])?));
    }
    entries.push(PackEntry::file(parse(at)?, size, &mut content));
    pack(&mut entries, reuse, Threads::available(), out).map_err(StageError::Pack)
}
