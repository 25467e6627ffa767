//! What the graph has to know of a bundle that is to be added.

use std::cmp::Ordering;

use crate::Version;

/// A bundle to be added, without its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// `metadata.name` of the CSV.
    pub name: String,
    /// The image reference, which identifies the image as given (spec index-database §1).
    pub image: String,
    /// The package it names.
    pub package: String,
    /// The channels it names, in order and with repetitions.
    pub channels: Vec<String>,
    /// The default channel it asks for; empty for none.
    pub default_channel: String,
    /// `spec.version` as written; empty for none.
    pub version: String,
    /// `spec.replaces`; empty for none.
    pub replaces: String,
    /// `spec.skips`, in order and with repetitions.
    pub skips: Vec<String>,
    /// The name it substitutes for; empty for none.
    pub substitutes_for: String,
}

impl Candidate {
    /// The order in which the bundles of one call are handled: package, build order of versions,
    /// name, image. The reference takes them in random order (spec §5.1); this one depends on the
    /// bundles alone, so that the order of a request does not show in the result.
    pub fn handling_cmp(&self, other: &Self) -> Ordering {
        let versions = match (
            Version::parse(&self.version),
            Version::parse(&other.version),
        ) {
            (Ok(ours), Ok(theirs)) => ours.build_cmp(&theirs).unwrap_or(Ordering::Equal),
            (Ok(_), Err(_)) => Ordering::Greater,
            (Err(_), Ok(_)) => Ordering::Less,
            (Err(_), Err(_)) => Ordering::Equal,
        };
        self.package
            .cmp(&other.package)
            .then(versions)
            .then_with(|| self.name.cmp(&other.name))
            .then_with(|| self.image.cmp(&other.image))
    }
}
