//! Which files the blobs of a catalog come from.

use std::collections::BTreeMap;

use crate::blob::Blob;
use crate::check::Place;

/// Files by the packages, channels and bundles in them.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// By package, channel and bundle; of the latter two one or none.
    files: BTreeMap<(String, Option<String>, Option<String>), Vec<String>>,
}

impl Origins {
    /// Takes a note of where a blob was found.
    pub fn note(&mut self, blob: Blob<'_>, file: &str) {
        let key = match blob {
            Blob::Package(package) => (package.name.clone(), None, None),
            Blob::Channel(channel) => (channel.package.clone(), Some(channel.name.clone()), None),
            Blob::Bundle(bundle) => (bundle.package.clone(), None, Some(bundle.name.clone())),
            Blob::Other(_) => return,
        };
        let files = self.files.entry(key).or_default();
        if files.last().is_none_or(|last| last != file) {
            files.push(file.to_owned());
        }
    }

    /// Takes back what was noted of a package's objects.
    pub fn forget(&mut self, package: &str) {
        self.files.retain(|(owner, _, _), _| owner != package);
    }

    /// The files that a fault at a place is in: those of the bundle; if there is none, those of the
    /// channel that names it; else those of the package.
    pub(crate) fn of(&self, place: &Place) -> &[String] {
        let package = place.package.clone().unwrap_or_default();
        let mut keys = Vec::new();
        if place.bundle.is_some() {
            keys.push((package.clone(), None, place.bundle.clone()));
        }
        if place.channel.is_some() {
            keys.push((package.clone(), place.channel.clone(), None));
        }
        keys.push((package, None, None));
        let mut found = keys.iter().filter_map(|key| self.files.get(key));
        found.next().map_or(&[], Vec::as_slice)
    }
}
