//! Making a blob of one repository visible in another.

use iib_oci::{Digest, Repository};
use iib_ports::RegistryError;
use reqwest::{Method, StatusCode};

use crate::call::Caller;
use crate::target::Target;
use crate::transport::{Outgoing, Transport};

impl Caller {
    /// See [`iib_ports::Registry::mount_blob`]. A mount only saves an upload, so it is tried once,
    /// and whatever becomes of it but a 201 is `false`: the upload then tells what is really
    /// wrong, if anything.
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
        let response = match self.attempt(&target, &outgoing).await {
            Ok(response) => response,
            Err(failure) => {
                let failure = self.without_secrets(&target, failure).await;
                tracing::debug!(what = target.what, ?failure, "a blob was not mounted");
                return Ok(false);
            }
        };
        if response.status() == StatusCode::ACCEPTED
            // A registry that does not mount opens an upload instead (distribution
            // specification, "mounting a blob").
            && let Ok(session) = Transport::location(&response)
        {
            self.cancel_upload(&target, &outgoing, session).await;
        }
        Ok(response.status() == StatusCode::CREATED)
    }
}
