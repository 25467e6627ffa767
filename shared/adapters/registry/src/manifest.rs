//! Manifests and lists, byte for byte.

use bytes::Bytes;
use iib_oci::{Digest, MANIFEST_LIMIT, MediaType, RawManifest, Reference, Repository};
use iib_ports::RegistryError;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Response};

use crate::body::{ReadFailure, read_document};
use crate::call::Caller;
use crate::refusal;
use crate::retry::Failure;
use crate::target::Target;
use crate::transport::Outgoing;

/// The header in which registries say which digest they keep a manifest under.
pub(crate) const CONTENT_DIGEST: &str = "docker-content-digest";

impl Caller {
    /// See [`iib_ports::Registry::manifest`].
    pub(crate) async fn pull_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<RawManifest, RegistryError> {
        let target = Target::image(repository, reference);
        let outgoing = self.manifest_call(&target, Method::GET, reference)?;
        self.with_retry(&target, || self.pull_once(&target, &outgoing, reference))
            .await
    }

    async fn pull_once(
        &self,
        target: &Target,
        outgoing: &Outgoing,
        reference: &Reference,
    ) -> Result<RawManifest, Failure> {
        let response = self.attempt(target, outgoing).await?;
        let (header, bytes) = self.manifest_bytes(target, response).await?;
        if let Reference::Digest(expected) = reference {
            let got = Digest::of(&bytes);
            if got != *expected {
                return Err(target.mismatch(expected, &got).into());
            }
        }
        Ok(RawManifest {
            media_type: media_type(header, &bytes),
            bytes,
        })
    }

    /// The document of an answer, and the type it came under.
    pub(crate) async fn manifest_bytes(
        &self,
        target: &Target,
        response: Response,
    ) -> Result<(Option<MediaType>, Vec<u8>), Failure> {
        let response = refusal::accept(target, response).await?;
        let header = content_type(response.headers());
        let idle = self.transport.idle_timeout();
        match read_document(response, MANIFEST_LIMIT, idle).await {
            Ok(bytes) => Ok((header, bytes)),
            Err(ReadFailure::Fault(fault)) => Err(fault.into()),
            Err(ReadFailure::TooLarge) => Err(target.too_large(MANIFEST_LIMIT).into()),
        }
    }

    /// See [`iib_ports::Registry::push_manifest`].
    pub(crate) async fn push_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        manifest: &RawManifest,
    ) -> Result<(), RegistryError> {
        let target = Target::image_upload(repository, reference);
        if manifest.bytes.len() > MANIFEST_LIMIT {
            return Err(target.too_large(MANIFEST_LIMIT));
        }
        let digest = manifest.digest();
        if let Reference::Digest(expected) = reference
            && *expected != digest
        {
            return Err(target.mismatch(expected, &digest));
        }
        let media_type = HeaderValue::from_str(manifest.media_type.as_str())
            .map_err(|_| target.protocol("the manifest's media type cannot be sent as a header"))?;
        let url = self.url(&target, &format!("manifests/{reference}"))?;
        let mut outgoing = Outgoing::new(Method::PUT, url);
        outgoing.headers.insert(CONTENT_TYPE, media_type);
        outgoing.body = Bytes::copy_from_slice(&manifest.bytes);
        let pushed = self
            .with_retry(&target, async || {
                let response = self.attempt(&target, &outgoing).await?;
                refusal::accept_manifest(&target, response).await
            })
            .await;
        let error = match pushed {
            Ok(response) => return stored_as(&target, &response, &digest),
            Err(error) => error,
        };
        match (
            self.holds(repository, reference, &digest, &error).await,
            error,
        ) {
            (Holds::Own, _) => Ok(()),
            (
                Holds::Other(other),
                RegistryError::Refused {
                    registry,
                    what,
                    status,
                    reason,
                },
            ) => Err(RegistryError::Refused {
                registry,
                what,
                status,
                reason: format!("{reason}; the tag names {other} and is left alone"),
            }),
            (Holds::Other(_) | Holds::Unknown, error) => Err(error),
        }
    }

    /// What a reference names after a push to it failed. A tag that cannot be moved may name our
    /// own manifest already, and any may, if only the answers to the tries were lost.
    async fn holds(
        &self,
        repository: &Repository,
        reference: &Reference,
        own: &Digest,
        error: &RegistryError,
    ) -> Holds {
        let target = Target::image_look(repository, reference);
        let look = || self.named_by(&target, reference);
        let named = match error {
            RegistryError::Refused { .. } | RegistryError::Denied { .. } => {
                self.with_retry(&target, look).await.ok().flatten()
            }
            // It was waited for already.
            RegistryError::Unavailable { .. } => look().await.ok().flatten(),
            _ => None,
        };
        match named {
            Some(named) if named == *own => Holds::Own,
            Some(named) => Holds::Other(named),
            // The failure says more than a look that failed.
            None => Holds::Unknown,
        }
    }
}

/// What a reference names after a push to it was refused.
enum Holds {
    Own,
    Other(Digest),
    Unknown,
}

/// The registry must have stored the bytes it was given. It need not say so: the header (like
/// `Location`, which ECR leaves out) is optional here.
fn stored_as(target: &Target, response: &Response, digest: &Digest) -> Result<(), RegistryError> {
    let stored = response
        .headers()
        .get(CONTENT_DIGEST)
        .and_then(|value| value.to_str().ok());
    match stored {
        // A digest by another algorithm cannot be compared.
        Some(stored) if stored.starts_with("sha256:") && stored != digest.as_str() => {
            Err(target.mismatch(digest, &stored))
        }
        Some(_) | None => Ok(()),
    }
}

fn content_type(headers: &HeaderMap) -> Option<MediaType> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(MediaType::new(text))
}

/// The type of a manifest: the registry's, unless that is missing or a general one such as
/// `application/json`, and the document names its own.
fn media_type(header: Option<MediaType>, bytes: &[u8]) -> MediaType {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        media_type: String,
    }
    let header = header.unwrap_or_else(|| MediaType::new(""));
    if header.is_manifest() || header.is_list() {
        return header;
    }
    match serde_json::from_slice::<Typed>(bytes) {
        Ok(typed) => MediaType::new(&typed.media_type),
        Err(_) => header,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_the_headers_unless_only_the_document_is_specific() {
        let typed = br#"{"mediaType":"application/vnd.oci.image.index.v1+json"}"#;
        for (header, document, expect) in [
            (
                Some(MediaType::DOCKER_MANIFEST),
                typed.as_slice(),
                MediaType::DOCKER_MANIFEST,
            ),
            (Some("application/json"), typed, MediaType::OCI_INDEX),
            (None, typed, MediaType::OCI_INDEX),
            (Some("application/json"), b"{}", "application/json"),
            (None, b"<html>", ""),
        ] {
            let got = media_type(header.map(MediaType::new), document);
            assert_eq!(got.as_str(), expect);
        }
    }
}
