//! What the end of a request takes, whoever ends it: a stage, or the reader of the dead letters.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use iib_ports::{
    ArtifactError, ArtifactKey, ArtifactRoot, Artifacts, Class, Classify, Clock, End, Figures,
    Logs, Notifier, Requests, SecretError, Secrets, StoreError, chain,
};
use iib_request::{Record, RequestId, Stage, State, Update};
use jiff::Timestamp;
use serde::Serialize;
use tracing::warn;

use crate::{StageError, WorkError};

/// Intermediate artifacts of a request that are listed at once; attempts leave one or two each.
const HANDED_ON: u32 = 100;

/// The ports that ending a request needs.
#[derive(Clone, Copy)]
pub(crate) struct Ending<'a> {
    pub(crate) requests: &'a dyn Requests,
    pub(crate) logs: &'a dyn Logs,
    pub(crate) artifacts: &'a dyn Artifacts,
    pub(crate) secrets: &'a dyn Secrets,
    pub(crate) notifier: &'a dyn Notifier,
    pub(crate) figures: &'a dyn Figures,
    pub(crate) clock: &'a dyn Clock,
}

/// Something of a request that has ended could not be put away. Nothing is lost by that; it is to
/// be tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CleanUpError {
    /// The log could not be read or removed.
    #[error("the log of a request that has ended is left where it was")]
    Log(#[source] StoreError),
    /// An artifact could not be written or removed.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A secret could not be forgotten.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl Classify for CleanUpError {
    fn class(&self) -> Class {
        match self {
            Self::Log(source) => source.class(),
            Self::Artifact(source) => source.class(),
            Self::Secret(source) => source.class(),
        }
    }
}

impl Ending<'_> {
    /// Adds lines to the build log. A log that cannot be written is no reason to fail.
    pub(crate) async fn log(&self, id: RequestId, lines: &[String]) {
        if let Err(error) = self.logs.append(id, lines).await {
            warn!(request.id = id.0, error = %chain(&error), "log lines lost");
        }
    }

    /// Counts a request whose end is stored.
    pub(crate) fn ended(&self, record: &Record, end: End) {
        let now = self.clock.now();
        self.figures.publish(now, &[end.sample(record, now)]);
    }

    /// Ends a request in `failed`, for a reason of this class; what it leaves behind is still to be cleaned up.
    ///
    /// # Errors
    /// [`StoreError`]: with a conflict somebody else wrote in between, and nothing was changed.
    pub(crate) async fn fail(
        &self,
        record: Record,
        class: Class,
        reason: String,
    ) -> Result<Record, StoreError> {
        let (now, stage) = (self.clock.now(), record.work.stage);
        let line = line(now, stage, &reason);
        let mut failed = record;
        let update = Update::state(State::Failed, reason.clone());
        failed.fail(reason, now);
        let failed = self.requests.replace(failed).await?;
        self.ended(&failed, End::Failed(class));
        self.notifier.updated(&failed, &update).await;
        self.log(failed.id, &[line]).await;
        Ok(failed)
    }

    /// Puts away what a request that is done leaves behind: what its stages handed on goes, that of
    /// attempts which were overtaken too, its secrets go, its log becomes an artifact. It may be called as often as one likes; what
    /// a crash left half done, the next call finishes. Whoever calls it for a message gives the
    /// message back when it fails, so that there is a next call.
    ///
    /// # Errors
    /// [`CleanUpError`], the first; the rest is tried all the same.
    pub(crate) async fn clean_up(&self, record: &Record) -> Result<(), CleanUpError> {
        let handed_on = self.remove_handed_on(record).await;
        let secrets = self.forget(record).await;
        self.seal_log(record).await?;
        handed_on?;
        Ok(secrets?)
    }

    /// Where no attempt was repeated there is nothing but what the record names, which spares the
    /// listing; a bucket bills each.
    async fn remove_handed_on(&self, record: &Record) -> Result<(), ArtifactError> {
        if record.work.repeats == 0 {
            let layers = record.built.iter().flat_map(|built| &built.layers);
            for key in layers.filter_map(|layer| layer.artifact.parse().ok()) {
                self.artifacts.delete(&key).await?;
            }
            return Ok(());
        }
        let (root, id) = (ArtifactRoot::Work, Some(record.id));
        loop {
            let found = self.artifacts.list(root, id, None, HANDED_ON).await?;
            for artifact in &found {
                self.artifacts.delete(&artifact.key).await?;
            }
            if found.len() < HANDED_ON as usize {
                return Ok(());
            }
        }
    }

    /// Forgets the secrets that came with a request.
    pub(crate) async fn forget(&self, record: &Record) -> Result<(), SecretError> {
        for reference in record.secrets.values() {
            self.secrets.forget(reference).await?;
        }
        Ok(())
    }

    /// Moves the log into the artifact store: first it is written there, then it is removed here.
    ///
    /// A line may come after that, from an attempt that was overtaken; it goes to the end of what
    /// was written before. One that comes in the very moment of the move is lost.
    async fn seal_log(&self, record: &Record) -> Result<(), CleanUpError> {
        let id = record.id;
        let lines = self.logs.read(id).await.map_err(CleanUpError::Log)?;
        let Some(lines) = lines else { return Ok(()) };
        // Of a request whose data is gone nobody will read it.
        if !record.data_removed {
            let key = ArtifactKey::log(id);
            let sealed = read_text(self.artifacts, &key).await?.unwrap_or_default();
            if let Some(whole) = joined(&sealed, lines) {
                let content = stream::iter([Ok(Bytes::from(whole))]).boxed();
                self.artifacts.put(&key, content).await?;
            }
        }
        self.logs.remove(id).await.map_err(CleanUpError::Log)
    }
}

/// A line of a build log.
pub(crate) fn line(now: Timestamp, stage: Stage, text: &str) -> String {
    format!("{now} {stage} {text}")
}

/// What the sealed log becomes with these lines; `None` if they are in it already, because a
/// crash came before they were removed.
fn joined(sealed: &str, lines: String) -> Option<String> {
    if sealed.ends_with(&lines) {
        None
    } else if lines.starts_with(sealed) {
        Some(lines)
    } else {
        Some(format!("{sealed}{lines}"))
    }
}

/// Stores a value as a JSON artifact. The same value is the same bytes.
///
/// # Errors
/// [`WorkError::Write`] and [`StageError::Artifact`].
pub(crate) async fn write_json(
    artifacts: &dyn Artifacts,
    key: &ArtifactKey,
    value: &impl Serialize,
) -> Result<(), StageError> {
    let text = serde_json::to_vec(value).map_err(WorkError::Write)?;
    let content = stream::iter([Ok(Bytes::from(text))]).boxed();
    artifacts.put(key, content).await?;
    Ok(())
}

/// The text of an artifact; `None` if there is none.
pub(crate) async fn read_text(
    artifacts: &dyn Artifacts,
    key: &ArtifactKey,
) -> Result<Option<String>, ArtifactError> {
    let content = match artifacts.get(key).await {
        Ok(content) => content,
        Err(ArtifactError::Missing(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let pieces: Vec<Bytes> = content.try_collect().await?;
    Ok(Some(String::from_utf8_lossy(&pieces.concat()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_once() {
        for (sealed, lines, whole) in [
            ("", "a\nb\n", Some("a\nb\n")),
            ("a\nb\n", "a\nb\n", None),
            ("a\n", "a\nb\n", Some("a\nb\n")),
            ("a\nb\n", "c\n", Some("a\nb\nc\n")),
            ("a\nb\nc\n", "c\n", None),
        ] {
            let joined = joined(sealed, lines.to_owned());
            assert_eq!(joined.as_deref(), whole, "{sealed:?} and {lines:?}");
        }
    }
}
