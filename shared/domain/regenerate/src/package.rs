//! Where a bundle says once more of which package it is: in properties of the type `olm.package`, which a CSV has in an
//! annotation, and a file beside the annotations (OLM, "Packaging": properties). Two that differ are a bundle that no index
//! takes.

use std::ops::Range;

use iib_bundle::{NodeId, YamlDocument};
use serde_json::Value;
use serde_json::value::RawValue;

/// The annotation of a CSV.
pub(crate) const PROPERTIES: &str = "olm.properties";

/// The type of the property.
const PACKAGE: &str = "olm.package";

/// Its member.
const NAME: &str = "packageName";

/// Where the name stands in a text with a list of properties, from first to last. A name that is written with escapes is
/// not found; no package needs any.
pub(crate) fn in_text(text: &str, package: &str) -> Vec<Range<usize>> {
    let Ok(properties) = serde_json::from_str::<Vec<&RawValue>>(text) else {
        return Vec::new();
    };
    let (mut found, mut from) = (Vec::new(), 0);
    for property in properties.into_iter().map(RawValue::get) {
        // They stand there one after the other.
        let Some(at) = text.get(from..).and_then(|rest| rest.find(property)) else {
            break;
        };
        let start = from + at;
        from = start + property.len();
        if states(property, package)
            && let Some(name) = name_in(property, package)
        {
            found.push(start + name.start..start + name.end);
        }
    }
    found
}

fn states(property: &str, package: &str) -> bool {
    let property: Value = serde_json::from_str(property).unwrap_or_default();
    property.get("type").and_then(Value::as_str) == Some(PACKAGE)
        && property
            .pointer("/value/packageName")
            .and_then(Value::as_str)
            == Some(package)
}

/// Where the member is in a property that has it.
fn name_in(property: &str, package: &str) -> Option<Range<usize>> {
    let (name, value) = (format!("\"{NAME}\""), format!("\"{package}\""));
    let mut names = property.match_indices(&name).filter_map(|(at, _)| {
        let rest = property.get(at + name.len()..)?.trim_start();
        let rest = rest.strip_prefix(':')?.trim_start();
        let start = property.len() - rest.len() + 1;
        rest.starts_with(&value)
            .then_some(start..start + package.len())
    });
    names.next()
}

/// The values of a file that are the name.
pub(crate) fn in_document(document: &YamlDocument, package: &str) -> Vec<NodeId> {
    let properties = document
        .root()
        .and_then(|root| document.get(root, "properties"));
    let items = properties
        .map(|list| document.items(list))
        .unwrap_or_default();
    let is_text = |id: NodeId, text: &str| document.text(id).is_some_and(|found| found == text);
    let names = items.iter().filter_map(|item| {
        let kind = document.get(*item, "type")?;
        let name = document.at(*item, &["value", NAME])?;
        (is_text(kind, PACKAGE) && is_text(name, package)).then_some(name)
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_found_where_it_is_a_package() {
        let text = r#"[{"type":"olm.package","value":{"packageName" : "a","version":"1.0.0"}},
            {"type":"olm.package.required","value":{"packageName":"a","versionRange":">1"}}]"#;
        let found = in_text(text, "a");
        assert_eq!(found.len(), 1);
        assert_eq!(
            text.get(found[0].start - 1..found[0].end + 1),
            Some("\"a\"")
        );
        assert_eq!(in_text(text, "b"), []);
        for other in [
            "",
            "{",
            r#"[{"type":"olm.package.required","value":{"packageName":"a"}}]"#,
        ] {
            assert_eq!(in_text(other, "a"), [], "{other}");
        }
        let file = "properties:\n- {type: olm.package, value: {packageName: a}}\n- {type: x, value: {packageName: a}}\n- 1\n";
        let document = YamlDocument::parse(file).unwrap();
        assert_eq!(in_document(&document, "a").len(), 1);
        assert_eq!(in_document(&document, "b"), []);
    }
}
