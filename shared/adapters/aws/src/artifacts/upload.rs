//! Streaming into S3: one call for small artifacts, parts for larger ones.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::Fuse;
use iib_oci::DigestHasher;
use iib_ports::{ArtifactError, ArtifactKey, Bytestream, Stored, chain};
use tokio::task::JoinSet;
use tracing::warn;

use super::unavailable;

/// Size of a part, bytes. S3 takes parts from 5 MiB on and ten thousand of them: 80 GB.
const PART: usize = 8 * 1024 * 1024;
/// Parts sent at the same time; with the one that fills up, that is what an upload holds in
/// memory.
const PARTS: usize = 3;

/// A stream cut into parts, hashed on the way.
struct Parts {
    key: ArtifactKey,
    /// After the last part it is asked once more.
    content: Fuse<Bytestream>,
    /// What is left of the piece that overran the last part.
    rest: Bytes,
    hasher: DigestHasher,
    size: u64,
}

impl Parts {
    /// The next part: of full size, or what is left; empty at the end.
    async fn next(&mut self) -> Result<Bytes, ArtifactError> {
        let mut part = BytesMut::with_capacity(PART.min(64 * 1024));
        loop {
            let room = PART - part.len();
            let piece = self.rest.split_to(room.min(self.rest.len()));
            part.extend_from_slice(&piece);
            if part.len() == PART {
                break;
            }
            match self.content.next().await {
                Some(piece) => self.rest = piece?,
                None => break,
            }
        }
        self.size += part.len() as u64;
        let part = part.freeze();
        self.hash(part).await
    }

    /// Megabytes are hashed on a thread that may block.
    async fn hash(&mut self, part: Bytes) -> Result<Bytes, ArtifactError> {
        let mut hasher = std::mem::take(&mut self.hasher);
        let (hasher, part) = tokio::task::spawn_blocking(move || {
            hasher.update(&part);
            (hasher, part)
        })
        .await
        .map_err(|error| ArtifactError::Unavailable {
            key: self.key.clone(),
            action: "hashed",
            source: error.into(),
        })?;
        self.hasher = hasher;
        Ok(part)
    }

    fn stored(self) -> Stored {
        Stored {
            size: self.size,
            digest: self.hasher.finish(),
        }
    }
}

/// Stores a stream under a key. S3 shows an object only once it is whole. Every call carries a
/// checksum that S3 compares.
pub(super) async fn upload(
    client: &Client,
    bucket: &str,
    key: &ArtifactKey,
    content: Bytestream,
) -> Result<Stored, ArtifactError> {
    let mut parts = Parts {
        key: key.clone(),
        content: content.fuse(),
        rest: Bytes::new(),
        hasher: DigestHasher::default(),
        size: 0,
    };
    let first = parts.next().await?;
    if first.len() < PART {
        client
            .put_object()
            .bucket(bucket)
            .key(key.as_str())
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(first.into())
            .send()
            .await
            .map_err(unavailable(key, "written"))?;
        return Ok(parts.stored());
    }
    let begun = client
        .create_multipart_upload()
        .bucket(bucket)
        .key(key.as_str())
        .checksum_algorithm(ChecksumAlgorithm::Crc32)
        .send()
        .await
        .map_err(unavailable(key, "written"))?;
    let target = Target {
        client: client.clone(),
        bucket: bucket.to_owned(),
        key: key.clone(),
        upload: begun.upload_id.unwrap_or_default(),
    };
    match target.send_parts(&mut parts, first).await {
        Ok(()) => Ok(parts.stored()),
        Err(error) => {
            target.abort().await;
            Err(error)
        }
    }
}

#[derive(Clone)]
struct Target {
    client: Client,
    bucket: String,
    key: ArtifactKey,
    upload: String,
}

impl Target {
    /// Sends parts while the next one fills up. When this fails, what is under way is given up.
    async fn send_parts(&self, parts: &mut Parts, first: Bytes) -> Result<(), ArtifactError> {
        let (mut sending, mut sent) = (JoinSet::new(), Vec::new());
        let (mut part, mut number) = (first, 1);
        while !part.is_empty() {
            if sending.len() >= PARTS {
                sent.extend(self.next_sent(&mut sending).await?);
            }
            sending.spawn(self.clone().send_part(number, part));
            number += 1;
            part = parts.next().await?;
        }
        while let Some(part) = self.next_sent(&mut sending).await? {
            sent.push(part);
        }
        sent.sort_by_key(CompletedPart::part_number);
        let whole = CompletedMultipartUpload::builder()
            .set_parts(Some(sent))
            .build();
        self.client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(self.key.as_str())
            .upload_id(&self.upload)
            .multipart_upload(whole)
            .send()
            .await
            .map(drop)
            .map_err(unavailable(&self.key, "written"))
    }

    /// Waits for one of the parts under way; `None` if there is none.
    async fn next_sent(
        &self,
        sending: &mut JoinSet<Result<CompletedPart, ArtifactError>>,
    ) -> Result<Option<CompletedPart>, ArtifactError> {
        match sending.join_next().await {
            Some(Ok(sent)) => sent.map(Some),
            Some(Err(broken_off)) => Err(ArtifactError::Unavailable {
                key: self.key.clone(),
                action: "written",
                source: broken_off.into(),
            }),
            None => Ok(None),
        }
    }

    async fn send_part(self, number: i32, part: Bytes) -> Result<CompletedPart, ArtifactError> {
        let sent = self
            .client
            .upload_part()
            .bucket(self.bucket)
            .key(self.key.as_str())
            .upload_id(self.upload)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(part.into())
            .send()
            .await
            .map_err(unavailable(&self.key, "written"))?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .set_checksum_crc32(sent.checksum_crc32)
            .build())
    }

    /// Parts of an upload that comes to nothing cost money; what cannot be aborted now, the
    /// bucket's lifecycle aborts after a day.
    async fn abort(&self) {
        let abort = self.client.abort_multipart_upload().bucket(&self.bucket);
        let abort = abort.key(self.key.as_str()).upload_id(&self.upload);
        if let Err(error) = abort.send().await {
            let error = unavailable(&self.key, "aborted")(error);
            warn!(error = chain(&error), "unfinished upload left behind");
        }
    }
}
