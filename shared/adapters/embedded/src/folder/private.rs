//! Nobody else may read a data folder: secrets of requests are in it, and logs.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::EmbeddedError;

/// Bits of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Takes the rights of others on a folder away. One that has something else in it than our data is
/// left as it is: it may be somebody's home.
pub(super) fn make_private(folder: &Path) -> Result<(), EmbeddedError> {
    let failed = |source: io::Error| EmbeddedError::File {
        path: folder.to_owned(),
        action: "made private",
        source,
    };
    let mode = fs::metadata(folder).map_err(failed)?.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    // A volume of its own has this folder from the beginning.
    let is_other = |entry: &fs::DirEntry| entry.file_name() != "lost+found";
    let is_empty = || {
        Ok(!fs::read_dir(folder)?
            .flatten()
            .any(|entry| is_other(&entry)))
    };
    if !folder.join("state.db").exists() && !is_empty().map_err(failed)? {
        return Err(EmbeddedError::Shared {
            folder: folder.to_owned(),
            mode: mode & 0o777,
        });
    }
    let narrowed = Permissions::from_mode(mode & 0o7777 & !OTHERS);
    match fs::set_permissions(folder, narrowed) {
        // It is somebody else's, as the root of a mounted volume is; a folder in it can be ours.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(EmbeddedError::NotOwn {
                folder: folder.to_owned(),
                mode: mode & 0o777,
            })
        }
        set => set.map_err(failed),
    }
}
