//! Asking a registry for what a pull spec names.

use async_trait::async_trait;
use iib_oci::{PullSpec, RawManifest};
use iib_ports::{Registry, RegistryError};

/// Tests name images as users do.
#[async_trait]
pub trait Pull {
    /// The manifest or list that a pull spec names.
    ///
    /// # Errors
    /// As [`Registry::manifest`].
    async fn pull(&self, image: &PullSpec) -> Result<RawManifest, RegistryError>;
}

#[async_trait]
impl<R: Registry + ?Sized> Pull for R {
    async fn pull(&self, image: &PullSpec) -> Result<RawManifest, RegistryError> {
        self.manifest(image.repository(), image.reference()).await
    }
}
