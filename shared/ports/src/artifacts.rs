//! What is stored beside the records: intermediate results, logs, documents, uploads.

use std::fmt;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use iib_oci::Digest;
use iib_request::{LeaseToken, RequestId, UploadKind};
use jiff::Timestamp;

use crate::{Class, Classify};

/// A stream of bytes from the artifact store.
pub type Bytestream = Pin<Box<dyn Stream<Item = Result<Bytes, ArtifactError>> + Send>>;

/// The folders of the store. What users put in and what the service writes never share one, so
/// that the service's own writes are no events for it, and each function has rights on those it
/// needs only.
///
/// ```text
/// inbox/<name>.json                      request documents, from users
/// uploads/<request>/<kind>/<name>        files for a request, from users
/// results/<name>.json                    what became of a request document
/// work/<request>/<attempt>/<name>        between stages; gone when the request has ended
/// kept/<request>/<name>                  for users; gone after the days of the settings
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArtifactRoot {
    /// Request documents from users.
    Inbox,
    /// Files for requests from users.
    Uploads,
    /// Answers to request documents.
    Results,
    /// Between stages.
    Work,
    /// For users, for a while.
    Kept,
}

impl ArtifactRoot {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Inbox,
        Self::Uploads,
        Self::Results,
        Self::Work,
        Self::Kept,
    ];

    /// Its name with a slash, as keys begin.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Inbox => "inbox/",
            Self::Uploads => "uploads/",
            Self::Results => "results/",
            Self::Work => "work/",
            Self::Kept => "kept/",
        }
    }
}

/// Longest name of an artifact, bytes (S3's limit on keys).
const KEY_LIMIT: usize = 1024;

/// Name of an artifact, see [`ArtifactRoot`]: parts of letters, digits and signs between slashes,
/// none of them empty, `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactKey(String);

/// A text is the name of no artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the name of an artifact: it begins with one of inbox/, uploads/, results/, work/, kept/, \
     has parts between single slashes that are neither empty nor begin with a dot, no control \
     characters, and at most {KEY_LIMIT} bytes"
)]
pub struct NoArtifactKey;

impl ArtifactKey {
    /// The index layer of a request that an attempt made. The attempt is in the name, so that one
    /// which was overtaken changes nothing of what counts; the record says which does.
    pub fn layer(request: RequestId, attempt: &LeaseToken) -> Self {
        Self(format!("work/{request}/{attempt}/layer.tar.gz"))
    }

    /// The whole log of a request that has ended.
    pub fn log(request: RequestId) -> Self {
        Self(format!("kept/{request}/build.log"))
    }

    /// The bundles that a regenerated bundle refers to.
    pub fn related_bundles(request: RequestId) -> Self {
        Self(format!("kept/{request}/related-bundles.json"))
    }

    /// The bundles behind a bundle.
    pub fn nested_bundles(request: RequestId) -> Self {
        Self(format!("kept/{request}/nested-bundles.json"))
    }

    /// What a request changed in the catalog of its index: the diff, and the upgrade graphs of its
    /// packages. A stage that runs again writes the same bytes.
    pub fn changes(request: RequestId) -> Self {
        Self(format!("kept/{request}/changes.json"))
    }

    /// An upload that was checked; that it has this name is what makes it part of the request. Its
    /// digest is in the name, so a second upload of the same name does not change the first.
    pub fn upload(request: RequestId, kind: UploadKind, digest: &Digest, name: &str) -> Self {
        Self(format!("kept/{request}/{kind}/{}/{name}", digest.hex()))
    }

    /// The parts of such a name. `None` for other keys.
    pub fn as_registered(&self) -> Option<(UploadKind, Digest, &str)> {
        let rest = self.0.strip_prefix(ArtifactRoot::Kept.prefix())?;
        let mut parts = rest.splitn(4, '/').skip(1);
        let kind = parts.next()?.parse().ok()?;
        let digest = format!("sha256:{}", parts.next()?).parse().ok()?;
        Some((kind, digest, parts.next()?))
    }

    /// Where the answer to a request document is: `inbox/<name>` → `results/<name>`.
    pub fn result(document: &Self) -> Option<Self> {
        let name = document.0.strip_prefix(ArtifactRoot::Inbox.prefix())?;
        Some(Self(format!("results/{name}")))
    }

    /// Whether it is a request document.
    pub fn is_request_document(&self) -> bool {
        self.root() == ArtifactRoot::Inbox && self.0.ends_with(".json")
    }

    /// The parts of an upload's name: `uploads/<request>/<kind>/<name>`. `None` for other keys.
    pub fn as_upload(&self) -> Option<(RequestId, UploadKind, &str)> {
        let rest = self.0.strip_prefix(ArtifactRoot::Uploads.prefix())?;
        let (request, rest) = rest.split_once('/')?;
        let (kind, name) = rest.split_once('/')?;
        let plain = !name.contains('/');
        plain.then_some((request.parse().ok()?, kind.parse().ok()?, name))
    }

    /// The request in a name below `work/` or `kept/`.
    pub fn request(&self) -> Option<RequestId> {
        let rest = match self.root() {
            ArtifactRoot::Work | ArtifactRoot::Kept => self.0.split_once('/')?.1,
            ArtifactRoot::Inbox | ArtifactRoot::Uploads | ArtifactRoot::Results => return None,
        };
        rest.split_once('/')?.0.parse().ok()
    }

    /// The folder it is in.
    pub fn root(&self) -> ArtifactRoot {
        let of = |root: &ArtifactRoot| self.0.starts_with(root.prefix());
        // Every constructor sees to it that there is one.
        ArtifactRoot::ALL
            .into_iter()
            .find(of)
            .unwrap_or(ArtifactRoot::Work)
    }

    /// The name as text, without a leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for ArtifactKey {
    type Err = NoArtifactKey;

    fn from_str(text: &str) -> Result<Self, NoArtifactKey> {
        let has_root = ArtifactRoot::ALL
            .iter()
            .any(|root| text.starts_with(root.prefix()));
        let sound = |part: &str| {
            !part.is_empty() && !part.starts_with('.') && !part.chars().any(char::is_control)
        };
        if has_root && text.len() <= KEY_LIMIT && text.split('/').all(sound) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NoArtifactKey)
        }
    }
}

impl fmt::Display for ArtifactKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Size in bytes.
    pub size: u64,
    /// Digest of the bytes.
    pub digest: Digest,
}

/// An artifact in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its name.
    pub key: ArtifactKey,
    /// Its size in bytes.
    pub size: u64,
    /// When it was written last.
    pub stored: Timestamp,
}

/// The store of artifacts: files on one machine, a bucket on AWS.
#[async_trait]
pub trait Artifacts: Send + Sync {
    /// Stores a stream. Readers see the old content or the whole new one, never a part; a stream
    /// that ends in an error leaves things as they were.
    ///
    /// # Errors
    /// [`ArtifactError`], also the stream's own.
    async fn put(&self, key: &ArtifactKey, content: Bytestream) -> Result<Stored, ArtifactError>;

    /// Opens an artifact for reading.
    ///
    /// # Errors
    /// [`ArtifactError::Missing`] if there is none.
    async fn get(&self, key: &ArtifactKey) -> Result<Bytestream, ArtifactError>;

    /// Removes an artifact; it need not be there.
    ///
    /// # Errors
    /// [`ArtifactError`].
    async fn delete(&self, key: &ArtifactKey) -> Result<(), ArtifactError>;

    /// The artifacts of a folder, or of a request in it (below `work/` and `kept/`), by name:
    /// those with names greater than `after`, or all, at most `limit`. Fewer than `limit` means
    /// that there are no more. Files whose names are none of an artifact are left out.
    ///
    /// # Errors
    /// [`ArtifactError`].
    async fn list(
        &self,
        root: ArtifactRoot,
        request: Option<RequestId>,
        after: Option<&ArtifactKey>,
        limit: u32,
    ) -> Result<Vec<Artifact>, ArtifactError>;

    /// A URL from which anybody may download the artifact for some minutes. `None` where the
    /// store has no such thing; then [`Artifacts::get`] is the only way.
    ///
    /// # Errors
    /// [`ArtifactError`]; not for a missing artifact.
    async fn link(&self, key: &ArtifactKey) -> Result<Option<String>, ArtifactError>;
}

/// An artifact could not be stored or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// There is no such artifact.
    #[error("artifact {0} does not exist")]
    Missing(ArtifactKey),
    /// The store failed.
    #[error("artifact {key} could not be {action}")]
    Unavailable {
        /// Which artifact.
        key: ArtifactKey,
        /// What was tried, as a participle: `written`, `read`, `removed`.
        action: &'static str,
        /// What the store said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store could not be listed.
    #[error("the artifacts below {root} could not be listed")]
    Unlisted {
        /// The folder.
        root: &'static str,
        /// What the store said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Classify for ArtifactError {
    fn class(&self) -> Class {
        match self {
            Self::Missing(_) => Class::Bug,
            Self::Unavailable { .. } | Self::Unlisted { .. } => Class::Retry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for key in [
            ArtifactKey::layer(RequestId(7), &LeaseToken::new("0a")),
            ArtifactKey::log(RequestId(7)),
            ArtifactKey::changes(RequestId(7)),
        ] {
            assert_eq!(key.as_str().parse(), Ok(key.clone()));
            assert_eq!(key.request(), Some(RequestId(7)));
            assert_eq!(key.as_registered(), None);
        }
        let upload: ArtifactKey = "uploads/12/fragments/a b.yaml".parse().unwrap();
        assert_eq!(
            upload.as_upload(),
            Some((RequestId(12), UploadKind::Fragment, "a b.yaml"))
        );
        let (kind, digest) = (UploadKind::Log, Digest::of(b"x"));
        let registered = ArtifactKey::upload(RequestId(3), kind, &digest, "a.log");
        assert_eq!(registered.as_str().parse(), Ok(registered.clone()));
        assert_eq!(registered.as_registered(), Some((kind, digest, "a.log")));
        assert_eq!(registered.request(), Some(RequestId(3)));
        let document: ArtifactKey = "inbox/team/one.json".parse().unwrap();
        assert!(document.is_request_document());
        let result = ArtifactKey::result(&document).unwrap();
        assert_eq!(result.as_str(), "results/team/one.json");
    }

    #[test]
    fn what_leads_elsewhere_is_no_name() {
        for text in [
            "",
            "inbox",
            "inbox/",
            "inbox//a",
            "inbox/../a",
            "inbox/.a",
            "other/a",
            "/inbox/a",
            "inbox/a\nb",
        ] {
            assert_eq!(text.parse::<ArtifactKey>(), Err(NoArtifactKey), "{text:?}");
        }
        for text in [
            "uploads/x/logs/a",
            "uploads/1/others/a",
            "uploads/1/logs/a/b",
        ] {
            let key: ArtifactKey = text.parse().unwrap();
            assert_eq!(key.as_upload(), None, "{text}");
        }
    }
}
