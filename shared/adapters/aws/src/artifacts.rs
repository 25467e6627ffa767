//! The store of artifacts in S3.

mod upload;

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::presigning::PresigningConfig;
use futures::{StreamExt, stream};
use iib_ports::{
    Artifact, ArtifactError, ArtifactKey, ArtifactRoot, Artifacts, Bytestream, Stored,
};
use iib_request::RequestId;
use jiff::Timestamp;

use crate::failure::source;

/// How long a link can be used: for a person who clicks on it, and a slow download behind it
/// (what has begun goes on).
const LINK_LIFE: Duration = Duration::from_secs(15 * 60);
/// Most names in one answer (S3's limit).
const LISTED: i32 = 1000;

/// Artifacts as objects of a bucket, under their names.
#[derive(Debug, Clone)]
pub struct S3Artifacts {
    client: Client,
    bucket: String,
}

impl S3Artifacts {
    /// Artifacts in this bucket.
    pub fn new(client: Client, bucket: impl Into<String>) -> Self {
        Self {
            client,
            bucket: bucket.into(),
        }
    }
}

fn unavailable<E, R>(
    key: &ArtifactKey,
    action: &'static str,
) -> impl FnOnce(SdkError<E, R>) -> ArtifactError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let key = key.clone();
    move |error| ArtifactError::Unavailable {
        key,
        action,
        source: source(error),
    }
}

#[async_trait]
impl Artifacts for S3Artifacts {
    /// Needs `s3:PutObject` and `s3:AbortMultipartUpload`.
    async fn put(&self, key: &ArtifactKey, content: Bytestream) -> Result<Stored, ArtifactError> {
        upload::upload(&self.client, &self.bucket, key, content).await
    }

    /// Needs `s3:GetObject`, and `s3:ListBucket`, without which S3 does not tell a missing object
    /// from a forbidden one.
    async fn get(&self, key: &ArtifactKey) -> Result<Bytestream, ArtifactError> {
        let object = self.client.get_object().bucket(&self.bucket);
        let object = match object.key(key.as_str()).send().await {
            Ok(object) => object,
            Err(error) => {
                return Err(match error.as_service_error() {
                    Some(GetObjectError::NoSuchKey(_)) => ArtifactError::Missing(key.clone()),
                    _ => unavailable(key, "read")(error),
                });
            }
        };
        let key = key.clone();
        let pieces = stream::try_unfold(object.body, move |mut body| {
            let key = key.clone();
            async move {
                match body.try_next().await {
                    Ok(Some(bytes)) => Ok(Some((bytes, body))),
                    Ok(None) => Ok(None),
                    Err(error) => Err(ArtifactError::Unavailable {
                        key,
                        action: "read",
                        source: error.into(),
                    }),
                }
            }
        });
        Ok(pieces.boxed())
    }

    /// Needs `s3:DeleteObject`.
    async fn delete(&self, key: &ArtifactKey) -> Result<(), ArtifactError> {
        let delete = self.client.delete_object().bucket(&self.bucket);
        let deleted = delete.key(key.as_str()).send().await;
        deleted.map(drop).map_err(unavailable(key, "removed"))
    }

    /// Needs `s3:ListBucket` on the folder.
    async fn list(
        &self,
        root: ArtifactRoot,
        request: Option<RequestId>,
        after: Option<&ArtifactKey>,
        limit: u32,
    ) -> Result<Vec<Artifact>, ArtifactError> {
        let prefix = match request {
            Some(request) => format!("{}{request}/", root.prefix()),
            None => root.prefix().to_owned(),
        };
        let limit = limit as usize;
        let mut after = after.map(|after| after.as_str().to_owned());
        let mut found = Vec::new();
        while found.len() < limit {
            let wanted = i32::try_from(limit - found.len()).unwrap_or(LISTED);
            let answer = self
                .client
                .list_objects_v2()
                .bucket(&self.bucket)
                .prefix(&prefix)
                .set_start_after(after)
                .max_keys(wanted.min(LISTED))
                .send()
                .await
                .map_err(|error| ArtifactError::Unlisted {
                    root: root.prefix(),
                    source: source(error),
                })?;
            let objects = answer.contents();
            found.extend(objects.iter().filter_map(|object| {
                Some(Artifact {
                    // What people put there under other names is none of ours.
                    key: object.key()?.parse().ok()?,
                    size: u64::try_from(object.size()?).ok()?,
                    stored: Timestamp::from_second(object.last_modified()?.secs()).ok()?,
                })
            }));
            after = objects
                .last()
                .and_then(|object| object.key())
                .map(ToOwned::to_owned);
            if !answer.is_truncated().unwrap_or_default() || after.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// Whoever uses the link needs nothing; it has the rights of this process, which needs
    /// `s3:GetObject`.
    async fn link(&self, key: &ArtifactKey) -> Result<Option<String>, ArtifactError> {
        let life = PresigningConfig::expires_in(LINK_LIFE).map_err(|error| {
            ArtifactError::Unavailable {
                key: key.clone(),
                action: "linked",
                source: error.into(),
            }
        })?;
        let object = self.client.get_object().bucket(&self.bucket);
        let signed = object.key(key.as_str()).presigned(life).await;
        let signed = signed.map_err(unavailable(key, "linked"))?;
        Ok(Some(signed.uri().to_owned()))
    }
}
