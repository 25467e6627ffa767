//! Uploading blobs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use iib_oci::{Descriptor, DigestHasher, Repository};
use iib_ports::{BlobSource, BlobStream, RegistryError};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Method, Response, StatusCode};
use url::Url;

use crate::Fault;
use crate::auth::Authorization;
use crate::call::Caller;
use crate::hosts::same_origin;
use crate::refusal;
use crate::retry::{Failure, Tries};
use crate::target::Target;
use crate::traced::Traced;
use crate::transport::{Outgoing, SendFailure, Transport};

/// What the body of an upload tells the request that carries it.
#[derive(Debug, Default)]
struct Progress {
    sent: AtomicU64,
    /// Why the body ended early, if it did.
    failure: Mutex<Option<RegistryError>>,
}

/// The body ended early; the reason is in [`Progress`].
#[derive(Debug, thiserror::Error)]
#[error("the content to upload ended early")]
struct EndedEarly;

impl Caller {
    /// See [`iib_ports::Registry::push_blob`]. A session is opened with POST and the blob sent
    /// with one PUT, the way containerd and oras do it: every registry takes that, none limits
    /// its size, and it is much faster than chunks where each one is a round trip.
    pub(crate) async fn push_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
    ) -> Result<(), RegistryError> {
        let target = Target::blob_upload(repository, &descriptor.digest);
        let opening = Outgoing::new(Method::POST, self.url(&target, "blobs/uploads/")?);
        let mut tries = Tries::new();
        loop {
            let sent = self.upload_once(&target, &opening, descriptor, source, &mut tries);
            match sent.await {
                Ok(()) => return Ok(()),
                Err(failure) => self.wait_after(&target, &mut tries, failure).await?,
            }
        }
    }

    async fn upload_once(
        &self,
        target: &Target,
        opening: &Outgoing,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
        tries: &mut Tries,
    ) -> Result<(), Failure> {
        let opened = self.attempt(target, opening).await?;
        let opened = refusal::accept_opening(target, opened).await?;
        let session = Transport::location(&opened).map_err(|failure| failure.during(target))?;
        let sent = self
            .send_content(target, opening, &session, descriptor, source)
            .await;
        // However long the content takes: it is ended when nothing moves, see `put`. What counts
        // against the patience are registries that are not there.
        tries.progressed();
        if let Err(Failure::Final(_)) = sent {
            self.cancel_upload(target, opening, session).await;
        }
        sent
    }

    async fn send_content(
        &self,
        target: &Target,
        opening: &Outgoing,
        session: &Url,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
    ) -> Result<(), Failure> {
        // What the registry put into the query is its own; ours is added.
        let mut place = session.clone();
        place
            .query_pairs_mut()
            .append_pair("digest", descriptor.digest.as_str());
        // A registry may have its uploads elsewhere; our authorization is not for there.
        let authorized = same_origin(session, &opening.url);
        let authorization = match authorized {
            true => self.authorizer.current(target).await?,
            false => None,
        };
        let mut response = self
            .put(target, &place, authorization.as_ref(), descriptor, source)
            .await?;
        if authorized && response.status() == StatusCode::UNAUTHORIZED {
            let fresh = self.authorizer.renew(target, response.headers()).await?;
            if fresh.is_none() || fresh == authorization {
                return Err(target.denied(StatusCode::UNAUTHORIZED).into());
            }
            response = self
                .put(target, &place, fresh.as_ref(), descriptor, source)
                .await?;
        }
        refusal::accept_upload(target, response).await.map(drop)
    }

    /// Closes an upload that comes to nothing, so that none are left lying about. One try: the
    /// registry clears up after a while by itself.
    pub(crate) async fn cancel_upload(&self, target: &Target, opening: &Outgoing, session: Url) {
        if !same_origin(&session, &opening.url) {
            return;
        }
        let closing = Outgoing::new(Method::DELETE, session);
        if let Err(failure) = self.attempt(target, &closing).await {
            let failure = self.without_secrets(target, failure).await;
            tracing::debug!(what = target.what, ?failure, "upload was not cancelled");
        }
    }

    /// Sends the content. It is ended when nothing moves for the idle timeout, however long it
    /// takes in all.
    async fn put(
        &self,
        target: &Target,
        session: &Url,
        authorization: Option<&Authorization>,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
    ) -> Result<Response, Failure> {
        let client = self.transport.http(session);
        let client = client.map_err(|failure| failure.during(target))?;
        let progress = Arc::new(Progress::default());
        let content = source.open().await?;
        let body = checked(
            content,
            target.clone(),
            descriptor.clone(),
            Arc::clone(&progress),
            Arc::clone(&self.transport),
        );
        let mut request = client
            .put(session.clone())
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, descriptor.size)
            .body(Body::wrap_stream(body));
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization.header().clone());
        }
        let host = self.transport.other_end(session);
        let idle = self.transport.idle_timeout();
        let traced = Traced::of(&Method::PUT, session);
        let mut sending = std::pin::pin!(traced.around(request.send()));
        let mut seen = 0;
        let sent = loop {
            if let Ok(sent) = tokio::time::timeout(idle, sending.as_mut()).await {
                break sent;
            }
            let now = progress.sent.load(Ordering::Relaxed);
            if now == seen {
                traced.failed("timeout");
                return Err(Fault::Silent { host, after: idle }.into());
            }
            seen = now;
        };
        traced.answered(&sent);
        match sent {
            Ok(response) => Ok(response),
            Err(error) => match progress.take_failure() {
                // It was not the connection, it was what we had to send.
                Some(failure) => Err(failure.into()),
                None => Err(SendFailure::of(error, host).during(target)),
            },
        }
    }
}

impl Progress {
    fn fail(&self, error: RegistryError) -> EndedEarly {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        EndedEarly
    }

    fn take_failure(&self) -> Option<RegistryError> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// The content, ended with an error before its last piece unless it is what the descriptor says.
/// The registry would find out too, but not say whose fault it is.
fn checked(
    content: BlobStream,
    target: Target,
    descriptor: Descriptor,
    progress: Arc<Progress>,
    transport: Arc<Transport>,
) -> impl Stream<Item = Result<Bytes, EndedEarly>> + Send {
    let start = (content, Some(DigestHasher::default()), 0_u64);
    stream::try_unfold(start, move |(mut content, mut hasher, sent)| {
        let (target, descriptor) = (target.clone(), descriptor.clone());
        let (progress, transport) = (Arc::clone(&progress), Arc::clone(&transport));
        async move {
            let mismatch = |got: u64| {
                progress.fail(target.mismatch(
                    &format!("{} bytes", descriptor.size),
                    &format!("{got} bytes"),
                ))
            };
            let chunk = match content.next().await {
                Some(Ok(chunk)) => chunk,
                Some(Err(error)) => return Err(progress.fail(error)),
                None if sent == descriptor.size => return Ok(None),
                None => return Err(mismatch(sent)),
            };
            let now = sent + chunk.len() as u64;
            if now > descriptor.size {
                return Err(mismatch(now));
            }
            if let Some(hasher) = &mut hasher {
                hasher.update(&chunk);
            }
            if now == descriptor.size
                && let Some(got) = hasher.take().map(DigestHasher::finish)
                && got != descriptor.digest
            {
                return Err(progress.fail(target.mismatch(&descriptor.digest, &got)));
            }
            progress.sent.store(now, Ordering::Relaxed);
            transport.counted.written(chunk.len());
            Ok(Some((chunk, (content, hasher, now))))
        }
    })
}
