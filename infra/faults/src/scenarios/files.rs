//! Files in the bucket.

use anyhow::{Context as _, ensure};
use futures::{StreamExt, stream};
use iib_oci::Digest;
use iib_pipeline::Deps;
use iib_ports::{ArtifactError, ArtifactKey, ArtifactRoot};
use iib_request::RequestId;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};

use super::Scenarios;
use crate::check;
use crate::drive::{total, work};
use crate::tally::Tally;

impl Scenarios<'_> {
    /// What a bucket sends when its notifications are set up.
    pub(super) async fn a_test_event(&self, tally: &mut Tally) -> anyhow::Result<usize> {
        let (process, _) = self.start().await?;
        let before = total(&process).await?;
        let document = serde_json::from_str(include_str!("../../../../events/s3-test.json"))?;
        arrive(&process.deps, document).await?;
        let when = self.name("a test event");
        check::all_ended(tally, &when, &process, before).await?;
        Ok(1)
    }

    /// Half of a file is there, then all of it, each told twice.
    pub(super) async fn a_truncated_upload(&self, tally: &mut Tally) -> anyhow::Result<usize> {
        let when = self.name("a truncated upload");
        let (process, _) = self.start().await?;
        let deps = &process.deps;
        let id = self.submit(deps).await?;
        work(self.platform, deps, None, None).await?;
        let name = format!("uploads/{id}/logs/cut.log");
        let result: ArtifactKey = format!("results/{name}.json").parse()?;
        let (half, whole) = ("the first half", "the first half and the second\n");

        upload(deps, &name, half, whole.len()).await?;
        if let Some(registered) = registered(deps, id).await?.first() {
            tally.duplicated(&format!("{when}: half of an upload is {registered}"));
        }
        let told = deps.artifacts.get(&result).await;
        ensure!(told.is_ok(), "nobody is told of the half of an upload");

        upload(deps, &name, whole, whole.len()).await?;
        let registered = registered(deps, id).await?;
        if registered.len() != 1 {
            tally.lost(&format!("{when}: of the whole upload: {registered:?}"));
        }
        match deps.artifacts.get(&result).await {
            Err(ArtifactError::Missing(_)) => Ok(1),
            Err(error) => Err(error.into()),
            Ok(_) => anyhow::bail!("the whole upload is still told to be half of one"),
        }
    }
}

/// Puts a file there, and tells the function twice that it has so many bytes.
async fn upload(deps: &Deps, name: &str, text: &str, told: usize) -> anyhow::Result<()> {
    let content = text.as_bytes().to_vec();
    let digest = Digest::of(&content);
    let content = stream::iter([Ok(content.into())]).boxed();
    let key: ArtifactKey = name.parse()?;
    deps.artifacts.put(&key, content).await?;
    let document = include_str!("../../../../events/s3-upload.json");
    let mut document: Value = serde_json::from_str(document)?;
    let object = document.pointer_mut("/Records/0/s3/object");
    *object.context("no object in the document")? =
        json!({"key": name, "size": told, "eTag": digest.hex(), "sequencer": "01"});
    for _ in 0..2 {
        arrive(deps, document.clone()).await?;
    }
    Ok(())
}

async fn arrive(deps: &Deps, document: Value) -> anyhow::Result<()> {
    let event = LambdaEvent::new(document, Context::default());
    iib_artifact::handle(&deps.clone().into(), event).await?;
    Ok(())
}

/// The uploads that are part of a request.
async fn registered(deps: &Deps, id: RequestId) -> anyhow::Result<Vec<ArtifactKey>> {
    let kept = deps.artifacts.list(ArtifactRoot::Kept, Some(id), None, 10);
    let kept = kept.await?.into_iter().map(|artifact| artifact.key);
    Ok(kept.filter(|key| key.as_registered().is_some()).collect())
}
