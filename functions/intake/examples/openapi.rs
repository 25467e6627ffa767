//! Writes the description of the API as it is now into `docs/openapi.json`.

use std::error::Error;
use std::fs;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

fn main() -> Result<(), Box<dyn Error>> {
    let text = serde_json::to_string_pretty(iib_intake::openapi_document())?;
    Ok(fs::write(DOCUMENT, text + "\n")?)
}
