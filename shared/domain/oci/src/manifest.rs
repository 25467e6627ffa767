//! Manifests and manifest lists of both families.

use serde::{Deserialize, Serialize};

use crate::{Digest, ImageFormat, MediaType, Platform};

/// The largest manifest that is read: what registries accept at most (distribution).
pub const MANIFEST_LIMIT: usize = 4 * 1024 * 1024;

/// A reference from a manifest to content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: MediaType,
    /// Size in bytes.
    pub size: u64,
    /// Digest of the content.
    pub digest: Digest,
}

/// An image manifest: one configuration and its layers, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    schema_version: u8,
    media_type: MediaType,
    /// The image configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
}

/// One image of a manifest list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestListEntry {
    /// The image's manifest.
    #[serde(flatten)]
    pub descriptor: Descriptor,
    /// What it runs on. OCI allows an entry without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What it is, if it is no image but something attached to one (OCI image specification 1.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

/// Several images of one name, told apart by platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestList {
    schema_version: u8,
    media_type: MediaType,
    /// The images, in the list's own order.
    pub manifests: Vec<ManifestListEntry>,
}

/// The exact bytes of a manifest or list, with the media type they came under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    /// The media type the registry (or the document) names.
    pub media_type: MediaType,
    /// The document as it travels; its digest is the image's.
    pub bytes: Vec<u8>,
}

/// What a manifest document turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// One image.
    Image(Manifest),
    /// Several, by platform.
    List(ManifestList),
}

/// A manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Not the JSON document its media type promises.
    #[error("the manifest is not a valid document of type {media_type}")]
    Malformed {
        /// The media type it came under.
        media_type: MediaType,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A type of manifest that no index or bundle has.
    #[error("manifests of type {0} are not supported: use Docker v2 schema 2 or OCI")]
    Type(MediaType),
    /// Neither the document says its type nor does the registry name one that can be used.
    #[error(
        "the document does not say its type, and the registry has it as {0}: use Docker v2 schema 2 or OCI"
    )]
    NoType(MediaType),
    /// The document says another type than it came under.
    #[error(
        "the manifest came as {came} but says that it is {says}: a digest must mean one thing, so push the image again"
    )]
    Contradiction {
        /// The type the registry names.
        came: MediaType,
        /// The type the document names.
        says: MediaType,
    },
    /// The document has a member twice, maybe in another case: readers differ on which counts.
    #[error("the manifest has `{0}` twice: a digest must mean one thing, so push the image again")]
    Twice(&'static str),
    /// The document has members of an image and of a list.
    #[error(
        "the manifest is an image and a list at once (it has `{0}` beside what its type {1} has): a digest must mean one thing, so push the image again"
    )]
    Ambiguous(&'static str, MediaType),
}

/// Members that decide what a document means.
const MEMBERS: [&str; 6] = [
    "schemaVersion",
    "mediaType",
    "manifests",
    "config",
    "layers",
    "fsLayers",
];

/// The names of the members of an object whose values are not null, as often as they stand there;
/// of anything else, none.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Names;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = map.next_key()? {
                    if map.next_value::<Option<serde::de::IgnoredAny>>()?.is_some() {
                        names.push(name);
                    }
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

impl Manifest {
    /// A Docker v2 schema 2 manifest.
    pub fn docker(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self::of(ImageFormat::Docker, config, layers)
    }

    /// A manifest of this format, in which configuration and layers have to be of types that fit.
    pub fn of(format: ImageFormat, config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: format.manifest_type(),
            config,
            layers,
        }
    }

    /// The bytes to push. Field order and spacing are fixed, so the digest is too.
    ///
    /// # Errors
    /// Never for values made here; the error is that of the JSON writer.
    pub fn to_raw(&self) -> Result<RawManifest, serde_json::Error> {
        Ok(RawManifest {
            media_type: self.media_type.clone(),
            bytes: serde_json::to_vec(self)?,
        })
    }
}

impl ManifestList {
    /// A Docker manifest list.
    pub fn docker(manifests: Vec<ManifestListEntry>) -> Self {
        Self::of(ImageFormat::Docker, manifests)
    }

    /// A list of this format: a manifest list, or an image index.
    pub fn of(format: ImageFormat, manifests: Vec<ManifestListEntry>) -> Self {
        Self {
            schema_version: 2,
            media_type: format.list_type(),
            manifests,
        }
    }

    /// The bytes to push, see [`Manifest::to_raw`].
    ///
    /// # Errors
    /// Never for values made here; the error is that of the JSON writer.
    pub fn to_raw(&self) -> Result<RawManifest, serde_json::Error> {
        Ok(RawManifest {
            media_type: self.media_type.clone(),
            bytes: serde_json::to_vec(self)?,
        })
    }

    /// The first entry for Linux on this architecture.
    pub fn entry_for(&self, architecture: &str) -> Option<&ManifestListEntry> {
        self.manifests.iter().find(|entry| {
            entry.platform.as_ref().is_some_and(|p| {
                p.architecture == architecture && (p.os == "linux" || p.os.is_empty())
            })
        })
    }
}

impl RawManifest {
    /// Digest of the bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// Reads the document as its media type says; where the registry names none of an image or a
    /// list, as the document says. A document that can be read in two ways is refused, because a
    /// digest would mean something else to each reader (OCI image specification, "Guidelines" on
    /// `mediaType`; the reason is GHSA-77vh-xpmg-72qh).
    ///
    /// # Errors
    /// [`ManifestError`]; always a reason to reject the image.
    pub fn read(&self) -> Result<Resolved, ManifestError> {
        let malformed = |source| ManifestError::Malformed {
            media_type: self.media_type.clone(),
            source,
        };
        let mut value: serde_json::Value =
            serde_json::from_slice(&self.bytes).map_err(malformed)?;
        let Names(names) = match value.is_object() {
            true => serde_json::from_slice(&self.bytes).map_err(malformed)?,
            false => Names(Vec::new()),
        };
        if let Some(twice) = MEMBERS.into_iter().find(|member| {
            names
                .iter()
                .filter(|name| name.eq_ignore_ascii_case(member))
                .count()
                > 1
        }) {
            return Err(ManifestError::Twice(twice));
        }
        let says = value.get("mediaType").and_then(serde_json::Value::as_str);
        let is_silent = says.is_none();
        let media_type = self.one_type(says.map(MediaType::new))?;
        for (of_other, member) in [
            (media_type.is_manifest(), "manifests"),
            (media_type.is_list(), "config"),
            (media_type.is_list(), "layers"),
            (media_type.is_manifest() || media_type.is_list(), "fsLayers"),
        ] {
            if of_other && names.iter().any(|name| name.eq_ignore_ascii_case(member)) {
                return Err(ManifestError::Ambiguous(member, media_type));
            }
        }
        if let Some(object) = value.as_object_mut() {
            // An OCI document may leave its own type out; the typed form always has it.
            object.insert("mediaType".to_owned(), media_type.as_str().into());
        }
        if media_type.is_list() {
            serde_json::from_value(value)
                .map(Resolved::List)
                .map_err(malformed)
        } else if media_type.is_manifest() {
            serde_json::from_value(value)
                .map(Resolved::Image)
                .map_err(malformed)
        } else if is_silent {
            Err(ManifestError::NoType(media_type))
        } else {
            Err(ManifestError::Type(media_type))
        }
    }

    /// The schema version that the document states, whether or not it can be read otherwise.
    pub fn schema_version(&self) -> Option<u64> {
        let document: serde_json::Value = serde_json::from_slice(&self.bytes).ok()?;
        document.get("schemaVersion")?.as_u64()
    }

    /// The type the registry and the document agree on.
    fn one_type(&self, says: Option<MediaType>) -> Result<MediaType, ManifestError> {
        let came = &self.media_type;
        let specific = came.is_manifest() || came.is_list();
        match says {
            Some(says) if specific && says != *came => Err(ManifestError::Contradiction {
                came: came.clone(),
                says,
            }),
            Some(says) => Ok(says),
            None => Ok(came.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(media_type: &str) -> Descriptor {
        Descriptor {
            media_type: MediaType::new(media_type),
            size: 3,
            digest: Digest::of(b"abc"),
        }
    }

    #[test]
    fn a_written_manifest_reads_back() {
        let manifest = Manifest::docker(
            descriptor(MediaType::DOCKER_CONFIG),
            vec![descriptor(MediaType::DOCKER_LAYER)],
        );
        let raw = manifest.to_raw().unwrap();
        assert_eq!(raw.read().unwrap(), Resolved::Image(manifest));
    }

    #[test]
    fn an_oci_document_without_its_own_type_is_read_by_the_header() {
        let raw = RawManifest {
            media_type: MediaType::new("application/vnd.oci.image.index.v1+json; charset=utf-8"),
            bytes: br#"{"schemaVersion":2,"manifests":[]}"#.to_vec(),
        };
        assert!(matches!(raw.read().unwrap(), Resolved::List(list) if list.manifests.is_empty()));
    }

    #[test]
    fn a_document_that_can_be_read_in_two_ways_is_refused() {
        let (image, list) = (MediaType::OCI_MANIFEST, MediaType::OCI_INDEX);
        let read = |came: &str, document: &str| {
            let raw = RawManifest {
                media_type: MediaType::new(came),
                bytes: document.replace('\'', "\"").into_bytes(),
            };
            raw.read().map_err(|error| error.to_string())
        };
        for (came, document, says) in [
            (
                image,
                "{'schemaVersion':2,'config':{},'layers':[],'manifests':[]}",
                "`manifests`",
            ),
            (
                list,
                "{'schemaVersion':2,'manifests':[],'layers':[]}",
                "`layers`",
            ),
            (
                list,
                "{'schemaVersion':2,'manifests':[],'config':{}}",
                "`config`",
            ),
            (
                image,
                "{'schemaVersion':2,'layers':[],'fsLayers':[]}",
                "`fsLayers`",
            ),
            (
                image,
                &format!("{{'mediaType':'{list}','manifests':[]}}"),
                "image.index",
            ),
            (
                list,
                &format!("{{'mediaType':'{image}','layers':[]}}"),
                "image.manifest",
            ),
            (
                list,
                "{'mediaType':'application/json','manifests':[]}",
                "application/json",
            ),
            (
                "application/vnd.docker.distribution.manifest.v1+json",
                &format!("{{'mediaType':'{image}','layers':[]}}"),
                "manifest.v1+json",
            ),
        ] {
            let text = read(came, document).unwrap_err();
            assert!(text.contains(says), "{says} in {text}");
        }
        for document in [
            "{'schemaVersion':2,'config':{},'layers':[],'Manifests':[]}",
            "{'schemaVersion':2,'layers':[],'layers':[]}",
            "{'mediaType':'a','MediaType':'b','layers':[]}",
        ] {
            assert!(read(image, document).is_err(), "{document}");
        }
        // A type that says nothing contradicts nothing.
        let document = format!("{{'schemaVersion':2,'mediaType':'{list}','manifests':[]}}");
        assert!(matches!(
            read("application/json", &document),
            Ok(Resolved::List(_))
        ));
    }

    #[test]
    fn schema_1_and_non_json_are_refused_with_their_type() {
        let schema_1 = "application/vnd.docker.distribution.manifest.v1+json";
        let mut raw = RawManifest {
            media_type: MediaType::new(schema_1),
            bytes: br#"{"schemaVersion": 1}"#.to_vec(),
        };
        assert!(matches!(raw.read(), Err(ManifestError::NoType(came)) if came == *schema_1));
        assert_eq!(raw.schema_version(), Some(1));
        raw.bytes = format!(r#"{{"mediaType": "{schema_1}"}}"#).into_bytes();
        assert!(matches!(raw.read(), Err(ManifestError::Type(says)) if says == *schema_1));
        assert_eq!(raw.schema_version(), None);
        let raw = RawManifest {
            media_type: MediaType::new(MediaType::DOCKER_MANIFEST),
            bytes: b"<html>".to_vec(),
        };
        assert!(matches!(raw.read(), Err(ManifestError::Malformed { .. })));
    }
}
