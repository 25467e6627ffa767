//! Downloading blobs, checked as they come in.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use iib_oci::{Descriptor, Digest, DigestHasher, Repository};
use iib_ports::{BlobStream, RegistryError};
use reqwest::header::{CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};

use crate::Fault;
use crate::body::{host_of, next_chunk};
use crate::call::Caller;
use crate::refusal;
use crate::retry::{Failure, Tries};
use crate::target::Target;
use crate::transport::{Outgoing, Redirects};

/// A blob on its way. A broken connection is taken up again where it broke; one running digest
/// over all of it checks the seams too.
struct Download {
    caller: Arc<Caller>,
    target: Target,
    outgoing: Outgoing,
    size: u64,
    digest: Digest,
    /// What has been handed on, and is in the hash.
    received: u64,
    /// `None` once the digest has been compared.
    hasher: Option<DigestHasher>,
    /// What is still to be passed over, after a registry began anew instead of going on.
    skip: u64,
    response: Option<Response>,
    /// Broken connections so far.
    broken: Tries,
}

/// See [`iib_ports::Registry::blob`].
pub(crate) async fn pull_blob(
    caller: &Arc<Caller>,
    repository: &Repository,
    descriptor: &Descriptor,
) -> Result<BlobStream, RegistryError> {
    let target = Target::blob(repository, &descriptor.digest);
    let url = caller.url(&target, &format!("blobs/{}", descriptor.digest))?;
    let mut outgoing = Outgoing::new(Method::GET, url);
    outgoing.redirects = Redirects::Follow;
    let response = caller
        .with_retry(&target, async || {
            let response = caller.attempt(&target, &outgoing).await?;
            refusal::accept(&target, response).await
        })
        .await?;
    if let Some(length) = response.content_length()
        && length != descriptor.size
    {
        return Err(size_mismatch(&target, descriptor.size, length));
    }
    let download = Download {
        caller: Arc::clone(caller),
        target,
        outgoing,
        size: descriptor.size,
        digest: descriptor.digest.clone(),
        received: 0,
        hasher: Some(DigestHasher::default()),
        skip: 0,
        response: Some(response),
        broken: Tries::new(),
    };
    Ok(Box::pin(stream::try_unfold(download, Download::next)))
}

impl Download {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, RegistryError> {
        loop {
            let mut response = match self.response.take() {
                Some(response) => response,
                None => match self.resume().await {
                    Ok(response) => response,
                    Err(failure) => {
                        self.wait_after(failure).await?;
                        continue;
                    }
                },
            };
            let idle = self.caller.transport.idle_timeout();
            match next_chunk(&mut response, idle).await {
                Ok(Some(chunk)) => {
                    self.response = Some(response);
                    let chunk = self.without_skipped(chunk);
                    if !chunk.is_empty() {
                        self.take_in(&chunk)?;
                        return Ok(Some((chunk, self)));
                    }
                }
                // Everything had come; that the connection ended badly changes nothing.
                Ok(None) | Err(_) if self.received == self.size => return self.end(),
                // Of an answer without a length, a registry that stops in the middle looks like
                // one that has come to its end.
                Ok(None) => {
                    let fault = Fault::EndedEarly {
                        host: host_of(&response),
                        received: self.received,
                        size: self.size,
                    };
                    self.wait_after(fault.into()).await?;
                }
                Err(fault) => self.wait_after(fault.into()).await?,
            }
        }
    }

    /// Counts and hashes a chunk. Small enough (hyper's read buffer, at most some 400 KiB) to be
    /// hashed here, without a trip to another thread.
    fn take_in(&mut self, chunk: &Bytes) -> Result<(), RegistryError> {
        let received = self.received + chunk.len() as u64;
        if received > self.size {
            let at_least = format!("at least {received} bytes");
            return Err(self.target.mismatch(&bytes(self.size), &at_least));
        }
        self.received = received;
        self.caller.transport.counted.read(chunk.len());
        self.broken.progressed();
        if let Some(hasher) = &mut self.hasher {
            hasher.update(chunk);
        }
        if received == self.size {
            // Before the last chunk is handed on, so that nobody gets all of a wrong blob.
            self.compare()?;
        }
        Ok(())
    }

    fn end(mut self) -> Result<Option<(Bytes, Self)>, RegistryError> {
        self.compare()?;
        Ok(None)
    }

    fn compare(&mut self) -> Result<(), RegistryError> {
        match self.hasher.take().map(DigestHasher::finish) {
            Some(got) if got != self.digest => Err(self.target.mismatch(&self.digest, &got)),
            Some(_) | None => Ok(()),
        }
    }

    fn without_skipped(&mut self, mut chunk: Bytes) -> Bytes {
        let skipped = usize::try_from(self.skip).map_or(chunk.len(), |skip| skip.min(chunk.len()));
        self.skip -= skipped as u64;
        chunk.split_off(skipped)
    }

    async fn wait_after(&mut self, failure: Failure) -> Result<(), RegistryError> {
        self.caller
            .wait_after(&self.target, &mut self.broken, failure)
            .await
    }

    /// Opens the rest of the blob.
    async fn resume(&mut self) -> Result<Response, Failure> {
        let mut outgoing = self.outgoing.clone();
        if self.received > 0 {
            let range = HeaderValue::from_str(&format!("bytes={}-", self.received))
                .map_err(|_| self.target.protocol("the rest of it cannot be asked for"))?;
            outgoing.headers.insert(RANGE, range);
        }
        let response = self.caller.attempt(&self.target, &outgoing).await?;
        let response = refusal::accept(&self.target, response).await?;
        self.skip = match response.status() {
            StatusCode::PARTIAL_CONTENT if range_start(&response) == Some(self.received) => 0,
            StatusCode::PARTIAL_CONTENT => {
                let problem = "it sent another part of the blob than was asked for";
                return Err(self.target.protocol(problem).into());
            }
            // It does not know ranges and begins anew.
            _ => self.received,
        };
        Ok(response)
    }
}

/// The first byte's position in `Content-Range: bytes 5-9/10`.
fn range_start(response: &Response) -> Option<u64> {
    let text = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (start, _) = text.trim().strip_prefix("bytes ")?.split_once('-')?;
    start.trim().parse().ok()
}

fn size_mismatch(target: &Target, expected: u64, got: u64) -> RegistryError {
    target.mismatch(&bytes(expected), &bytes(got))
}

fn bytes(count: u64) -> String {
    format!("{count} bytes")
}
