//! Folders on this machine.

use super::Config;
use super::origin::Faults;

pub(super) fn check(config: &Config, faults: &mut Faults) {
    if config.data_folder.as_os_str().is_empty() {
        faults.of_value("data_folder", "is empty: name a folder, or leave it away");
    }
}
