//! Small catalogs.

use std::fs;
use std::path::Path;

use iib_fbc::{Catalog, CatalogBundle, CatalogPackage, Channel, ChannelEntry, Property};
use tempfile::TempDir;

/// A folder with these files.
pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

/// Every file below a folder with its content, sorted.
pub(crate) fn files(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(root).sort_by_file_name() {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let name = entry.path().strip_prefix(root).unwrap();
            let name = name.to_str().unwrap().to_owned();
            found.push((name, fs::read(entry.path()).unwrap()));
        }
    }
    found
}

pub(crate) fn bundle(package: &str, version: &str) -> CatalogBundle {
    let value = format!(r#"{{"packageName": "{package}", "version": "{version}"}}"#);
    CatalogBundle {
        name: format!("{package}.v{version}"),
        package: package.to_owned(),
        image: format!("registry.invalid/{package}:{version}"),
        properties: vec![Property::new("olm.package", &value).unwrap()],
        related_images: Vec::new(),
    }
}

pub(crate) fn entry(package: &str, version: &str, replaces: &str) -> ChannelEntry {
    let name = |version: &str| match version {
        "" => String::new(),
        version => format!("{package}.v{version}"),
    };
    ChannelEntry {
        name: name(version),
        replaces: name(replaces),
        ..ChannelEntry::default()
    }
}

/// 1.2.0 over 1.1.0 over 1.0.0 in channel `stable`.
pub(crate) fn chain(package: &str) -> Catalog {
    Catalog {
        packages: vec![CatalogPackage {
            name: package.to_owned(),
            default_channel: "stable".to_owned(),
            ..CatalogPackage::default()
        }],
        channels: vec![Channel {
            name: "stable".to_owned(),
            package: package.to_owned(),
            entries: vec![
                entry(package, "1.0.0", ""),
                entry(package, "1.1.0", "1.0.0"),
                entry(package, "1.2.0", "1.1.0"),
            ],
            properties: Vec::new(),
        }],
        bundles: ["1.0.0", "1.1.0", "1.2.0"]
            .map(|version| bundle(package, version))
            .into(),
        others: Vec::new(),
    }
}
