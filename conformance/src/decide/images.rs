//! The images of a case behind the registry port.

use std::collections::BTreeMap;

use async_trait::async_trait;
use iib_oci::{
    Descriptor, Digest, Manifest, MediaType, PullSpec, PullSpecError, RawManifest, Reference,
    Repository,
};
use iib_ports::{BlobSource, BlobStream, InMemory, Registry, RegistryError};
use serde::Deserialize;
use serde_json::{Value, json};

/// An image as a case has it: the text of its manifest or list, and what its configuration says, of a
/// list that of each of its images.
#[derive(Debug, Deserialize)]
pub(super) struct CaseImage {
    raw: String,
    config: Option<Value>,
}

impl CaseImage {
    /// Sets a label that the case says nothing of.
    pub(super) fn add_label(&mut self, name: &str, value: &str) {
        let config = self.config.get_or_insert_with(|| json!({}));
        if !config["config"]["Labels"].is_object() {
            config["config"]["Labels"] = json!({});
        }
        config["config"]["Labels"][name] = value.into();
    }
}

/// A registry with the images of a case and no others.
///
/// The documents of a case are shorter than the service takes: they do not say how large things are, and
/// what a list refers to is not there. They are served whole, so with other digests, and
/// [`in_words_of_the_case`](Self::in_words_of_the_case) puts those of the case in their place.
pub(super) struct CaseImages {
    manifests: BTreeMap<(Repository, Reference), RawManifest>,
    blobs: BTreeMap<Digest, Vec<u8>>,
    /// Digests that are served, and those that the case has.
    of_case: BTreeMap<Digest, String>,
}

/// The registry of names that come without one.
const NOWHERE: &str = "nowhere.example";

/// A name as intake lets it through: with a registry and a tag, where a case leaves them out because its
/// table asks for something else.
pub(super) fn whole_name(name: &str) -> String {
    match name.parse::<PullSpec>() {
        Err(PullSpecError::NoRegistry(_)) => format!("{NOWHERE}/{name}"),
        Err(PullSpecError::NoReference(_)) => format!("{name}:latest"),
        _ => name.to_owned(),
    }
}

impl CaseImages {
    pub(super) fn new(images: &BTreeMap<String, CaseImage>) -> Self {
        let mut served = Self {
            manifests: BTreeMap::new(),
            blobs: BTreeMap::new(),
            of_case: BTreeMap::new(),
        };
        for (name, image) in images {
            // What is no pull spec is asked for by nobody.
            if let Ok(spec) = whole_name(name).parse() {
                served.put(&spec, image);
            }
        }
        served
    }

    fn put(&mut self, spec: &PullSpec, image: &CaseImage) {
        let document: Option<Value> = serde_json::from_str(&image.raw).ok();
        let says = document
            .as_ref()
            .and_then(|document| document["mediaType"].as_str());
        // What servers say of a document that they do not know.
        let media_type = MediaType::new(says.unwrap_or("application/json"));
        let whole = document.and_then(|document| match &media_type {
            kind if kind.is_manifest() => Some(self.whole_image(document, image)),
            kind if kind.is_list() => Some(self.whole_list(document, spec.repository(), image)),
            _ => None,
        });
        let bytes = match whole {
            Some(whole) => whole.to_string().into_bytes(),
            None => image.raw.clone().into_bytes(),
        };
        let of_case = Digest::of(image.raw.as_bytes());
        let manifest = RawManifest { media_type, bytes };
        self.of_case.insert(manifest.digest(), of_case.to_string());
        self.keep(spec.repository(), manifest.clone());
        let key = (spec.repository().clone(), spec.reference().clone());
        self.manifests.insert(key, manifest);
    }

    fn keep(&mut self, repository: &Repository, manifest: RawManifest) {
        let digest = Reference::Digest(manifest.digest());
        self.manifests
            .insert((repository.clone(), digest), manifest);
    }

    fn whole_image(&mut self, mut document: Value, image: &CaseImage) -> Value {
        let config = self.config(image.config.as_ref());
        document["config"]["mediaType"] = config.media_type.as_str().into();
        document["config"]["size"] = config.size.into();
        document["config"]["digest"] = config.digest.as_str().into();
        document
    }

    fn whole_list(
        &mut self,
        mut document: Value,
        repository: &Repository,
        image: &CaseImage,
    ) -> Value {
        for entry in document["manifests"].as_array_mut().into_iter().flatten() {
            let Some(of_case) = entry["digest"].as_str().map(str::to_owned) else {
                continue;
            };
            let manifest = Manifest::docker(self.config(image.config.as_ref()), Vec::new());
            let mut manifest = json!(manifest);
            // Images that differ in the case differ here.
            manifest["annotations"]["digest"] = of_case.as_str().into();
            let manifest = RawManifest {
                media_type: MediaType::new(MediaType::DOCKER_MANIFEST),
                bytes: manifest.to_string().into_bytes(),
            };
            entry["digest"] = manifest.digest().as_str().into();
            self.of_case.insert(manifest.digest(), of_case);
            self.keep(repository, manifest);
        }
        document
    }

    /// A configuration; one that the case does not have is not there.
    fn config(&mut self, config: Option<&Value>) -> Descriptor {
        let bytes = config.unwrap_or(&Value::Null).to_string().into_bytes();
        let digest = Digest::of(&bytes);
        let size = bytes.len() as u64;
        if config.is_some() {
            self.blobs.insert(digest.clone(), bytes);
        }
        Descriptor {
            media_type: MediaType::new(MediaType::DOCKER_CONFIG),
            size,
            digest,
        }
    }

    /// A text of the service with the digests and names of the case.
    pub(super) fn in_words_of_the_case(&self, text: &str) -> String {
        let text = text.replace(&format!("{NOWHERE}/"), "");
        let replace = |text: String, (served, of_case): (&Digest, &String)| {
            text.replace(served.as_str(), of_case)
        };
        self.of_case.iter().fold(text, replace)
    }
}

#[async_trait]
impl Registry for CaseImages {
    async fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<RawManifest, RegistryError> {
        let found = self.manifests.get(&(repository.clone(), reference.clone()));
        found.cloned().ok_or_else(|| RegistryError::NotFound {
            what: format!("{reference} of {repository}"),
        })
    }

    async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<BlobStream, RegistryError> {
        let digest = &descriptor.digest;
        let found = self.blobs.get(digest);
        let found = found.ok_or_else(|| RegistryError::NotFound {
            what: format!("{digest} of {repository}"),
        })?;
        InMemory(found.clone().into()).open().await
    }

    async fn has_blob(&self, _: &Repository, digest: &Digest) -> Result<bool, RegistryError> {
        Ok(self.blobs.contains_key(digest))
    }

    async fn mount_blob(
        &self,
        _: &Repository,
        _: &Repository,
        _: &Digest,
    ) -> Result<bool, RegistryError> {
        Ok(false)
    }

    async fn push_blob(
        &self,
        repository: &Repository,
        _: &Descriptor,
        _: &dyn BlobSource,
    ) -> Result<(), RegistryError> {
        Err(only_read(repository))
    }

    async fn tagged(
        &self,
        repository: &Repository,
        tag: &str,
    ) -> Result<Option<Digest>, RegistryError> {
        let tag = Reference::Tag(tag.to_owned());
        let found = self.manifests.get(&(repository.clone(), tag));
        Ok(found.map(RawManifest::digest))
    }

    async fn push_manifest(
        &self,
        repository: &Repository,
        _: &Reference,
        _: &RawManifest,
    ) -> Result<(), RegistryError> {
        Err(only_read(repository))
    }
}

fn only_read(repository: &Repository) -> RegistryError {
    RegistryError::Refused {
        registry: repository.registry().to_owned(),
        what: repository.to_string(),
        status: 405,
        reason: "the images of a case are only read".to_owned(),
    }
}
