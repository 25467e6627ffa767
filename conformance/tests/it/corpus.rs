//! The bundles of the corpus, where it is present.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use iib_bundle::{Bundle, BundleFiles};
use tempfile::TempDir;

/// Bundles by the folder of their operator, those that can be read. `None` without a corpus.
pub(crate) fn operators() -> Option<&'static BTreeMap<String, Vec<Bundle>>> {
    static OPERATORS: OnceLock<Option<BTreeMap<String, Vec<Bundle>>>> = OnceLock::new();
    OPERATORS.get_or_init(read).as_ref()
}

fn archive() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let shared = std::env::var_os("IIB_SHARED").map_or(beside, PathBuf::from);
    let archive = shared.join("corpus/bundles.tar.xz");
    archive.is_file().then_some(archive)
}

fn read() -> Option<BTreeMap<String, Vec<Bundle>>> {
    let Some(archive) = archive() else {
        eprintln!("left out: there is no corpus of bundles");
        return None;
    };
    let folder = TempDir::new().unwrap();
    let mut unpack = Command::new("tar");
    unpack.arg("-xJf").arg(archive).arg("-C").arg(folder.path());
    assert!(unpack.status().unwrap().success());
    let mut operators: BTreeMap<String, Vec<Bundle>> = BTreeMap::new();
    for operator in folders(folder.path()) {
        let name = name_of(&operator);
        for version in folders(&operator) {
            let image = format!("registry.invalid/{name}:{}", name_of(&version));
            let files = BundleFiles {
                manifests: files(&version.join("manifests")).unwrap_or_default(),
                metadata: files(&version.join("metadata")),
            };
            if let Ok(bundle) = Bundle::read(&image, &files) {
                operators.entry(name.clone()).or_default().push(bundle);
            }
        }
    }
    assert!(operators.len() > 40, "{}", operators.len());
    Some(operators)
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    folders
}

fn files(folder: &Path) -> Option<BTreeMap<String, Vec<u8>>> {
    let entries = fs::read_dir(folder).ok()?;
    let paths = entries.map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| (name_of(&path), fs::read(&path).unwrap());
    Some(paths.filter(|path| path.is_file()).map(read).collect())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}
