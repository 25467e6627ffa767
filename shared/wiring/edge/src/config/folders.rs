//! Folders and files on this machine.

use iib_outward::OutwardError;
use iib_ports::chain;

use super::Config;
use super::origin::Faults;

pub(super) fn check(config: &Config, faults: &mut Faults) {
    if config.data_folder.as_os_str().is_empty() {
        faults.of_value("data_folder", "is empty: name a folder, or leave it away");
    }
    // Proxies are told by who goes through them: not everybody does.
    match config.outward() {
        Ok(_) | Err(OutwardError::Proxies(_)) => {}
        Err(error) => faults.of_value("ca_file", chain(&error)),
    }
}
