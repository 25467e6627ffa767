//! The stores of one machine, as their users see them.

#![expect(
    clippy::unwrap_used,
    reason = "test code outside of the test functions"
)]

mod contract;
mod folder;
mod queue;
mod registry;
mod worker;

use iib_embedded::DataFolder;
use tempfile::TempDir;

/// An open folder that is removed at the end of the test.
fn empty_folder() -> (TempDir, DataFolder) {
    let place = tempfile::tempdir().unwrap();
    let folder = DataFolder::open(place.path().join("data")).unwrap();
    (place, folder)
}
