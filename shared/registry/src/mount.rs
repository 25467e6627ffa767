//! Making a blob of one repository visible in another.

use iib_oci::{Digest, Repository};
use iib_ports::RegistryError;
use reqwest::{Method, StatusCode};

use crate::call::Caller;
use crate::refusal;
use crate::target::Target;
use crate::transport::Outgoing;

impl Caller {
    /// See [`iib_ports::Registry::mount_blob`]. Every way in which registries decline is `false`:
    /// the blob can still be uploaded, and that upload tells what is really wrong.
    pub(crate) async fn mount_blob(
        &self,
        to: &Repository,
        from: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        if to.registry() != from.registry() {
            return Ok(false);
        }
        let target = Target::mount(to, from, digest);
        let mut url = self.url(&target, "blobs/uploads/")?;
        url.query_pairs_mut()
            .append_pair("mount", digest.as_str())
            .append_pair("from", from.path());
        let outgoing = Outgoing::new(Method::POST, url);
        let attempted = self
            .with_retry(&target, || self.attempt(&target, &outgoing))
            .await;
        let response = match attempted {
            Ok(response) => response,
            // No token for both repositories, most likely because the source is not ours.
            Err(RegistryError::Denied { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        match response.status() {
            StatusCode::CREATED => Ok(true),
            StatusCode::ACCEPTED => {
                // A registry that does not mount opens an upload instead (distribution
                // specification, "mounting a blob").
                if let Ok(session) = self.transport.location(&response) {
                    self.cancel_upload(&target, &outgoing, session).await;
                }
                Ok(false)
            }
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED => Ok(false),
            status if status.is_success() => {
                Err(target.protocol("its answer to a mount is neither 201 nor 202"))
            }
            _ => Err(refusal::refused(&target, response).await),
        }
    }
}
