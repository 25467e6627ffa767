//! Looking at uploads: bounds for each kind, and what it has to hold.

use std::io::{self, Read};

use iib_bundle::{Bundle, BundleError, BundleFiles};
use iib_oci::layer::{BundleLimits, BundleTree, LayerError, LayerReader, Refusal};
use iib_oci::{Digest, DigestHasher, PullSpec};
use iib_ports::{Bytestream, Class, Classify};
use iib_request::{RequestId, UploadKind};

use super::ArtifactFault;
use super::fragments;
use crate::transfer::read_artifact;

/// Largest log, bytes: as much as is shown of one.
const LOG_LIMIT: u64 = 16 * 1024 * 1024;
/// Largest fragment, bytes: it is held in memory, and the catalog of a package with hundreds of
/// versions has a few MiB.
const FRAGMENT_LIMIT: u64 = 16 * 1024 * 1024;
/// Largest list of related bundles, bytes: some ten thousand pull specs.
const LIST_LIMIT: u64 = 1024 * 1024;

/// Faults that are told of one file; somebody who made more mends the first ones first.
const FAULTS_TOLD: usize = 100;

/// What is wrong with an upload; all of the class Reject. `Display` and its causes are what the
/// user reads.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadRefusal {
    #[error(
        "uploads are named uploads/<request>/<kind>/<name>, where the kind is logs, fragments, bundles or related_bundles"
    )]
    Name,
    #[error("the name of the upload is too long: choose a shorter one")]
    LongName,
    #[error("there is no request {0}")]
    NoRequest(RequestId),
    #[error("the data of request {0} was removed, because its time had come")]
    Expired(RequestId),
    #[error("the file is larger than {limit} bytes, the most that is taken of {kind}")]
    TooLarge { kind: UploadKind, limit: u64 },
    #[error("the file has {got} bytes where {told} were announced: upload it again")]
    Size { told: u64, got: u64 },
    #[error("the log is not UTF-8 text (byte {0})")]
    NotText(usize),
    #[error("the file is not a JSON list of pull specs: {0}")]
    NotList(serde_json::Error),
    #[error("the file is no archive of a bundle's files")]
    Archive(#[source] LayerError),
    #[error("the archive holds no usable bundle")]
    Bundle(#[source] BundleError),
    #[error("{}", told(.0))]
    Faults(Vec<String>),
    /// The stream broke off; its own error comes first, so nobody sees this one.
    #[error("the file could not be read")]
    Unread(#[source] io::Error),
}

impl Classify for UploadRefusal {
    fn class(&self) -> Class {
        match self {
            Self::Unread(_) => Class::Retry,
            Self::Name
            | Self::LongName
            | Self::NoRequest(_)
            | Self::Expired(_)
            | Self::TooLarge { .. }
            | Self::Size { .. }
            | Self::NotText(_)
            | Self::NotList(_)
            | Self::Archive(_)
            | Self::Bundle(_)
            | Self::Faults(_) => Class::Reject,
        }
    }
}

fn told(faults: &[String]) -> String {
    let shown = faults.len().min(FAULTS_TOLD);
    let mut text = faults.get(..shown).unwrap_or_default().join("; ");
    if faults.len() > shown {
        text.push_str(&format!("; and {} more", faults.len() - shown));
    }
    text
}

/// Most bytes an upload may have.
pub(super) fn size_limit(kind: UploadKind, max_bundle_bytes: u64) -> u64 {
    match kind {
        UploadKind::Log => LOG_LIMIT,
        UploadKind::Fragment => FRAGMENT_LIMIT,
        UploadKind::RelatedBundles => LIST_LIMIT,
        UploadKind::Bundle => max_bundle_bytes,
    }
}

/// What was read of an upload.
#[derive(Debug)]
pub(super) struct Inspected {
    /// Its size in bytes, as far as it was read: no further than where a fault was seen to be.
    pub(super) size: u64,
    /// Digest of the same bytes.
    pub(super) digest: Digest,
    /// Whether it is what its kind promises.
    pub(super) checked: Result<(), UploadRefusal>,
}

/// Reads an upload to its end on a thread of its own, and checks it.
pub(super) async fn inspect(
    content: Bytestream,
    kind: UploadKind,
    max_bundle_bytes: u64,
) -> Result<Inspected, ArtifactFault> {
    let limit = size_limit(kind, max_bundle_bytes);
    read_artifact(content, move |reader| {
        let mut seen = Seen {
            reader: reader.take(limit.saturating_add(1)),
            digest: DigestHasher::default(),
            size: 0,
        };
        let checked = check(&mut seen, kind, limit);
        // Whatever was found, the size is compared with the one that was told.
        let rest = io::copy(&mut seen, &mut io::sink()).map_err(UploadRefusal::Unread);
        let checked = if seen.size > limit {
            Err(UploadRefusal::TooLarge { kind, limit })
        } else {
            checked.and(rest.map(drop))
        };
        Inspected {
            size: seen.size,
            digest: seen.digest.finish(),
            checked,
        }
    })
    .await
}

/// A reader that knows what was read.
struct Seen<R> {
    reader: R,
    digest: DigestHasher,
    size: u64,
}

impl<R: Read> Read for Seen<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.digest.update(buffer.get(..count).unwrap_or_default());
        self.size += count as u64;
        Ok(count)
    }
}

fn check(reader: &mut impl Read, kind: UploadKind, limit: u64) -> Result<(), UploadRefusal> {
    let mut all = || {
        let mut bytes = Vec::new();
        let read = reader.read_to_end(&mut bytes);
        read.map(|_| bytes).map_err(UploadRefusal::Unread)
    };
    match kind {
        UploadKind::Log => std::str::from_utf8(&all()?)
            .map(drop)
            .map_err(|fault| UploadRefusal::NotText(fault.valid_up_to())),
        UploadKind::Fragment => without_faults(fragments::faults(&all()?)),
        UploadKind::RelatedBundles => check_list(&all()?),
        UploadKind::Bundle => check_bundle(reader, limit),
    }
}

fn without_faults(faults: Vec<String>) -> Result<(), UploadRefusal> {
    if faults.is_empty() {
        Ok(())
    } else {
        Err(UploadRefusal::Faults(faults))
    }
}

fn check_list(bytes: &[u8]) -> Result<(), UploadRefusal> {
    let list: Vec<String> = serde_json::from_slice(bytes).map_err(UploadRefusal::NotList)?;
    let fault = |(place, text): (usize, &String)| {
        let fault = text.parse::<PullSpec>().err()?;
        Some(format!("entry {}: `{text}`: {fault}", place + 1))
    };
    without_faults(list.iter().enumerate().filter_map(fault).collect())
}

/// A bundle's files are read as those of an image with one layer.
fn check_bundle(reader: impl Read, limit: u64) -> Result<(), UploadRefusal> {
    let unpacked = || -> Result<BundleTree, LayerError> {
        let mut tree = BundleTree::new(BundleLimits::default());
        let mut layer = LayerReader::open(reader, limit)?;
        tree.apply(&mut layer)?;
        layer.finish()?;
        Ok(tree)
    };
    let tree = unpacked().map_err(UploadRefusal::Archive)?;
    // Of an archive by itself there is nothing else to look in.
    if let Some(link) = tree.links().first() {
        let nothing = LayerError::Refused {
            path: link.path.to_string(),
            reason: Refusal::LinkToNothing,
        };
        return Err(UploadRefusal::Archive(nothing));
    }
    let content = tree.finish();
    let files = BundleFiles {
        manifests: content.manifests.unwrap_or_default(),
        metadata: content.metadata,
    };
    // It has no image yet; its name is not looked at.
    Bundle::read("scratch", &files)
        .map(drop)
        .map_err(UploadRefusal::Bundle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_faults_the_first_are_told() {
        let faults: Vec<String> = (0..102).map(|n| n.to_string()).collect();
        let text = told(&faults);
        assert!(text.starts_with("0; 1; 2"), "{text}");
        assert!(text.ends_with("99; and 2 more"), "{text}");
        assert_eq!(told(&faults[..2]), "0; 1");
    }

    #[test]
    fn every_entry_of_a_list_is_a_pull_spec() {
        check_list(b"[]").unwrap();
        check_list(br#"["r.example/a:1", "r.example/b@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"]"#)
            .unwrap();
        for text in ["{}", "[1]", "", "\"r.example/a:1\""] {
            let refused = check_list(text.as_bytes());
            assert!(matches!(refused, Err(UploadRefusal::NotList(_))), "{text}");
        }
        let refused = check_list(br#"["R example", "r.example/a:1", ":"]"#);
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("entry 1: `R example`"), "{text}");
        assert!(text.contains("entry 3: `:`"), "{text}");
    }
}
