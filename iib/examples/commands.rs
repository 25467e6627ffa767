//! Writes the commands as they are now into `docs/COMMANDS.md`.

use std::fs;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/COMMANDS.md");

fn main() -> std::io::Result<()> {
    fs::write(PAGE, iib::commands_page())
}
