//! Where a bundle says once more of which package it is: in properties of the type `olm.package`, which a CSV has in an
//! annotation, and a file beside the annotations (OLM, "Packaging": properties). Two that differ are a bundle that no index
//! takes.

use std::ops::Range;

use iib_bundle::{NodeId, YamlDocument};
use serde_json::Value;

/// The annotation of a CSV.
pub(crate) const PROPERTIES: &str = "olm.properties";

/// The type of the property.
const PACKAGE: &str = "olm.package";

/// Its member.
const NAME: &str = "packageName";

/// Where the name stands in a text with a list of properties, from first to last.
pub(crate) fn in_text(text: &str, package: &str) -> Vec<Range<usize>> {
    let states_it = |property: &Value| {
        property.get("type").and_then(Value::as_str) == Some(PACKAGE)
            && property
                .pointer("/value/packageName")
                .and_then(Value::as_str)
                == Some(package)
    };
    match serde_json::from_str::<Vec<Value>>(text) {
        Ok(properties) if properties.iter().any(states_it) => {}
        _ => return Vec::new(),
    }
    let (name, value) = (format!("\"{NAME}\""), format!("\"{package}\""));
    let names = text.match_indices(&name).filter_map(|(at, _)| {
        let rest = text.get(at + name.len()..)?.trim_start();
        let rest = rest.strip_prefix(':')?.trim_start();
        let start = text.len() - rest.len() + 1;
        rest.starts_with(&value)
            .then_some(start..start + package.len())
    });
    names.collect()
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
            {"type":"olm.label","value":{"label":"a"}}]"#;
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
