//! Whether answers are what the description of the API says. Every test of the router asks this of every answer.

use http::{Method, StatusCode};
use iib_intake::openapi_document;
use serde_json::{Value, json};

/// Fails if the answer to a call that is described is another than is said there.
pub(crate) fn check(method: &Method, path: &str, status: StatusCode, media_type: &str, text: &str) {
    let method = method.as_str().to_ascii_lowercase();
    let Some((name, said)) = described(&method, path) else {
        return;
    };
    let said = &said["responses"][status.as_str()];
    assert!(
        said.is_object(),
        "{method} {name} answers {status}, which is not described: {text}"
    );
    let said = match said["$ref"].as_str() {
        Some(reference) => openapi_document().pointer(reference.trim_start_matches('#')),
        None => Some(said),
    };
    let contents = said.unwrap()["content"].as_object();
    // What has no content is described without.
    let Some(contents) = contents else {
        return;
    };
    let (essence, _) = media_type.split_once(';').unwrap_or((media_type, ""));
    let content = contents.get(essence);
    let content =
        content.unwrap_or_else(|| panic!("{method} {name} answers {status} as {essence}"));
    if essence.contains("json") {
        conforms(
            &content["schema"],
            &serde_json::from_str(text).unwrap(),
            name,
        );
    }
}

/// Fails if a document is another than a schema of the description says.
pub(crate) fn conforms(schema: &Value, document: &Value, name: &str) {
    let whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "allOf": [schema],
        "components": openapi_document()["components"],
    });
    let validator = jsonschema::validator_for(&whole).unwrap();
    let faults: Vec<String> = validator
        .iter_errors(document)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{name}: {faults:?} in {document}");
}

/// The call that is described for this path: of several, the one without names in it.
fn described(method: &str, path: &str) -> Option<(&'static str, &'static Value)> {
    let path = path.strip_prefix("/api/v1")?;
    let parts: Vec<&str> = path.split('/').collect();
    let fits = |name: &str| {
        let names: Vec<&str> = name.split('/').collect();
        let mut both = names.iter().zip(&parts);
        // Numbers of requests are digits, so that other names are no requests.
        let stands_for = |name: &str, part: &str| match name {
            "{id}" => part.parse::<u64>().is_ok(),
            _ => name.starts_with('{'),
        };
        names.len() == parts.len()
            && both.all(|(name, part)| name == part || stands_for(name, part))
    };
    let paths = openapi_document()["paths"].as_object().unwrap();
    let fitting = paths
        .iter()
        .filter(|(name, said)| fits(name) && said[method].is_object());
    let (name, said) = fitting.min_by_key(|(name, _)| name.matches('{').count())?;
    Some((name, &said[method]))
}
