//! The annotations of a bundle (regenerate-bundle §9).

use std::borrow::Cow;
use std::collections::BTreeMap;

use iib_bundle::{NodeId, YamlDocument, YamlValue, yaml_text};

use crate::RegenerateError;
use crate::error::PACKAGE;

/// Where it is.
pub(crate) const FOLDER: &str = "metadata/";

/// The file.
pub(crate) const FILE: &str = "metadata/annotations.yaml";

/// The annotations, with the name of the package.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) document: YamlDocument,
    package: NodeId,
}

/// The annotations of a bundle that are texts, by their names: what its image has as labels.
///
/// # Errors
/// [`RegenerateError`], as for a bundle that is adapted.
pub fn annotations(
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<BTreeMap<String, String>, RegenerateError> {
    let document = Metadata::read(files.get(FILE))?.document;
    let annotations = document
        .root()
        .and_then(|root| document.get(root, "annotations"));
    let members = annotations
        .map(|id| document.members(id))
        .unwrap_or_default();
    let texts = members.into_iter().filter_map(|(name, value)| {
        let text = document.text(value)?;
        Some((name.into_owned(), text.into_owned()))
    });
    Ok(texts.collect())
}

impl Metadata {
    /// # Errors
    /// [`RegenerateError`], in the reference's order.
    pub(crate) fn read(bytes: Option<&Vec<u8>>) -> Result<Self, RegenerateError> {
        let bytes = bytes.ok_or(RegenerateError::NoAnnotations)?;
        let document = yaml_text(bytes).and_then(YamlDocument::parse);
        let document = document.map_err(RegenerateError::AnnotationsYaml)?;
        let root = document.root();
        let root = root.filter(|root| document.value(*root) == YamlValue::Mapping);
        let root = root.ok_or(RegenerateError::AnnotationsEmpty)?;
        let package = match document.get(root, "annotations") {
            None => None,
            Some(annotations) if document.value(annotations) == YamlValue::Mapping => {
                document.get(annotations, PACKAGE)
            }
            Some(_) => return Err(RegenerateError::AnnotationsShape),
        };
        let package = package.ok_or(RegenerateError::NoPackage)?;
        match document.value(package) {
            YamlValue::Text(name) if !name.is_empty() => {}
            YamlValue::Text(_)
            | YamlValue::Null
            | YamlValue::Bool(false)
            | YamlValue::Number { is_zero: true } => return Err(RegenerateError::NoPackage),
            YamlValue::List if document.items(package).is_empty() => {
                return Err(RegenerateError::NoPackage);
            }
            YamlValue::Mapping if document.members(package).is_empty() => {
                return Err(RegenerateError::NoPackage);
            }
            _ => return Err(RegenerateError::PackageShape),
        }
        Ok(Self { document, package })
    }

    /// The name of the package.
    pub(crate) fn package(&self) -> Cow<'_, str> {
        self.document.text(self.package).unwrap_or_default()
    }

    pub(crate) fn rename_package(&mut self, name: &str) {
        // What aliases stand for is to stay.
        if self.document.has_aliases() {
            self.document.write_out_aliases();
        }
        self.document.set_text(self.package, name);
    }
}
