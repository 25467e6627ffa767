//! Uploading a large layer through ECR's own calls.

use std::error::Error;
use std::time::Duration;

use aws_sdk_ecr::Client;
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ecr::operation::complete_layer_upload::CompleteLayerUploadError;
use aws_sdk_ecr::primitives::Blob;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use iib_oci::{Descriptor, DigestHasher, Repository};
use iib_ports::{BlobSource, BlobStream, RegistryError};

use super::host::EcrHost;
use crate::failure::{advice, is_denied, right, source};

/// Size of a part, bytes. ECR takes parts from 5 MiB up to 20 MiB, the last one may be smaller.
pub(super) const PART: usize = 10 * 1024 * 1024;

/// A call of ECR failed. Its class follows from what ECR says: throttling and faults of the
/// service pass, the rest does not.
pub(super) fn failed<E, R>(
    repository: &Repository,
    what: String,
    error: SdkError<E, R>,
) -> RegistryError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let registry = repository.registry().to_owned();
    if is_denied(&error) {
        let right = right(error.message().unwrap_or_default());
        return RegistryError::Denied {
            registry,
            what,
            status: 403,
            login: format!("the function's role lacks {right}: {}", advice(right)),
        };
    }
    let code = error.code().unwrap_or_default().to_owned();
    let status = match code.as_str() {
        "RepositoryNotFoundException" => return RegistryError::NotFound { what },
        "LimitExceededException"
        | "InvalidParameterException"
        | "InvalidLayerException"
        | "InvalidLayerPartException"
        | "LayerPartTooSmallException"
        | "KmsException" => 400,
        _ => {
            return RegistryError::Unavailable {
                registry,
                what,
                attempts: 1,
                waited: Duration::ZERO,
                source: source(error),
            };
        }
    };
    RegistryError::Refused {
        registry,
        what,
        status,
        reason: format!("{code}: {}", error.message().unwrap_or_default()),
    }
}

/// The content of a layer, cut into parts and checked against its descriptor.
struct Parts<'a> {
    content: BlobStream,
    rest: Bytes,
    hasher: DigestHasher,
    size: u64,
    what: &'a str,
    descriptor: &'a Descriptor,
}

impl Parts<'_> {
    /// The next part; empty at the end, if all was as it should.
    async fn next(&mut self) -> Result<Bytes, RegistryError> {
        let mut part = BytesMut::new();
        while part.len() < PART {
            let room = PART - part.len();
            let piece = self.rest.split_to(room.min(self.rest.len()));
            part.extend_from_slice(&piece);
            if self.rest.is_empty() && part.len() < PART {
                match self.content.next().await {
                    Some(piece) => self.rest = piece?,
                    None => break,
                }
            }
        }
        let part = part.freeze();
        self.size += part.len() as u64;
        if part.is_empty() {
            self.check()?;
            return Ok(part);
        }
        let mut hasher = std::mem::take(&mut self.hasher);
        let (hasher, part) = tokio::task::spawn_blocking(move || {
            hasher.update(&part);
            (hasher, part)
        })
        .await
        .map_err(|error| RegistryError::Source {
            what: self.what.to_owned(),
            source: error.into(),
        })?;
        self.hasher = hasher;
        Ok(part)
    }

    fn check(&mut self) -> Result<(), RegistryError> {
        let got = std::mem::take(&mut self.hasher).finish();
        if got == self.descriptor.digest && self.size == self.descriptor.size {
            return Ok(());
        }
        Err(RegistryError::Mismatch {
            what: self.what.to_owned(),
            expected: format!("{}, {} bytes", self.descriptor.digest, self.descriptor.size),
            got: format!("{got}, {} bytes", self.size),
        })
    }
}

/// Uploads a layer in parts, one after the other, as ECR wants them. The layer is there once all
/// of it has come and its digest is right; what was begun and not ended ECR removes itself.
pub(super) async fn upload(
    client: &Client,
    host: &EcrHost,
    repository: &Repository,
    descriptor: &Descriptor,
    content: &dyn BlobSource,
) -> Result<(), RegistryError> {
    let what = format!("blob {} of {repository}", descriptor.digest);
    let begun = client
        .initiate_layer_upload()
        .set_registry_id(host.account.clone())
        .repository_name(repository.path())
        .send()
        .await
        .map_err(|error| failed(repository, what.clone(), error))?;
    let session = begun.upload_id.unwrap_or_default();
    let mut parts = Parts {
        content: content.open().await?,
        rest: Bytes::new(),
        hasher: DigestHasher::default(),
        size: 0,
        what: &what,
        descriptor,
    };
    loop {
        let first = parts.size;
        let part = parts.next().await?;
        if part.is_empty() {
            break;
        }
        let last = parts.size - 1;
        client
            .upload_layer_part()
            .set_registry_id(host.account.clone())
            .repository_name(repository.path())
            .upload_id(&session)
            .part_first_byte(i64::try_from(first).unwrap_or(i64::MAX))
            .part_last_byte(i64::try_from(last).unwrap_or(i64::MAX))
            .layer_part_blob(Blob::new(part))
            .send()
            .await
            .map_err(|error| failed(repository, what.clone(), error))?;
    }
    let completed = client
        .complete_layer_upload()
        .set_registry_id(host.account.clone())
        .repository_name(repository.path())
        .upload_id(&session)
        .layer_digests(descriptor.digest.as_str())
        .send()
        .await;
    match completed {
        Err(error)
            if error
                .as_service_error()
                .is_some_and(CompleteLayerUploadError::is_layer_already_exists_exception) =>
        {
            Ok(())
        }
        completed => completed
            .map(drop)
            .map_err(|error| failed(repository, what, error)),
    }
}
