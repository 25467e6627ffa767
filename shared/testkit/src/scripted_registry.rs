//! A registry in memory that behaves well, except where a test tells it not to.
//!
//! Authentication, cross-repository mounts and ranges work as in distribution, and blobs are
//! visible per repository. Every request is written down. Answers can be scripted per method and
//! path: see [`Answer`].

#![expect(clippy::panic, reason = "a test that cannot be set up has failed")]

mod answer;
mod auth;
mod store;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, Response};
use bytes::Bytes;
use iib_oci::{Digest, RawManifest};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use self::answer::Answer;
pub use self::auth::Login;
use self::auth::Tokens;
use self::store::Store;

/// A running registry on a loopback port; it ends when dropped.
#[derive(Debug)]
pub struct ScriptedRegistry {
    address: SocketAddr,
    inner: Arc<Inner>,
    server: JoinHandle<()>,
}

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The method.
    pub method: Method,
    /// Path and query as sent.
    pub target: String,
    /// The headers.
    pub headers: HeaderMap,
}

#[derive(Debug)]
struct Inner {
    host: String,
    script: Mutex<Vec<Line>>,
    seen: Mutex<Vec<Seen>>,
    store: Store,
    tokens: Tokens,
}

/// Scripted answers for requests of one kind.
#[derive(Debug)]
struct Line {
    method: Method,
    part: String,
    answers: VecDeque<Answer>,
}

impl Seen {
    /// A header as text, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl ScriptedRegistry {
    /// Starts an empty registry without authentication.
    ///
    /// # Panics
    /// If no loopback port can be had.
    pub async fn start() -> Self {
        Self::with_login(Login::Open).await
    }

    /// Starts an empty registry with this authentication.
    ///
    /// # Panics
    /// If no loopback port can be had.
    pub async fn with_login(login: Login) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let (listener, address) = listener
            .and_then(|listener| listener.local_addr().map(|address| (listener, address)))
            .unwrap_or_else(|error| panic!("no loopback port for a scripted registry: {error}"));
        let inner = Arc::new(Inner {
            host: address.to_string(),
            script: Mutex::default(),
            seen: Mutex::default(),
            store: Store::default(),
            tokens: Tokens::new(login, &address.to_string()),
        });
        let router = Router::new()
            .fallback(answer_request)
            .with_state(Arc::clone(&inner));
        let server = tokio::spawn(async move {
            // It never ends by itself; dropping the registry ends it.
            let _ = axum::serve(listener, router).await;
        });
        Self {
            address,
            inner,
            server,
        }
    }

    /// `127.0.0.1:port`, as in pull specs.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Answers the next requests of this method, with `part` in path or query, from the script;
    /// each answer once, in order.
    pub fn on(&self, method: Method, part: &str, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.inner.script).push(Line {
            method,
            part: part.to_owned(),
            answers: answers.into_iter().collect(),
        });
    }

    /// Every request so far, oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.inner.seen).clone()
    }

    /// How many requests of this method had `part` in path or query.
    pub fn count(&self, method: &Method, part: &str) -> usize {
        let seen = lock(&self.inner.seen);
        seen.iter()
            .filter(|seen| seen.method == method && seen.target.contains(part))
            .count()
    }

    /// Puts a blob into a repository.
    pub fn put_blob(&self, repository: &str, bytes: impl Into<Bytes>) -> Digest {
        self.inner.store.put_blob(repository, bytes.into())
    }

    /// Puts a blob of `size` zero bytes into a repository without holding it in memory.
    pub fn put_zeros(&self, repository: &str, size: u64) -> Digest {
        self.inner.store.put_zeros(repository, size)
    }

    /// Size of a blob, if the repository has it.
    pub fn blob_size(&self, repository: &str, digest: &Digest) -> Option<u64> {
        self.inner.store.blob_size(repository, digest)
    }

    /// Puts a manifest under a tag and its digest.
    pub fn put_manifest(&self, repository: &str, tag: &str, manifest: &RawManifest) {
        self.inner.store.put_manifest(repository, tag, manifest);
    }

    /// What is stored under a tag or digest.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<RawManifest> {
        self.inner.store.manifest(repository, reference)
    }

    /// Upload sessions that were opened and neither finished nor cancelled.
    pub fn open_uploads(&self) -> usize {
        self.inner.store.open_uploads()
    }

    /// Names another place for tokens in challenges.
    pub fn set_realm(&self, realm: &str) {
        self.inner.tokens.set_realm(realm);
    }

    /// Makes every token handed out so far worthless.
    pub fn revoke_tokens(&self) {
        self.inner.tokens.revoke();
    }

    /// Leaves this repository out of every token from now on.
    pub fn grant_nothing_for(&self, repository: &str) {
        self.inner.tokens.withhold(repository);
    }
}

impl Drop for ScriptedRegistry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Inner {
    fn scripted(&self, method: &Method, target: &str) -> Option<Answer> {
        let mut script = lock(&self.script);
        script
            .iter_mut()
            .filter(|line| line.method == method && target.contains(&line.part))
            .find_map(|line| line.answers.pop_front())
    }

    async fn serve(&self, request: Request<Body>) -> Response<Body> {
        if request.uri().path() == "/token" {
            return self.tokens.grant(request).await;
        }
        match self.tokens.check(&request) {
            Ok(()) => self.store.serve(request).await,
            Err(refused) => *refused,
        }
    }
}

async fn answer_request(State(inner): State<Arc<Inner>>, request: Request<Body>) -> Response<Body> {
    let target = request
        .uri()
        .path_and_query()
        .map(ToString::to_string)
        .unwrap_or_default();
    lock(&inner.seen).push(Seen {
        method: request.method().clone(),
        target: target.clone(),
        headers: request.headers().clone(),
    });
    match inner.scripted(request.method(), &target) {
        None => inner.serve(request).await,
        Some(answer) if answer.needs_the_real_one() => {
            answer.change(inner.serve(request).await).await
        }
        Some(answer) => answer.instead(request, &inner.host).await,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
