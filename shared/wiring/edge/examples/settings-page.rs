//! Writes the settings of now into `docs/SETTINGS.md`; what stands there by hand stays.

use std::error::Error;
use std::fs;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/SETTINGS.md");

fn main() -> Result<(), Box<dyn Error>> {
    let page = fs::read_to_string(PAGE)?;
    let page = iib_edge::config::reference_page(&page)
        .ok_or("docs/SETTINGS.md has lost the lines that the settings stand between")?;
    Ok(fs::write(PAGE, page)?)
}
