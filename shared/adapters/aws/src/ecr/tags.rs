//! Taking tags away at ECR.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_ecr::types::{ImageFailureCode, ImageIdentifier};
use iib_oci::Repository;
use iib_ports::{RegistryError, Tags};

use super::{Ecr, layer};

/// Takes tags away with ECR's own call where the registry is ECR; elsewhere it leaves that to the
/// one inside.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct EcrTags {
    inner: Arc<dyn Tags>,
    ecr: Ecr,
}

impl EcrTags {
    /// Puts ECR's way around another one.
    pub fn new(inner: Arc<dyn Tags>, ecr: Ecr) -> Self {
        Self { inner, ecr }
    }
}

#[async_trait]
impl Tags for EcrTags {
    /// ECR deletes an image with its last tag, but never one that a manifest list refers to: then
    /// it refuses, and the tag stays.
    ///
    /// Needs `ecr:BatchDeleteImage`.
    async fn remove_tag(&self, repository: &Repository, tag: &str) -> Result<(), RegistryError> {
        let Some(host) = self.ecr.host(repository.registry()) else {
            return self.inner.remove_tag(repository, tag).await;
        };
        let what = format!("{repository}:{tag}");
        let removed = self
            .ecr
            .client(&host)
            .batch_delete_image()
            .set_registry_id(host.account.clone())
            .repository_name(repository.path())
            .image_ids(ImageIdentifier::builder().image_tag(tag).build())
            .send()
            .await;
        let answer = match removed {
            Ok(answer) => answer,
            Err(error) => {
                return match layer::failed(repository, what, error) {
                    RegistryError::NotFound { .. } => Ok(()),
                    error => Err(error),
                };
            }
        };
        let refused = answer
            .failures()
            .iter()
            .find(|failure| failure.failure_code() != Some(&ImageFailureCode::ImageNotFound));
        match refused {
            None => Ok(()),
            Some(failure) => Err(RegistryError::Refused {
                registry: repository.registry().to_owned(),
                what,
                status: 400,
                reason: failure.failure_reason().unwrap_or_default().to_owned(),
            }),
        }
    }
}
