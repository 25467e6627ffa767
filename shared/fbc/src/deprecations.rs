//! Deprecations as catalogs hold them: objects of schema `olm.deprecations` (worker flows §10,
//! add-deprecations; spec index-database §17).

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use crate::blob::{Catalog, DEPRECATIONS, Other, OwnedBlob};
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
        if !catalog.packages.iter().any(|found| found.name == *package) {
            faults.push(format!(
                "the catalog has no package {package:?}: check its name"
            ));
            return Err(DeprecationsFault::Unfit(faults));
        }
        let channels = catalog.channels.iter();
        let channels: BTreeSet<&str> = channels
            .filter(|channel| channel.package == *package)
            .map(|channel| channel.name.as_str())
            .collect();
        let bundles = catalog.bundles.iter();
        let bundles: BTreeSet<&str> = bundles
            .filter(|bundle| bundle.package == *package)
            .map(|bundle| bundle.name.as_str())
            .collect();
        let mut seen = BTreeSet::new();
        for (at, entry) in self.entries.iter().enumerate() {
            let DeprecationEntry {
                schema,
                name,
                message,
            } = entry;
            let fault = match schema.as_str() {
                "olm.package" if !name.is_empty() && name != package => {
                    Some(format!("names the package {name:?}, which is another one"))
                }
                "olm.channel" if !channels.contains(name.as_str()) => Some(format!(
                    "names the channel {name:?}, which the package does not have"
                )),
                "olm.bundle" if !bundles.contains(name.as_str()) => Some(format!(
                    "names the bundle {name:?}, which the package does not have"
                )),
                "olm.package" | "olm.channel" | "olm.bundle" => None,
                _ => Some(format!(
                    "has the schema {schema:?}: it has to be olm.package, olm.channel or olm.bundle"
                )),
            };
            let twice = !seen.insert((schema, name));
            let twice = twice.then(|| format!("deprecates {name:?} again"));
            let silent = message.is_empty();
            let silent = silent.then(|| "has no message for those who use it".to_owned());
            for fault in [fault, twice, silent].into_iter().flatten() {
                faults.push(format!("package {package:?}: entries[{at}] {fault}"));
            }
        }
        match faults.is_empty() {
            true => Ok(()),
            false => Err(DeprecationsFault::Unfit(faults)),
        }
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

#[cfg(test)]
mod tests {
    use super::{Deprecations, DeprecationsFault};
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
}
