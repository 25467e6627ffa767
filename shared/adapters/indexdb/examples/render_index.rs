//! Prints the file-based catalog of an index, one package in memory at a time.
//!
//! `cargo run -p iib-indexdb --example render_index -- index.db`

use std::error::Error;
use std::io::{self, Write as _};
use std::path::PathBuf;

use iib_fbc::{BundleForm, write_blob};
use iib_indexdb::SqliteIndex;

fn main() -> Result<(), Box<dyn Error>> {
    let index = std::env::args_os().nth(1).ok_or("name a database file")?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let left_out =
        SqliteIndex.export(&PathBuf::from(index), BundleForm::Objects, |_, package| {
            package
                .blobs()
                .try_for_each(|blob| write_blob(blob, &mut out))
                .map_err(Box::<dyn Error>::from)
        })?;
    for left_out in left_out {
        writeln!(io::stderr(), "warning: {left_out}")?;
    }
    Ok(out.flush()?)
}
