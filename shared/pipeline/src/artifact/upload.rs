//! Uploads for a request: checked, then registered under a name that holds their digest.

use iib_ports::{ArtifactError, ArtifactKey, Stored, chain};
use iib_request::{RequestId, UploadKind};
use serde_json::json;
use tracing::info;

use super::inspect::{UploadRefusal, inspect, size_limit};
use super::{ArtifactDeps, ArtifactFault, ObjectCreated, answer};

/// How often an upload is read whose size is not the one that was told, before it is given up: a
/// store may show the former content for a moment.
const READS: u32 = 2;

/// Checks an upload and registers it, or says what is wrong with it.
pub(super) async fn handle(
    deps: &ArtifactDeps,
    created: &ObjectCreated,
    key: &ArtifactKey,
) -> Result<(), ArtifactFault> {
    let result: Option<ArtifactKey> = format!("results/{key}.json").parse().ok();
    match register(deps, created, key).await {
        Ok(registered) => {
            info!(%key, %registered, "an upload was registered");
            let artifacts = &deps.intake.artifacts;
            artifacts.delete(key).await?;
            if let Some(former) = result {
                // What was wrong before is not wrong any more.
                artifacts.delete(&former).await?;
            }
            Ok(())
        }
        Err(Failure::Refused(refusal)) => {
            let text = chain(&refusal);
            info!(%key, reason = text, "an upload was refused");
            answer(deps, key, result, &json!({ "error": text })).await
        }
        // An earlier delivery of the event came to the end.
        Err(Failure::Fault(ArtifactFault::Artifact(ArtifactError::Missing(_)))) => Ok(()),
        Err(Failure::Fault(fault)) => Err(fault),
    }
}

/// Why an upload is not registered.
enum Failure {
    Refused(UploadRefusal),
    Fault(ArtifactFault),
}

impl<E: Into<ArtifactFault>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

impl From<UploadRefusal> for Failure {
    fn from(refusal: UploadRefusal) -> Self {
        Self::Refused(refusal)
    }
}

async fn register(
    deps: &ArtifactDeps,
    created: &ObjectCreated,
    key: &ArtifactKey,
) -> Result<ArtifactKey, Failure> {
    let (id, kind, name) = key.as_upload().ok_or(UploadRefusal::Name)?;
    check_request(deps, id).await?;
    let limit = size_limit(kind, deps.max_bundle_bytes);
    if created.size.is_some_and(|size| size > limit) {
        return Err(UploadRefusal::TooLarge { kind, limit }.into());
    }
    let inspected = read(deps, created, key, kind).await?;
    let registered = ArtifactKey::upload(id, kind, &inspected.digest, name);
    // The name has become longer.
    let registered: ArtifactKey = registered
        .as_str()
        .parse()
        .map_err(|_| UploadRefusal::LongName)?;
    let artifacts = &deps.intake.artifacts;
    let content = artifacts.get(key).await?;
    let stored = artifacts.put(&registered, content).await?;
    if stored.digest != inspected.digest {
        artifacts.delete(&registered).await?;
        return Err(ArtifactFault::Changed(key.clone()).into());
    }
    // Its data may have been removed meanwhile, and nobody would remove this again.
    if let Err(failure) = check_request(deps, id).await {
        artifacts.delete(&registered).await?;
        return Err(failure);
    }
    Ok(registered)
}

/// Whether there is a request whose data is kept.
async fn check_request(deps: &ArtifactDeps, id: RequestId) -> Result<(), Failure> {
    match deps.intake.requests.get(id).await? {
        None => Err(UploadRefusal::NoRequest(id).into()),
        Some(record) if record.data_removed => Err(UploadRefusal::Expired(id).into()),
        Some(_) => Ok(()),
    }
}

/// Reads and checks the upload, all of it.
async fn read(
    deps: &ArtifactDeps,
    created: &ObjectCreated,
    key: &ArtifactKey,
    kind: UploadKind,
) -> Result<Stored, Failure> {
    let mut reads = 0;
    loop {
        reads += 1;
        let content = deps.intake.artifacts.get(key).await?;
        let read = inspect(content, kind, deps.max_bundle_bytes).await?;
        match created.size {
            Some(told) if told != read.size && reads < READS => {}
            Some(told) if told != read.size => {
                let got = read.size;
                return Err(UploadRefusal::Size { told, got }.into());
            }
            Some(_) | None => {
                let digest = read.digest;
                read.checked?;
                return Ok(Stored {
                    size: read.size,
                    digest,
                });
            }
        }
    }
}
