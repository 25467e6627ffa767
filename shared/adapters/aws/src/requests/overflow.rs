//! Records that are too large for an item.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectError;
use iib_ports::{StoreError, chain};
use iib_request::Record;
use tracing::warn;

use super::unavailable;

/// Records as objects `records/<id>/<version>-<write>.json`. Each write has a name of its own, so
/// that writers who lose the race for the item change nothing that its winner refers to.
#[derive(Debug, Clone)]
pub(super) struct Overflow {
    client: Client,
    bucket: String,
}

impl Overflow {
    pub(super) fn new(client: Client, bucket: String) -> Self {
        Self { client, bucket }
    }

    /// Stores a record and gives its name.
    pub(super) async fn store(
        &self,
        record: &Record,
        mark: &str,
        json: String,
    ) -> Result<String, StoreError> {
        let name = format!("records/{}/{}-{mark}.json", record.id, record.version);
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(&name)
            .content_type("application/json")
            .body(json.into_bytes().into())
            .send()
            .await
            .map_err(unavailable("store a large request"))?;
        Ok(name)
    }

    /// Reads a record; `None` if a later write has taken its place.
    pub(super) async fn read(&self, name: &str) -> Result<Option<String>, StoreError> {
        let action = "read a large request";
        let object = self.client.get_object().bucket(&self.bucket).key(name);
        let object = match object.send().await {
            Ok(object) => object,
            Err(error) => {
                return match error.as_service_error() {
                    Some(GetObjectError::NoSuchKey(_)) => Ok(None),
                    _ => Err(unavailable(action)(error)),
                };
            }
        };
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Unavailable {
            action,
            source,
        };
        let bytes = object.body.collect().await;
        let bytes = bytes.map_err(|error| failed(error.into()))?.into_bytes();
        let text = String::from_utf8(bytes.to_vec()).map_err(|error| failed(error.into()))?;
        Ok(Some(text))
    }

    /// Removes a record that nobody refers to. What stays behind for want of an answer costs some
    /// space and nothing else.
    pub(super) async fn remove(&self, name: Option<&str>) {
        let Some(name) = name else { return };
        let delete = self.client.delete_object().bucket(&self.bucket).key(name);
        if let Err(error) = delete.send().await {
            let error = unavailable("remove an old record")(error);
            warn!(
                object = name,
                error = chain(&error),
                "old record left behind"
            );
        }
    }
}
