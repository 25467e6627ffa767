//! What a manifest document refers to.

use iib_oci::{Digest, MediaType};
use serde::Deserialize;

use crate::registry::fault::Fault;

/// Content that has to be in the repository before the manifest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct References {
    pub(super) blobs: Vec<Digest>,
    pub(super) manifests: Vec<Digest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u64,
    media_type: Option<String>,
    config: Option<Reference>,
    layers: Option<Vec<Reference>>,
    manifests: Option<Vec<Reference>>,
}

#[derive(Deserialize)]
struct Reference {
    digest: Digest,
}

/// Reads a document that came under `media_type`.
pub(super) fn references(media_type: &MediaType, bytes: &[u8]) -> Result<References, Fault> {
    if !media_type.is_manifest() && !media_type.is_list() {
        return Err(Fault::ManifestInvalid(
            "its Content-Type is none of the image manifests and lists of Docker v2 and OCI",
        ));
    }
    let document: Document = serde_json::from_slice(bytes).map_err(Fault::ManifestMalformed)?;
    if document.schema_version != 2 {
        return Err(Fault::ManifestInvalid("its schemaVersion is not 2"));
    }
    match document.media_type.as_deref() {
        Some(own) if own == media_type.as_str() => {}
        // Only OCI documents may leave it out.
        None if matches!(
            media_type.as_str(),
            MediaType::OCI_MANIFEST | MediaType::OCI_INDEX
        ) => {}
        Some(_) | None => {
            return Err(Fault::ManifestInvalid(
                "its mediaType is not the Content-Type it was sent with",
            ));
        }
    }
    let digests = |references: Vec<Reference>| references.into_iter().map(|it| it.digest);
    match (document.config, document.layers, document.manifests) {
        (Some(config), Some(layers), None) if media_type.is_manifest() => Ok(References {
            blobs: std::iter::once(config.digest)
                .chain(digests(layers))
                .collect(),
            manifests: Vec::new(),
        }),
        (None, None, Some(manifests)) if media_type.is_list() => Ok(References {
            blobs: Vec::new(),
            manifests: digests(manifests).collect(),
        }),
        // Also a document that could be read as both, depending on who reads it
        // (CVE-2021-41190).
        _ => Err(Fault::ManifestInvalid(
            "an image has `config` and `layers`, a list has `manifests`, and none has both",
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(media_type: &str, document: &Value) -> Result<References, Fault> {
        let bytes = serde_json::to_vec(document).unwrap();
        references(&MediaType::new(media_type), &bytes)
    }

    #[test]
    fn images_refer_to_blobs_and_lists_to_manifests() {
        let [a, b] = [Digest::of(b"a"), Digest::of(b"b")];
        let image = json!({"schemaVersion": 2, "config": {"digest": a}, "layers": [{"digest": b}]});
        let found = read(MediaType::OCI_MANIFEST, &image).unwrap();
        assert_eq!((found.blobs, found.manifests), (vec![a.clone(), b], vec![]));
        let list = json!({
            "schemaVersion": 2, "mediaType": MediaType::DOCKER_LIST, "manifests": [{"digest": a}]
        });
        let found = read(MediaType::DOCKER_LIST, &list).unwrap();
        assert_eq!((found.blobs, found.manifests), (vec![], vec![a]));
    }

    #[test]
    fn documents_that_are_not_what_they_say_are_refused() {
        let digest = Digest::of(b"a");
        let (config, layers) = (json!({"digest": digest}), json!([]));
        for (media_type, document) in [
            (
                "application/json",
                json!({"schemaVersion": 2, "config": config, "layers": layers}),
            ),
            (
                MediaType::OCI_MANIFEST,
                json!({"schemaVersion": 1, "config": config, "layers": layers}),
            ),
            (
                MediaType::OCI_MANIFEST,
                json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "config": config, "layers": layers}),
            ),
            (
                MediaType::DOCKER_MANIFEST,
                json!({"schemaVersion": 2, "config": config, "layers": layers}),
            ),
            (
                MediaType::OCI_MANIFEST,
                json!({"schemaVersion": 2, "config": config, "layers": layers, "manifests": []}),
            ),
            (
                MediaType::OCI_MANIFEST,
                json!({"schemaVersion": 2, "manifests": []}),
            ),
            (
                MediaType::OCI_INDEX,
                json!({"schemaVersion": 2, "config": config, "layers": layers}),
            ),
            (
                MediaType::OCI_INDEX,
                json!({"schemaVersion": 2, "manifests": [{"digest": "sha256:../.."}]}),
            ),
            (MediaType::OCI_INDEX, json!([])),
        ] {
            let refused = read(media_type, &document);
            assert!(refused.is_err(), "{media_type}: {document}");
        }
    }
}
