//! Looking images up: digests, architectures, labels.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use iib_oci::{
    Arch, CONFIG_LIMIT, Descriptor, Digest, ImageConfig, Manifest, ManifestError, ManifestList,
    ManifestListEntry, MediaType, Pinned, Platform, PullSpec, RawManifest, Reference, Repository,
    Resolved,
};
use iib_ports::{Registry, RegistryError};
use tokio::sync::OnceCell;

use crate::ImageError;

/// An image as a pull spec resolved.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// The pull spec, pinned to what it named: a list or a single image.
    pub(crate) resolved: Pinned,
    /// The single images behind it, in the list's order.
    pub(crate) variants: Vec<Variant>,
}

/// One image of one architecture.
#[derive(Debug, Clone)]
pub(crate) struct Variant {
    /// What was read of it already: of a lone image, its manifest.
    pub(crate) manifest: Option<Manifest>,
    /// Its architecture; of a lone image it stands in the configuration only.
    pub(crate) arch: Option<Arch>,
    /// Its manifest.
    pub(crate) pinned: Pinned,
    /// Its configuration, once it was read.
    config: OnceCell<ImageConfig>,
}

/// Resolves a pull spec that a user wrote.
///
/// # Errors
/// [`ImageError::Inspect`] with the text users know; [`ImageError::ManifestType`],
/// [`ImageError::Manifest`].
pub(crate) async fn resolve(registry: &dyn Registry, spec: &PullSpec) -> Result<Image, ImageError> {
    let (digest, document) = look_up(registry, spec).await?;
    of_document(spec, digest, document)
}

fn of_document(spec: &PullSpec, digest: Digest, document: Resolved) -> Result<Image, ImageError> {
    let resolved = spec.pin(digest);
    let variants = match document {
        Resolved::Image(manifest) => vec![Variant {
            manifest: Some(manifest),
            arch: None,
            pinned: resolved.clone(),
            config: OnceCell::new(),
        }],
        Resolved::List(list) => variants(spec, list)?,
    };
    Ok(Image { resolved, variants })
}

/// The labels of an image, whose document may be known; of a list, those of the image that [`Image::any`] takes.
///
/// # Errors
/// As [`resolve`] and [`config`].
pub(crate) async fn labels(
    registry: &dyn Registry,
    image: &str,
    known: Option<&RawManifest>,
) -> Result<BTreeMap<String, String>, ImageError> {
    let spec: PullSpec = image
        .parse()
        .map_err(|_| ImageError::Absent(image.to_owned()))?;
    let image = match known {
        Some(raw) => of_document(&spec, raw.digest(), read(raw, image)?)?,
        None => resolve(registry, &spec).await?,
    };
    let (_, config) = image.any()?.config(registry).await?;
    Ok(config.labels().clone().into_iter().collect())
}

/// The manifest of a single image, or that of the first one of a list.
///
/// # Errors
/// As [`resolve`].
pub(crate) async fn first_manifest(
    registry: &dyn Registry,
    spec: &PullSpec,
) -> Result<Manifest, ImageError> {
    match look_up(registry, spec).await?.1 {
        Resolved::Image(manifest) => Ok(manifest),
        Resolved::List(list) => match variants(spec, list)?.first() {
            Some(first) => manifest(registry, &first.pinned).await,
            None => Err(ImageError::EmptyList(spec.to_string())),
        },
    }
}

async fn look_up(
    registry: &dyn Registry,
    spec: &PullSpec,
) -> Result<(Digest, Resolved), ImageError> {
    let raw = registry
        .manifest(spec.repository(), spec.reference())
        .await
        .map_err(|source| ImageError::Inspect {
            image: spec.to_string(),
            source,
        })?;
    let document = read(&raw, spec.as_str())?;
    Ok((raw.digest(), document))
}

/// The images of a list; there is at least one. Where some say what they run on, only those are
/// images: signatures, bills of materials and attestations stand beside them without a platform,
/// or for an unknown one.
fn variants(spec: &PullSpec, list: ManifestList) -> Result<Vec<Variant>, ImageError> {
    let (named, bare): (Vec<_>, Vec<_>) = list
        .manifests
        .into_iter()
        .partition(|entry| architecture(entry).is_some());
    let entries = match named.is_empty() {
        true => bare.into_iter().filter(may_be_image).collect(),
        false => named,
    };
    let mut variants = Vec::new();
    for entry in entries {
        // Where a list has images for several systems, only those for Linux are built on.
        if !entry.platform.as_ref().is_none_or(is_linux) {
            continue;
        }
        let arch = architecture(&entry)
            .map(str::parse::<Arch>)
            .transpose()
            .map_err(|source| ImageError::Arch {
                image: spec.to_string(),
                source,
            })?;
        variants.push(Variant {
            manifest: None,
            arch,
            pinned: spec.pin(entry.descriptor.digest),
            config: OnceCell::new(),
        });
    }
    if variants.is_empty() {
        return Err(ImageError::EmptyList(spec.to_string()));
    }
    Ok(variants)
}

/// The architecture an entry says it is for. What is attached to an image may name that of the
/// image, and is none all the same.
fn architecture(entry: &ManifestListEntry) -> Option<&str> {
    if is_attachment(entry) {
        return None;
    }
    let architecture = entry.platform.as_ref()?.architecture.as_str();
    Some(architecture).filter(|name| !matches!(*name, "" | "unknown"))
}

/// Whether an entry says that it is no image. Of an image, the type of its configuration may stand
/// there.
fn is_attachment(entry: &ManifestListEntry) -> bool {
    const IMAGES: [&str; 2] = [
        "application/vnd.oci.image.config.v1+json",
        MediaType::DOCKER_CONFIG,
    ];
    let kind = entry.artifact_type.as_deref();
    kind.is_some_and(|kind| !kind.is_empty() && !IMAGES.contains(&kind))
}

/// Whether an entry that names no architecture can be an image all the same.
fn may_be_image(entry: &ManifestListEntry) -> bool {
    let is_unknown = |p: &Platform| p.architecture == "unknown";
    !is_attachment(entry) && !entry.platform.as_ref().is_some_and(is_unknown)
}

fn is_linux(platform: &Platform) -> bool {
    matches!(platform.os.as_str(), "linux" | "")
}

impl Variant {
    /// Its manifest and configuration; what was read before is not asked for again.
    ///
    /// # Errors
    /// As [`config`].
    pub(crate) async fn config(
        &self,
        registry: &dyn Registry,
    ) -> Result<(Manifest, ImageConfig), ImageError> {
        let manifest = match &self.manifest {
            Some(known) => known.clone(),
            None => manifest(registry, &self.pinned).await?,
        };
        let read = || config_of(registry, &self.pinned, &manifest);
        let config = self.config.get_or_try_init(read).await?.clone();
        Ok((manifest, config))
    }
}

impl Image {
    /// The single image to look into where any architecture will do: amd64 if there is one, as
    /// the reference's tools choose on their machines, else the first.
    pub(crate) fn any(&self) -> Result<&Variant, ImageError> {
        let amd64 = Arch::amd64();
        self.variants
            .iter()
            .find(|variant| variant.arch.as_ref() == Some(&amd64))
            .or_else(|| self.variants.first())
            .ok_or_else(|| ImageError::EmptyList(self.resolved.to_string()))
    }

    /// The images by architecture; a lone image's configuration says what it is for.
    ///
    /// # Errors
    /// As [`config`].
    pub(crate) async fn by_arch(
        &self,
        registry: &dyn Registry,
    ) -> Result<BTreeMap<Arch, Pinned>, ImageError> {
        let mut images = BTreeMap::new();
        for variant in &self.variants {
            let arch = match &variant.arch {
                Some(arch) => arch.clone(),
                None => {
                    let (_, config) = variant.config(registry).await?;
                    let name = config
                        .architecture()
                        .ok_or_else(|| ImageError::NoArch(variant.pinned.to_string()))?;
                    name.parse().map_err(|source| ImageError::Arch {
                        image: variant.pinned.to_string(),
                        source,
                    })?
                }
            };
            images.entry(arch).or_insert_with(|| variant.pinned.clone());
        }
        Ok(images)
    }
}

fn read(raw: &RawManifest, image: &str) -> Result<Resolved, ImageError> {
    let image = || image.to_owned();
    raw.read().map_err(|source| match source {
        ManifestError::Type(_) | ManifestError::NoType(_) => ImageError::ManifestType {
            image: image(),
            source,
            schema_version: raw.schema_version(),
        },
        source => ImageError::Manifest {
            image: image(),
            source,
        },
    })
}

/// Reads the manifest of a single image.
///
/// # Errors
/// [`ImageError::Inspect`], [`ImageError::Manifest`]; a list in its place is refused.
pub(crate) async fn manifest(
    registry: &dyn Registry,
    image: &Pinned,
) -> Result<Manifest, ImageError> {
    let digest = Reference::Digest(image.digest().clone());
    let raw = registry
        .manifest(image.repository(), &digest)
        .await
        .map_err(|source| ImageError::Inspect {
            image: image.to_string(),
            source,
        })?;
    match read(&raw, &image.to_string())? {
        Resolved::Image(manifest) => Ok(manifest),
        Resolved::List(_) => Err(ImageError::Manifest {
            image: image.to_string(),
            source: ManifestError::Type(raw.media_type),
        }),
    }
}

/// Reads manifest and configuration of a single image.
///
/// # Errors
/// [`ImageError`] naming the image.
pub(crate) async fn config(
    registry: &dyn Registry,
    image: &Pinned,
) -> Result<(Manifest, ImageConfig), ImageError> {
    let manifest = manifest(registry, image).await?;
    let config = config_of(registry, image, &manifest).await?;
    Ok((manifest, config))
}

/// Reads the configuration of an image whose manifest is known.
///
/// # Errors
/// As [`config`].
pub(crate) async fn config_of(
    registry: &dyn Registry,
    image: &Pinned,
    manifest: &Manifest,
) -> Result<ImageConfig, ImageError> {
    let bytes = config_blob(registry, image.repository(), &manifest.config)
        .await
        .map_err(|source| ImageError::Registry {
            doing: format!("Failed to read the configuration of {image}"),
            source,
        })?;
    ImageConfig::read(&bytes).map_err(|source| ImageError::Config {
        image: image.to_string(),
        source,
    })
}

/// Reads a configuration into memory.
async fn config_blob(
    registry: &dyn Registry,
    repository: &Repository,
    descriptor: &Descriptor,
) -> Result<Vec<u8>, RegistryError> {
    let limit = CONFIG_LIMIT as u64;
    if descriptor.size > limit {
        return Err(RegistryError::TooLarge {
            what: format!("blob {} of {repository}", descriptor.digest),
            limit,
        });
    }
    registry
        .blob(repository, descriptor)
        .await?
        .try_fold(Vec::new(), |mut bytes, chunk| async move {
            bytes.extend_from_slice(&chunk);
            Ok(bytes)
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, platform: Option<(&str, &str)>) -> ManifestListEntry {
        ManifestListEntry {
            descriptor: Descriptor {
                media_type: MediaType::new(MediaType::OCI_MANIFEST),
                size: 1,
                digest: Digest::of(name.as_bytes()),
            },
            platform: platform.map(|(os, architecture)| Platform {
                architecture: architecture.to_owned(),
                os: os.to_owned(),
                variant: None,
            }),
            artifact_type: None,
        }
    }

    fn chosen(entries: Vec<ManifestListEntry>) -> Vec<Digest> {
        let spec = "r.example/a:v1".parse().unwrap();
        match variants(&spec, ManifestList::docker(entries)) {
            Ok(variants) => variants
                .into_iter()
                .map(|found| found.pinned.digest().clone())
                .collect(),
            Err(ImageError::EmptyList(_)) => Vec::new(),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_type_that_is_not_read_is_told_in_the_words_users_know() {
        let schema_1 = "application/vnd.docker.distribution.manifest.v1+json";
        let read = |document: &str| {
            let raw = RawManifest {
                media_type: MediaType::new(schema_1),
                bytes: document.as_bytes().to_vec(),
            };
            read(&raw, "r.example/a:v1").unwrap_err()
        };
        let begins = "The pull specification of r.example/a:v1 is neither a v2 manifest list nor a";
        let typed = read(&format!(
            r#"{{"schemaVersion": 1, "mediaType": "{schema_1}"}}"#
        ));
        assert_eq!(typed.to_string(), format!("{begins} v2 manifest"));
        assert_eq!(
            typed.of_bundle().to_string(),
            format!(
                "{begins} v2s2 manifest. Type {schema_1} and schema version 1 is not supported by IIB."
            )
        );
        let silent = read(r#"{"schemaVersion": 1}"#);
        assert_eq!(silent.to_string(), format!("{begins} v2 manifest"));
        let silent = crate::StageError::from(silent.of_bundle());
        assert_eq!(
            silent.reason(),
            format!(
                "mediaType not found: {begins} v2 manifest: the document does not say its type, and \
                 the registry has it as {schema_1}: use Docker v2 schema 2 or OCI"
            )
        );
        // What is wrong with the document itself is told as before.
        let broken = read("{");
        assert!(matches!(broken, ImageError::Manifest { .. }), "{broken}");
    }

    #[test]
    fn what_is_attached_to_images_is_no_image_of_a_list() {
        let image = || entry("image", Some(("linux", "amd64")));
        let wanted = [Digest::of(b"image")];
        for attached in [
            None,
            Some(("", "")),
            Some(("unknown", "unknown")),
            Some(("linux", "")),
        ] {
            for entries in [
                vec![entry("attached", attached), image()],
                vec![image(), entry("attached", attached)],
            ] {
                assert_eq!(chosen(entries), wanted, "{attached:?}");
            }
        }
        let windows = || entry("windows", Some(("windows", "amd64")));
        assert_eq!(chosen(vec![windows(), image()]), wanted);
        // Where nothing but other systems is named, there is nothing for us.
        assert_eq!(chosen(vec![windows(), entry("attached", None)]), []);
        assert_eq!(
            chosen(vec![entry("attached", Some(("unknown", "unknown")))]),
            []
        );
    }

    #[test]
    fn entries_that_all_name_no_platform_are_images_unless_they_say_otherwise() {
        let mut artifact = entry("attached", None);
        artifact.artifact_type = Some("application/vnd.example.signature".to_owned());
        let bare = [Digest::of(b"image")];
        assert_eq!(chosen(vec![artifact.clone(), entry("image", None)]), bare);
        assert_eq!(
            chosen(vec![artifact.clone(), entry("image", Some(("", "")))]),
            bare
        );
        assert_eq!(chosen(vec![artifact]), []);
        let mut attached = entry("attached", Some(("linux", "amd64")));
        attached.artifact_type = Some("application/vnd.example.sbom".to_owned());
        let image = entry("image", Some(("linux", "amd64")));
        assert_eq!(chosen(vec![attached, image.clone()]), bare);
        let mut typed = image;
        typed.artifact_type = Some(MediaType::DOCKER_CONFIG.to_owned());
        assert_eq!(chosen(vec![typed]), bare);
    }
}
