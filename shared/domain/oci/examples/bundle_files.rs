//! Lists the files of a bundle from its layers, lowest first.
//!
//! `cargo run -p iib-oci --example bundle_files -- layer1.tar.gz layer2.tar.gz`

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};

use iib_oci::layer::{BundleLimits, BundleTree, LayerReader};

/// No bundle unpacks to more than this.
const UNPACKED_LIMIT: u64 = 256 * 1024 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    let mut tree = BundleTree::new(BundleLimits::default());
    for layer in std::env::args_os().skip(1) {
        let mut reader = LayerReader::open(File::open(layer)?, UNPACKED_LIMIT)?;
        tree.apply(&mut reader)?;
        let digests = reader.finish()?;
        writeln!(out, "layer {}", digests.digest)?;
    }
    let content = tree.finish();
    for (directory, files) in [
        ("manifests", content.manifests),
        ("metadata", content.metadata),
    ] {
        match files {
            None => writeln!(out, "no {directory}/")?,
            Some(files) => {
                for (name, bytes) in files {
                    writeln!(out, "{directory}/{name} {} bytes", bytes.len())?;
                }
            }
        }
    }
    Ok(())
}
