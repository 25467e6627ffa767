//! Making a blob of one repository visible in another.

use iib_oci::{Digest, Repository};
use iib_ports::RegistryError;
use reqwest::{Method, Response, StatusCode};

use crate::call::Caller;
use crate::hosts::same_origin;
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
                self.cancel_upload(&target, &response).await;
                Ok(false)
            }
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED => Ok(false),
            status if status.is_success() => {
                Err(target.protocol("its answer to a mount is neither 201 nor 202"))
            }
            _ => match refusal::failure(&target, response).await {
                crate::retry::Failure::Final(error) => Err(error),
                // A passing status never comes back from `attempt`.
                crate::retry::Failure::Passing { .. } => Ok(false),
            },
        }
    }

    /// A registry that does not mount opens an upload instead (distribution specification,
    /// "mounting a blob"). It is closed again, so that none are left lying about. One try: the
    /// registry clears up after a while by itself.
    async fn cancel_upload(&self, target: &Target, response: &Response) {
        let Ok(session) = self.transport.location(response) else {
            return;
        };
        if !same_origin(&session, response.url()) {
            return;
        }
        let outgoing = Outgoing::new(Method::DELETE, session);
        if let Err(failure) = self.attempt(target, &outgoing).await {
            tracing::debug!(what = target.what, ?failure, "upload was not cancelled");
        }
    }
}
