//! Good images to begin with.

use std::collections::BTreeMap;
use std::path::Path;

use iib_bundle::{Bundle, BundleFiles};
use iib_catalog::AddOptions;
use iib_indexdb::SqliteIndex;
use iib_oci::PullSpec;
use iib_ports::IndexDb as _;

use crate::image::{Image, Layer};

/// The example bundles of the repository: `<operator>/<version>/{manifests,metadata}`.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/bundles");

pub(crate) const DATABASE_LABEL: &str = "operators.operatorframework.io.index.database.v1";
pub(crate) const CONFIGS_LABEL: &str = "operators.operatorframework.io.index.configs.v1";
pub(crate) const VERSION_LABEL: &str = "com.redhat.index.delivery.version";
pub(crate) const SCOPE_LABEL: &str = "com.redhat.index.delivery.distribution_scope";

/// Where indexes keep their database.
pub(crate) const DATABASE: &str = "database/index.db";

/// Files of a bundle by path.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The files of an example bundle.
pub(crate) fn bundle_files(operator: &str, version: &str) -> Files {
    let folder = Path::new(EXAMPLES).join(operator).join(version);
    let mut files = Files::new();
    for part in ["manifests", "metadata"] {
        for entry in std::fs::read_dir(folder.join(part)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            files.insert(
                format!("{part}/{name}"),
                std::fs::read(entry.path()).unwrap(),
            );
        }
    }
    files
}

/// Path of the ClusterServiceVersion of an example bundle.
pub(crate) fn csv_path(operator: &str) -> String {
    format!("manifests/{operator}.clusterserviceversion.yaml")
}

/// A layer with these files.
pub(crate) fn layer(files: &Files) -> Layer {
    Layer::of(
        files
            .iter()
            .map(|(path, bytes)| (path.as_str(), bytes.as_slice())),
    )
}

/// A bundle image with these files.
pub(crate) fn bundle_image(package: &str, files: &Files) -> Image {
    Image::new("amd64", vec![layer(files)])
        .label("operators.operatorframework.io.bundle.package.v1", package)
}

/// An example bundle as an image.
pub(crate) fn bundle(operator: &str, version: &str) -> Image {
    bundle_image(operator, &bundle_files(operator, version))
}

/// A stand-in for the image with the program that serves an index.
pub(crate) fn binary(arch: &str) -> Image {
    Image::new(arch, vec![Layer::of([("bin/opm", arch.as_bytes())])])
}

/// An index image over a database, for one architecture.
pub(crate) fn index_image(database: &[u8]) -> Image {
    Image::new("amd64", vec![Layer::of([(DATABASE, database)])])
        .label(DATABASE_LABEL, "/database/index.db")
        .label(VERSION_LABEL, "v4.6")
}

/// An index database with example bundles, under the pull specs given.
pub(crate) fn database(bundles: &[(&str, &str, &PullSpec)]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    let bundles: Vec<Bundle> = bundles
        .iter()
        .map(|(operator, version, image)| {
            Bundle::read(image.as_str(), &split(bundle_files(operator, version))).unwrap()
        })
        .collect();
    SqliteIndex
        .add(&db, &bundles, &AddOptions::default())
        .unwrap();
    std::fs::read(&db).unwrap()
}

fn split(files: Files) -> BundleFiles {
    let mut split = BundleFiles {
        manifests: BTreeMap::new(),
        metadata: Some(BTreeMap::new()),
    };
    for (path, bytes) in files {
        match path.split_once('/').unwrap() {
            ("manifests", name) => split.manifests.insert(name.to_owned(), bytes),
            (_, name) => split
                .metadata
                .get_or_insert_default()
                .insert(name.to_owned(), bytes),
        };
    }
    split
}
