//! Draws the upgrade graph of a package.
//!
//! `cargo run -p iib-catalog-folder --example draw_package -- catalog/ lantern > lantern.svg`

use std::error::Error;
use std::io::{self, Write as _};
use std::path::PathBuf;

use iib_catalog_folder::CatalogFolder;
use iib_fbc::Picture;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), Some(package)) = (arguments.next(), arguments.next()) else {
        return Err("name a folder and a package".into());
    };
    let catalog = CatalogFolder::open(&PathBuf::from(folder))?;
    let package = package.to_string_lossy();
    let picture = Picture::of(catalog.outline(), &package)
        .ok_or_else(|| format!("there is no package {package}"))?;
    write!(io::stdout(), "{}", picture.to_svg())?;
    Ok(())
}
