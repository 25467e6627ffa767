//! Packs a database into the layer of an index image, then once more with the first layer as
//! input, so that every piece is taken over.
//!
//! `cargo run -p iib-oci --example pack_layer -- index.db layer.tar.gz`

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use iib_oci::layer::{PackEntry, PackedLayer, Reuse, Threads, pack, unpack};

fn write_layer(
    database: &Path,
    reuse: Option<Reuse<'_>>,
    out: &mut impl Write,
) -> Result<PackedLayer, Box<dyn Error>> {
    let mut source = File::open(database)?;
    let size = source.metadata()?.len();
    let mut entries = [
        PackEntry::directory("database".parse()?),
        PackEntry::file("database/index.db".parse()?, size, &mut source),
    ];
    Ok(pack(&mut entries, reuse, Threads::available(), out)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(database), Some(layer)) = (arguments.next(), arguments.next()) else {
        return Err("usage: pack_layer <database> <layer>".into());
    };
    let (database, layer) = (Path::new(&database), Path::new(&layer));
    let first = write_layer(database, None, &mut File::create(layer)?)?;

    let (input, mut copy) = (File::open(layer)?, tempfile::tempfile()?);
    let (wanted, threads) = ("database/index.db".parse()?, Threads::available());
    let mut sink = io::sink();
    let unpacked = unpack(&input, &mut copy, &wanted, &mut sink, 1 << 40, threads)?;
    let pieces = unpacked.pieces.ok_or("not a layer of our own form")?;
    let reuse = Reuse {
        pieces: &pieces,
        layer: &copy,
    };
    let second = write_layer(database, Some(reuse), &mut io::sink())?;

    let mut out = io::stdout().lock();
    writeln!(out, "first {first:#?}")?;
    writeln!(out, "again {second:#?}")?;
    Ok(())
}
