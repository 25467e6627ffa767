//! Makes an index of so many made-up bundles of real sizes, to try things on.
//!
//! `cargo run --release -p iib-indexdb --features generate --example make_index -- 7000 index.db`

use std::error::Error;
use std::path::PathBuf;

use iib_bundle::Bundle;
use iib_catalog::AddOptions;
use iib_indexdb::SqliteIndex;
use iib_indexdb::generate::Recipe;
use iib_ports::IndexDb as _;

/// As many as packages of public catalogs have on average.
const PER_PACKAGE: usize = 17;

/// Bundles added at a time: each is held in memory.
const STEP: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(count), Some(index)) = (arguments.next(), arguments.next()) else {
        return Err("say how many bundles, and name a database file".into());
    };
    let (count, index) = (count.parse::<usize>()?, PathBuf::from(index));
    for start in (0..count).step_by(STEP) {
        let recipes = (start..count.min(start + STEP)).map(|at| Recipe::numbered(at, PER_PACKAGE));
        let bundles = recipes.map(|recipe| Bundle::read(&recipe.image(), &recipe.files()));
        let bundles: Vec<Bundle> = bundles.collect::<Result<_, _>>()?;
        SqliteIndex.add(&index, &bundles, &AddOptions::default())?;
    }
    Ok(())
}
