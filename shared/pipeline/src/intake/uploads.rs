//! Showing the uploads that are registered for a request.

use iib_oci::Digest;
use iib_ports::{ArtifactError, ArtifactKey, ArtifactRoot, Bytestream};
use iib_request::{RequestId, UploadKind};
use jiff::Timestamp;

use super::{IntakeDeps, IntakeError, get};

/// Uploads listed at once, as many as S3 gives.
const PAGE: u32 = 1000;

/// An upload that was checked and registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// What it is.
    pub kind: UploadKind,
    /// The name it was uploaded under.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Digest of its bytes.
    pub digest: Digest,
    /// When it was registered.
    pub uploaded: Timestamp,
}

/// An upload's bytes, or where they are.
#[expect(missing_debug_implementations, reason = "streams have nothing to show")]
pub enum UploadContent {
    /// The URL under which it may be downloaded for some minutes.
    At(String),
    /// The bytes, where there are no such URLs.
    Bytes(Bytestream),
}

/// The uploads of a request, by kind, digest and name.
///
/// # Errors
/// [`IntakeError::NotFound`], [`IntakeError::Expired`], and those of the stores.
pub async fn uploads(deps: &IntakeDeps, id: RequestId) -> Result<Vec<Upload>, IntakeError> {
    check_data(deps, id).await?;
    let mut uploads = Vec::new();
    let mut after: Option<ArtifactKey> = None;
    loop {
        let root = ArtifactRoot::Kept;
        let page = deps
            .artifacts
            .list(root, Some(id), after.as_ref(), PAGE)
            .await?;
        uploads.extend(page.iter().filter_map(|artifact| {
            let (kind, digest, name) = artifact.key.as_registered()?;
            Some(Upload {
                kind,
                name: name.to_owned(),
                size: artifact.size,
                digest,
                uploaded: artifact.stored,
            })
        }));
        if page.len() < PAGE as usize {
            return Ok(uploads);
        }
        after = page.into_iter().next_back().map(|artifact| artifact.key);
    }
}

/// Opens an upload of a request.
///
/// # Errors
/// As [`uploads`]; [`IntakeError::NotFound`] also if there is no such upload.
pub async fn upload(
    deps: &IntakeDeps,
    id: RequestId,
    kind: UploadKind,
    digest: &Digest,
    name: &str,
) -> Result<UploadContent, IntakeError> {
    check_data(deps, id).await?;
    let key = ArtifactKey::upload(id, kind, digest, name);
    // What came with a call may be no name of an artifact, or one of something else.
    let key: ArtifactKey = (key.as_str().parse()).map_err(|_| IntakeError::NotFound(id))?;
    let content = match deps.artifacts.get(&key).await {
        Ok(content) => content,
        Err(ArtifactError::Missing(_)) => return Err(IntakeError::NotFound(id)),
        Err(error) => return Err(error.into()),
    };
    Ok(match deps.artifacts.link(&key).await? {
        Some(url) => UploadContent::At(url),
        None => UploadContent::Bytes(content),
    })
}

/// Whether the request is there and its data too.
async fn check_data(deps: &IntakeDeps, id: RequestId) -> Result<(), IntakeError> {
    match get(deps, id).await?.data_removed {
        true => Err(IntakeError::Expired(id)),
        false => Ok(()),
    }
}
