//! Deprecations as catalogs hold them: objects of schema `olm.deprecations` (worker flows §10,
//! add-deprecations; spec index-database §17).

use std::collections::{BTreeMap, BTreeSet};

use iib_bundle::json_string;
use iib_catalog::meant;
use serde_json::value::RawValue;

use crate::blob::{Blob, Catalog, DEPRECATIONS, Other, OwnedBlob};
use crate::fields::{Fields, WrongType};
use crate::read::{Documents, ReadError};

/// What is deprecated in a package, and the words for its users.
#[derive(Debug, Clone, PartialEq)]
pub struct Deprecations {
    /// The package.
    pub package: String,
    entries: Vec<DeprecationEntry>,
    object: Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeprecationEntry {
    /// What is deprecated: `olm.package`, `olm.channel` or `olm.bundle`.
    pub(crate) schema: String,
    /// Its name; empty for the package.
    pub(crate) name: String,
    pub(crate) message: String,
}

/// A text that deprecates nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeprecationsFault {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is not one object of this schema.
    #[error(
        "the deprecations of a package are one object of schema {DEPRECATIONS}, this text has something else"
    )]
    NotOne,
    /// A part has the wrong type.
    #[error("parse deprecations: {0}")]
    Type(WrongType),
    /// It cannot hold for the catalog: every reason.
    #[error("{}", .0.join("\n"))]
    Unfit(Vec<String>),
}

/// The entries of such an object.
pub(crate) fn deprecation_entries(object: &RawValue) -> Result<Vec<DeprecationEntry>, WrongType> {
    Fields::of(object)?.list("entries", |entry| {
        let fields = Fields::of(entry)?;
        let reference = fields.object("reference")?.unwrap_or_default();
        Ok(DeprecationEntry {
            schema: reference.string("schema")?,
            name: reference.string("name")?,
            message: fields.string("message")?,
        })
    })
}

impl Deprecations {
    /// Reads the text of one object, JSON or YAML.
    ///
    /// # Errors
    /// [`DeprecationsFault`], but `Unfit`.
    pub fn read(text: &[u8]) -> Result<Self, DeprecationsFault> {
        let mut documents = Documents::new(text);
        let first = documents.next().transpose()?;
        let first = first.map(|document| document.blob);
        let (Some(OwnedBlob::Other(object)), None) = (first, documents.next()) else {
            return Err(DeprecationsFault::NotOne);
        };
        if object.schema != DEPRECATIONS {
            return Err(DeprecationsFault::NotOne);
        }
        Ok(Self {
            package: object.package.clone(),
            entries: deprecation_entries(&object.blob).map_err(DeprecationsFault::Type)?,
            object,
        })
    }

    /// Holds them against a catalog, of which an outline will do.
    ///
    /// # Errors
    /// [`DeprecationsFault::Unfit`]: a package, channel or bundle is not there, named twice, or
    /// deprecated without a word.
    pub fn check(&self, catalog: &Catalog) -> Result<(), DeprecationsFault> {
        let package = &self.package;
        let mut faults = Vec::new();
        let mut known = catalog.packages.iter().map(|found| found.name.as_str());
        if !known.clone().any(|name| name == package) {
            let meant = meant(package, &mut known);
            faults.push(format!("the catalog has no package {package:?}: {meant}"));
            return Err(DeprecationsFault::Unfit(faults));
        }
        let names = Names::of(catalog, package);
        let mut seen = BTreeSet::new();
        for (at, entry) in self.entries.iter().enumerate() {
            for fault in names.faults(package, entry, &mut seen) {
                // A name that says the same again does no harm here.
                if !matches!(&fault, EntryFault::PackageNamed(name) if name == package) {
                    faults.push(format!("package {package:?}: entries[{at}] {fault}"));
                }
            }
        }
        match faults.is_empty() {
            true => Ok(()),
            false => Err(DeprecationsFault::Unfit(faults)),
        }
    }

    /// The deprecations of a package without entries for channels and bundles that the catalog does not
    /// have (any more), and a line for each of these. `None` if all are there; an outline will do.
    ///
    /// # Errors
    /// [`DeprecationsFault::Type`].
    pub fn without_gone(
        catalog: &Catalog,
        package: &str,
    ) -> Result<Option<(Self, Vec<String>)>, DeprecationsFault> {
        let names = Names::of(catalog, package);
        let (mut kept, mut gone) = (Vec::new(), Vec::new());
        let objects = catalog.others.iter();
        let mut objects: Vec<&Other> = objects
            .filter(|other| other.is_deprecations() && other.package == package)
            .collect();
        // In an order that does not depend on how the outline came about.
        objects.sort_by(|low, high| low.blob.get().cmp(high.blob.get()));
        for object in &objects {
            let read = Fields::of(&object.blob).and_then(|fields| fields.list("entries", Ok));
            let texts = read.map_err(DeprecationsFault::Type)?;
            let entries = deprecation_entries(&object.blob).map_err(DeprecationsFault::Type)?;
            for (entry, text) in entries.iter().zip(texts) {
                match names.absent(entry) {
                    None => kept.push(text.get()),
                    Some(fault) => gone.push(format!(
                        "an entry of the deprecations of {package} {fault}: it is left out"
                    )),
                }
            }
        }
        let (Some(first), false) = (objects.first(), gone.is_empty()) else {
            return Ok(None);
        };
        let text = with_entries(first, &kept).map_err(DeprecationsFault::Type)?;
        Ok(Some((Self::read(text.as_bytes())?, gone)))
    }

    /// The object that says so.
    pub fn blob(&self) -> Blob<'_> {
        Blob::Other(&self.object)
    }

    /// Puts them into a catalog, in place of those the package has there.
    pub fn put_into(self, catalog: &mut Catalog) {
        let Self {
            package, object, ..
        } = self;
        catalog
            .others
            .retain(|other| other.schema != DEPRECATIONS || other.package != package);
        catalog.others.push(object);
    }
}

/// An object with other entries; its other members stay.
fn with_entries(object: &Other, entries: &[&str]) -> Result<String, WrongType> {
    let entries = format!("[{}]", entries.join(","));
    let fields = Fields::of(&object.blob)?;
    let members = fields.members().map(|(name, value)| {
        let is_entries = name.eq_ignore_ascii_case("entries");
        let value = if is_entries { &entries } else { value.get() };
        format!("{}:{value}", json_string(name))
    });
    Ok(format!("{{{}}}", members.collect::<Vec<_>>().join(",")))
}

/// What an entry says that it should not (newest-opm §4).
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum EntryFault {
    #[error("names the package {0:?}: entries of schema olm.package have no name")]
    PackageNamed(String),
    #[error("names the channel {0:?}, which the package does not have")]
    NoChannel(String),
    #[error("names the bundle {0:?}, which the package does not have")]
    NoBundle(String),
    #[error("has the schema {0:?}: it has to be olm.package, olm.channel or olm.bundle")]
    Schema(String),
    #[error("deprecates {0:?} again")]
    Twice(String),
    #[error("has no message for those who use it")]
    Silent,
}

/// The names in a package.
#[derive(Default)]
struct Names<'a> {
    channels: BTreeSet<&'a str>,
    bundles: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    fn of(catalog: &'a Catalog, package: &str) -> Self {
        let channels = catalog.channels.iter();
        let channels = channels.filter(|channel| channel.package == package);
        let bundles = catalog.bundles.iter();
        let bundles = bundles.filter(|bundle| bundle.package == package);
        Self {
            channels: channels.map(|channel| channel.name.as_str()).collect(),
            bundles: bundles.map(|bundle| bundle.name.as_str()).collect(),
        }
    }

    /// Those of all packages, each catalog object being looked at once.
    fn by_package(catalog: &'a Catalog) -> BTreeMap<&'a str, Self> {
        let packages = catalog.packages.iter();
        let mut names: BTreeMap<&str, Self> = packages
            .map(|package| (package.name.as_str(), Self::default()))
            .collect();
        for channel in &catalog.channels {
            if let Some(of_package) = names.get_mut(channel.package.as_str()) {
                of_package.channels.insert(&channel.name);
            }
        }
        for bundle in &catalog.bundles {
            if let Some(of_package) = names.get_mut(bundle.package.as_str()) {
                of_package.bundles.insert(&bundle.name);
            }
        }
        names
    }

    /// A channel or bundle that an entry names and that is not there.
    fn absent(&self, entry: &DeprecationEntry) -> Option<EntryFault> {
        let name = entry.name.as_str();
        match entry.schema.as_str() {
            "olm.channel" if !self.channels.contains(name) => {
                Some(EntryFault::NoChannel(name.to_owned()))
            }
            "olm.bundle" if !self.bundles.contains(name) => {
                Some(EntryFault::NoBundle(name.to_owned()))
            }
            _ => None,
        }
    }

    /// Every fault of an entry; what those before it deprecate was `seen`.
    fn faults<'e>(
        &self,
        package: &str,
        entry: &'e DeprecationEntry,
        seen: &mut BTreeSet<(&'e str, &'e str)>,
    ) -> Vec<EntryFault> {
        let DeprecationEntry {
            schema,
            name,
            message,
        } = entry;
        let fault = match schema.as_str() {
            "olm.package" if !name.is_empty() => Some(EntryFault::PackageNamed(name.clone())),
            "olm.package" | "olm.channel" | "olm.bundle" => self.absent(entry),
            _ => Some(EntryFault::Schema(schema.clone())),
        };
        // The package is one thing, whether named or not.
        let subject = match name == package && schema == "olm.package" {
            true => "",
            false => name,
        };
        let twice = !seen.insert((schema, subject));
        let twice = twice.then(|| EntryFault::Twice(name.clone()));
        let silent = message.is_empty().then_some(EntryFault::Silent);
        [fault, twice, silent].into_iter().flatten().collect()
    }
}

/// What the newest version of the reference says of the deprecations of a catalog when it checks it
/// (newest-opm §4 "Deprecations").
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    /// The package, empty for none, and what is wrong.
    pub(crate) faults: Vec<(String, String)>,
    /// Package, schema and name of what is deprecated without a word.
    silent: BTreeSet<(String, String, String)>,
}

impl Judgement {
    /// That of a catalog, of which an outline will do. What cannot be read was refused before.
    pub(crate) fn of(catalog: &Catalog) -> Self {
        let mut found = Self::default();
        let packages = Names::by_package(catalog);
        let mut seen = BTreeSet::new();
        let objects = catalog
            .others
            .iter()
            .filter(|other| other.is_deprecations());
        for (at, object) in objects.enumerate() {
            let package = object.package.as_str();
            let fault = if package.is_empty() {
                format!("package name must be set for deprecation item {at}")
            } else if let Some(names) = packages.get(package) {
                if seen.insert(package) {
                    let entries = deprecation_entries(&object.blob).unwrap_or_default();
                    found.judge(package, names, entries);
                    continue;
                }
                format!("expected a maximum of one deprecation per package: {package:?}")
            } else {
                format!("cannot apply deprecations to an unknown package {package:?}")
            };
            found.faults.push((package.to_owned(), fault));
        }
        found
    }

    fn judge(&mut self, package: &str, names: &Names<'_>, entries: Vec<DeprecationEntry>) {
        let mut seen = BTreeSet::new();
        for (at, entry) in entries.into_iter().enumerate() {
            let DeprecationEntry {
                schema,
                name,
                message,
            } = entry;
            let reference = format!("{{schema: {schema:?}, name: {name:?}}}");
            let fault = match schema.as_str() {
                "" => format!(
                    "schema must be set for deprecation entry [{at}] for package {package:?}"
                ),
                _ if !seen.insert((schema.clone(), name.clone())) => {
                    format!("duplicate deprecation entry {reference} for package {package:?}")
                }
                "olm.bundle" if !names.bundles.contains(name.as_str()) => {
                    format!(
                        "cannot deprecate bundle {name:?} for package {package:?}: bundle not found"
                    )
                }
                "olm.channel" if !names.channels.contains(name.as_str()) => format!(
                    "cannot deprecate channel {name:?} for package {package:?}: channel not found"
                ),
                "olm.package" if !name.is_empty() => format!(
                    "package name must be empty for deprecated package {package:?} (specified {name:?})"
                ),
                "olm.bundle" | "olm.channel" | "olm.package" => {
                    if message.is_empty() {
                        self.silent.insert((package.to_owned(), schema, name));
                    }
                    continue;
                }
                _ => format!(
                    "cannot deprecate object {reference} referenced by entry {at} for package \
                     {package:?}: object schema unknown"
                ),
            };
            self.faults.push((package.to_owned(), fault));
        }
    }

    /// What is wrong with the deprecation of a package, channel or bundle itself.
    pub(crate) fn silence(&self, package: &str, schema: &str, name: &str) -> Option<&'static str> {
        // Nearly always there is none.
        if self.silent.is_empty() {
            return None;
        }
        let key = (package.to_owned(), schema.to_owned(), name.to_owned());
        let is_silent = self.silent.contains(&key);
        is_silent.then_some("invalid deprecation: message must be set")
    }
}

/// What is deprecated in a whole catalog: the messages, as far as a serve cache has a place for them.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    packages: BTreeMap<String, OfPackage>,
}

#[derive(Debug, Default)]
struct OfPackage {
    package: Option<String>,
    channels: BTreeMap<String, String>,
    bundles: BTreeMap<String, String>,
}

impl Messages {
    /// Those of a catalog, of which an outline will do. What the newest version of the reference
    /// refuses is told: an entry that names what is not there is left out, of two for the same the
    /// first counts.
    ///
    /// # Errors
    /// An object that cannot be read: its package, and what is wrong.
    pub(crate) fn of(
        catalog: &Catalog,
        mut warn: impl FnMut(String),
    ) -> Result<Self, (String, WrongType)> {
        // With their places in their objects.
        let mut entries: BTreeMap<&str, Vec<(usize, DeprecationEntry)>> = BTreeMap::new();
        let objects = catalog.others.iter();
        for object in objects.filter(|other| other.schema == DEPRECATIONS) {
            let package = object.package.as_str();
            let read = deprecation_entries(&object.blob);
            let read = read.map_err(|wrong| (package.to_owned(), wrong))?;
            if package.is_empty() {
                warn(format!(
                    "an object of schema {DEPRECATIONS} names no package: the cache leaves it out"
                ));
                continue;
            }
            if entries.contains_key(package) {
                warn(format!(
                    "package {package:?} has more than one object of schema {DEPRECATIONS}: the \
                     cache has the entries of all"
                ));
            }
            let of_package = entries.entry(package).or_default();
            of_package.extend(read.into_iter().enumerate());
        }
        let known = catalog.packages.iter();
        let known: BTreeSet<&str> = known.map(|package| package.name.as_str()).collect();
        let mut packages = BTreeMap::new();
        for (package, entries) in entries {
            if known.contains(package) {
                let names = Names::of(catalog, package);
                packages.insert(
                    package.to_owned(),
                    OfPackage::read(package, &names, &entries, &mut warn),
                );
            } else {
                warn(format!(
                    "an object of schema {DEPRECATIONS} names the package {package:?}, which is \
                     unknown: the cache leaves it out"
                ));
            }
        }
        Ok(Self { packages })
    }

    pub(crate) fn package(&self, package: &str) -> Option<&str> {
        self.packages.get(package)?.package.as_deref()
    }

    pub(crate) fn channel(&self, package: &str, name: &str) -> Option<&str> {
        let found = self.packages.get(package)?;
        found.channels.get(name).map(String::as_str)
    }

    pub(crate) fn bundle(&self, package: &str, name: &str) -> Option<&str> {
        let found = self.packages.get(package)?;
        found.bundles.get(name).map(String::as_str)
    }
}

impl OfPackage {
    fn read(
        package: &str,
        names: &Names<'_>,
        entries: &[(usize, DeprecationEntry)],
        warn: &mut impl FnMut(String),
    ) -> Self {
        let mut found = Self::default();
        let mut seen = BTreeSet::new();
        for (at, entry) in entries {
            let faults = names.faults(package, entry, &mut seen);
            let carried = faults.iter().all(|fault| match fault {
                EntryFault::Silent => true,
                EntryFault::PackageNamed(name) => name == package,
                _ => false,
            });
            if !faults.is_empty() {
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                let done = match carried {
                    true => "has it all the same",
                    false => "leaves it out",
                };
                warn(format!(
                    "package {package:?}: deprecations, entries[{at}] {}: the cache {done}",
                    faults.join(", and ")
                ));
            }
            let DeprecationEntry {
                schema,
                name,
                message,
            } = entry;
            match schema.as_str() {
                _ if !carried => {}
                "olm.package" => found.package = Some(message.clone()),
                "olm.channel" => {
                    found.channels.insert(name.clone(), message.clone());
                }
                _ => {
                    found.bundles.insert(name.clone(), message.clone());
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::{Deprecations, DeprecationsFault, Messages};
    use crate::{Catalog, read_text};

    fn catalog() -> Catalog {
        let mut catalog = Catalog::default();
        let text = r#"{"schema": "olm.package", "name": "p"}
            {"schema": "olm.channel", "package": "p", "name": "stable"}
            {"schema": "olm.bundle", "package": "p", "name": "p.v1"}
            {"schema": "olm.deprecations", "package": "p", "entries": []}
            {"schema": "olm.deprecations", "package": "q", "entries": []}"#;
        read_text(text, &mut catalog).unwrap();
        catalog
    }

    #[test]
    fn what_is_said_of_what_is_gone_goes() {
        let mut catalog = catalog();
        let text = r#"{"schema": "olm.deprecations", "package": "p", "own": 1, "entries": [
            {"reference": {"schema": "olm.bundle", "name": "p.v0"}, "message": "gone"},
            {"reference": {"schema": "olm.channel", "name": "old"}, "message": "gone"},
            {"reference": {"schema": "olm.bundle", "name": "p.v1"}, "message": "<kept>"}]}"#;
        Deprecations::read(text.as_bytes())
            .unwrap()
            .put_into(&mut catalog);
        let (left, words) = Deprecations::without_gone(&catalog, "p").unwrap().unwrap();
        left.check(&catalog).unwrap();
        assert_eq!(words.len(), 2);
        assert!(words[0].contains("names the bundle \"p.v0\""), "{words:?}");
        let text = left.object.blob.get();
        assert!(
            text.contains("<kept>") && text.contains("\"own\":1"),
            "{text}"
        );
        left.put_into(&mut catalog);
        assert_eq!(Deprecations::without_gone(&catalog, "p").unwrap(), None);
        assert_eq!(Deprecations::without_gone(&catalog, "q").unwrap(), None);
    }

    #[test]
    fn deprecations_take_the_place_of_older_ones() {
        let text = "schema: olm.deprecations\npackage: p\nentries:\n\
            - reference: {schema: olm.package}\n  message: all\n\
            - reference: {schema: olm.channel, name: stable}\n  message: channel\n\
            - reference: {schema: olm.bundle, name: p.v1}\n  message: bundle\n";
        let deprecations = Deprecations::read(text.as_bytes()).unwrap();
        let mut catalog = catalog();
        deprecations.check(&catalog).unwrap();
        deprecations.put_into(&mut catalog);
        let packages: Vec<_> = catalog.others.iter().map(|other| &other.package).collect();
        assert_eq!(packages, ["q", "p"]);
        assert!(
            catalog.others[1]
                .blob
                .get()
                .contains("\"message\":\"bundle\"")
        );
    }

    #[test]
    fn every_fault_is_named() {
        let text = r#"{"schema": "olm.deprecations", "package": "p", "entries": [
            {"reference": {"schema": "olm.channel", "name": "beta"}, "message": "m"},
            {"reference": {"schema": "olm.bundle", "name": "p.v2"}},
            {"reference": {"schema": "olm.package"}, "message": "m"},
            {"reference": {"schema": "olm.package"}, "message": "m"},
            {"reference": {"schema": "olm.thing", "name": "x"}, "message": "m"}]}"#;
        let faults = Deprecations::read(text.as_bytes())
            .unwrap()
            .check(&catalog());
        assert_eq!(
            faults.unwrap_err().to_string(),
            "package \"p\": entries[0] names the channel \"beta\", which the package does not have\n\
             package \"p\": entries[1] names the bundle \"p.v2\", which the package does not have\n\
             package \"p\": entries[1] has no message for those who use it\n\
             package \"p\": entries[3] deprecates \"\" again\n\
             package \"p\": entries[4] has the schema \"olm.thing\": it has to be olm.package, \
             olm.channel or olm.bundle"
        );
        let other = r#"{"schema": "olm.deprecations", "package": "q", "entries": []}"#;
        assert!(
            Deprecations::read(other.as_bytes())
                .unwrap()
                .check(&catalog())
                .is_err()
        );
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            r#"{"schema": "olm.package", "name": "p"}"#,
            r#"{"schema": "my.own"}"#,
            r#"{"schema": "olm.deprecations"} {"schema": "olm.deprecations"}"#,
        ] {
            let refused = Deprecations::read(text.as_bytes());
            assert!(matches!(refused, Err(DeprecationsFault::NotOne)), "{text}");
        }
        let list = r#"{"schema": "olm.deprecations", "entries": {}}"#;
        let refused = Deprecations::read(list.as_bytes()).unwrap_err().to_string();
        assert!(
            refused.contains("into entries, which has to be a list"),
            "{refused}"
        );
    }

    fn messages(objects: &str) -> (Messages, Vec<String>) {
        let mut catalog = Catalog::default();
        let text = r#"{"schema": "olm.package", "name": "p"}
            {"schema": "olm.channel", "package": "p", "name": "stable"}
            {"schema": "olm.bundle", "package": "p", "name": "p.v1"}"#;
        read_text(&format!("{text}{objects}"), &mut catalog).unwrap();
        let mut warnings = Vec::new();
        let messages = Messages::of(&catalog, |text| warnings.push(text)).unwrap();
        (messages, warnings)
    }

    #[test]
    fn messages_are_found_by_what_they_are_about() {
        let (found, warnings) = messages(
            r#"{"schema": "olm.deprecations", "package": "p", "entries": [
            {"reference": {"schema": "olm.package"}, "message": "all"},
            {"reference": {"schema": "olm.channel", "name": "stable"}, "message": "channel"},
            {"reference": {"schema": "olm.bundle", "name": "p.v1"}, "message": "bundle"}]}"#,
        );
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(found.package("p"), Some("all"));
        assert_eq!(found.channel("p", "stable"), Some("channel"));
        assert_eq!(found.bundle("p", "p.v1"), Some("bundle"));
        assert_eq!(found.channel("p", "beta"), None);
        assert_eq!(found.package("q"), None);
    }

    #[test]
    fn what_the_newest_reference_refuses_is_told() {
        let (found, warnings) = messages(
            r#"{"schema": "olm.deprecations", "entries": []}
            {"schema": "olm.deprecations", "package": "q", "entries": []}
            {"schema": "olm.deprecations", "package": "p", "entries": [
            {"reference": {"schema": "olm.bundle", "name": "p.v1"}, "message": "first"},
            {"reference": {"schema": "olm.channel", "name": "beta"}, "message": "m"},
            {"reference": {"schema": "olm.bundle", "name": "p.v2"}, "message": "m"},
            {"reference": {"name": "p.v1"}, "message": "m"}, {},
            {"reference": {"schema": "olm.thing"}, "message": "m"},
            {"reference": {"schema": "olm.package", "name": "q"}, "message": "other"}]}
            {"schema": "olm.deprecations", "package": "p", "entries": [
            {"reference": {"schema": "olm.package", "name": "p"}, "message": "itself"},
            {"reference": {"schema": "olm.bundle", "name": "p.v1"}, "message": "second"},
            {"reference": {"schema": "olm.channel", "name": "stable"}}]}"#,
        );
        for told in [
            "names no package",
            "names the package \"q\", which is unknown",
            "more than one object",
            "entries[1] names the channel \"beta\", which the package does not have: the cache \
             leaves it out",
            "entries[2] names the bundle \"p.v2\"",
            "entries[3] has the schema \"\"",
            "entries[4] has the schema \"\": it has to be olm.package, olm.channel or olm.bundle, and has \
             no message for those who use it: the cache leaves it out",
            "entries[5] has the schema \"olm.thing\"",
            "entries[6] names the package \"q\"",
            "entries[0] names the package \"p\": entries of schema olm.package have no name: the \
             cache has it all the same",
            "entries[1] deprecates \"p.v1\" again: the cache leaves it out",
            "entries[2] has no message for those who use it: the cache has it all the same",
        ] {
            let times = warnings.iter().filter(|warning| warning.contains(told));
            assert_eq!(times.count(), 1, "{told}: {warnings:#?}");
        }
        assert_eq!(found.package("p"), Some("itself"));
        assert_eq!(found.channel("p", "stable"), Some(""));
        assert_eq!(found.bundle("p", "p.v1"), Some("first"));
    }

    #[test]
    fn unreadable_deprecations_of_a_catalog_are_refused() {
        for entries in [r#""all""#, r#"[{"message": 1}]"#, r#"[{"reference": "p"}]"#] {
            let text = format!(
                r#"{{"schema": "olm.deprecations", "package": "p", "entries": {entries}}}"#
            );
            let mut catalog = Catalog::default();
            read_text(&text, &mut catalog).unwrap();
            let refused = Messages::of(&catalog, |_| {}).unwrap_err();
            assert_eq!(refused.0, "p", "{entries}");
        }
    }
}
