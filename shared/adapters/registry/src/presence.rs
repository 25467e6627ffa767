//! Looks at a repository that is written to: is a blob there, what does a tag name?
//!
//! They show the rights to write, as everything does that belongs to a push: a token server may
//! give nothing for reading what does not exist yet, and make it when somebody wants to write.

use iib_oci::{Digest, MediaType, Reference, Repository};
use iib_ports::RegistryError;
use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Method, StatusCode};

use crate::call::Caller;
use crate::manifest::CONTENT_DIGEST;
use crate::refusal;
use crate::retry::Failure;
use crate::target::Target;
use crate::transport::{Outgoing, Redirects};

impl Caller {
    /// See [`iib_ports::Registry::has_blob`].
    pub(crate) async fn has_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let target = Target::blob_look(repository, digest);
        let mut outgoing =
            Outgoing::new(Method::HEAD, self.url(&target, &format!("blobs/{digest}"))?);
        outgoing.redirects = Redirects::Follow;
        self.with_retry(&target, async || {
            let response = self.attempt(&target, &outgoing).await?;
            match response.status() {
                // A look only saves an upload: where it is not answered, the upload tells.
                StatusCode::NOT_FOUND
                | StatusCode::BAD_REQUEST
                | StatusCode::METHOD_NOT_ALLOWED
                | StatusCode::NOT_IMPLEMENTED => Ok(false),
                status if status.is_success() => Ok(true),
                _ => Err(refusal::failure(&target, response).await),
            }
        })
        .await
    }

    /// See [`iib_ports::Registry::tagged`].
    pub(crate) async fn tagged(
        &self,
        repository: &Repository,
        tag: &str,
    ) -> Result<Option<Digest>, RegistryError> {
        let reference = Reference::Tag(tag.to_owned());
        let target = Target::image_look(repository, &reference);
        self.with_retry(&target, || self.named_by(&target, &reference))
            .await
    }

    /// What a reference names; one try. A registry that does not say the digest at once is asked
    /// for the whole manifest.
    pub(crate) async fn named_by(
        &self,
        target: &Target,
        reference: &Reference,
    ) -> Result<Option<Digest>, Failure> {
        let mut outgoing = self.manifest_call(target, Method::HEAD, reference)?;
        let response = self.attempt(target, &outgoing).await?;
        match response.status() {
            StatusCode::NOT_FOUND => return Ok(None),
            status if status.is_success() => {}
            _ => return Err(refusal::failure(target, response).await),
        }
        let header = response.headers().get(CONTENT_DIGEST);
        let told = header.and_then(|value| value.to_str().ok()?.parse().ok());
        if told.is_some() {
            return Ok(told);
        }
        outgoing.method = Method::GET;
        let response = self.attempt(target, &outgoing).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let (_, bytes) = self.manifest_bytes(target, response).await?;
        Ok(Some(Digest::of(&bytes)))
    }

    /// A call that reads a manifest.
    pub(crate) fn manifest_call(
        &self,
        target: &Target,
        method: Method,
        reference: &Reference,
    ) -> Result<Outgoing, RegistryError> {
        let url = self.url(target, &format!("manifests/{reference}"))?;
        let mut outgoing = Outgoing::new(method, url);
        outgoing.redirects = Redirects::Follow;
        for media_type in MediaType::MANIFESTS {
            // One header each: some registries read only the first type of a list.
            outgoing
                .headers
                .append(ACCEPT, HeaderValue::from_static(media_type));
        }
        Ok(outgoing)
    }
}
