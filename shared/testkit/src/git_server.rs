//! A real Git server: `git http-backend` behind HTTP with a login, which can be told to misbehave.

#![expect(clippy::unwrap_used, reason = "a test cannot go on without its server")]

use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// What there is to fetch.
    RefsToFetch,
    /// A fetch.
    Fetch,
    /// What there is before a push.
    RefsToPush,
    /// A push.
    Push,
}

/// What the server does in place of what it should.
#[derive(Debug, Clone)]
pub enum Misbehaviour {
    /// It answers with this status, and does nothing.
    Status(u16),
    /// It never answers.
    Hangs,
    /// It does what is asked, and the answer is lost.
    LosesAnswer,
    /// Somebody commits a file first: branch, path and content.
    Overtaken(String, String, String),
    /// It leads to another address.
    LeadsTo(String),
    /// It answers with a page of HTML.
    Page,
}

/// A server with repositories of its own.
#[derive(Debug)]
pub struct GitServer {
    folder: Arc<TempDir>,
    host: String,
    inner: Arc<Inner>,
    serving: JoinHandle<std::io::Result<()>>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// As it stands behind `Basic`.
    login: String,
    script: Mutex<VecDeque<(Asked, Misbehaviour)>>,
    seen: Mutex<Vec<String>>,
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl GitServer {
    /// A server without repositories, for this login: what stands behind `Basic` in the header.
    ///
    /// # Panics
    /// Without a port or a folder.
    pub async fn start(login: &str) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let inner = Arc::new(Inner {
            root: folder.path().to_owned(),
            login: format!("Basic {login}"),
            script: Mutex::default(),
            seen: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let app = Router::new().fallback(answer).with_state(inner.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            folder,
            host,
            inner,
            serving,
        }
    }

    /// Its host and port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The address of a repository.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}.git", self.host)
    }

    /// Makes a repository with a branch that has these files.
    ///
    /// # Panics
    /// If Git does not do it.
    pub fn create(&self, name: &str, branch: &str, files: &[(&str, &str)]) {
        let path = self.path(name);
        git(&["init", "--bare", "--quiet", path.to_str().unwrap()], None);
        self.set(name, "uploadpack.allowFilter", "true");
        self.commit(name, branch, files);
    }

    /// Changes the settings of a repository.
    ///
    /// # Panics
    /// If Git does not do it.
    pub fn set(&self, name: &str, key: &str, value: &str) {
        self.git(name, &["config", key, value], None);
    }

    /// Commits files, as somebody else does; one with no content goes.
    ///
    /// # Panics
    /// If Git does not do it.
    pub fn commit(&self, name: &str, branch: &str, files: &[(&str, &str)]) {
        commit(&self.path(name), branch, files);
    }

    /// The head of a branch.
    ///
    /// # Panics
    /// If Git does not know it.
    pub fn head(&self, name: &str, branch: &str) -> String {
        let head = self.git(name, &["rev-parse", &format!("refs/heads/{branch}")], None);
        head.trim().to_owned()
    }

    /// The files of a branch, with their contents.
    ///
    /// # Panics
    /// If Git does not know it.
    pub fn files(&self, name: &str, branch: &str) -> BTreeMap<String, String> {
        let branch = format!("refs/heads/{branch}");
        let paths = self.git(name, &["ls-tree", "-r", "--name-only", &branch], None);
        let file = |path: &str| {
            let content = self.git(
                name,
                &["cat-file", "blob", &format!("{branch}:{path}")],
                None,
            );
            (path.to_owned(), content)
        };
        paths.lines().map(file).collect()
    }

    /// What the commits of a branch say in their first lines, the newest first.
    ///
    /// # Panics
    /// If Git does not know it.
    pub fn subjects(&self, name: &str, branch: &str) -> Vec<String> {
        let branch = format!("refs/heads/{branch}");
        let log = self.git(name, &["log", "--format=%s", &branch], None);
        log.lines().map(str::to_owned).collect()
    }

    /// Has a repository checked by Git itself.
    ///
    /// # Panics
    /// If something is wrong with it.
    pub fn check(&self, name: &str) {
        self.git(name, &["fsck", "--strict", "--no-dangling"], None);
    }

    /// Has the next call of this sort go wrong.
    pub fn misbehave(&self, asked: Asked, how: Misbehaviour) {
        lock(&self.inner.script).push_back((asked, how));
    }

    /// Method, path and query of each call so far.
    pub fn seen(&self) -> Vec<String> {
        lock(&self.inner.seen).clone()
    }

    /// The folder with all repositories.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.inner.root.join(format!("{name}.git"))
    }

    fn git(&self, name: &str, args: &[&str], input: Option<&[u8]>) -> String {
        let path = self.path(name);
        let args = [&["--git-dir", path.to_str().unwrap()], args].concat();
        git(&args, input)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn commit(repository: &std::path::Path, branch: &str, files: &[(&str, &str)]) {
    let directory = repository.to_str().unwrap();
    let name = format!("refs/heads/{branch}");
    let known = Command::new("git")
        .args([
            "--git-dir",
            directory,
            "rev-parse",
            "--quiet",
            "--verify",
            &name,
        ])
        .output()
        .unwrap();
    let said = "Somebody's change";
    let mut stream = format!(
        "commit {name}\ncommitter Ann <ann@example.com> 1700000000 +0000\ndata {}\n{said}\n",
        said.len()
    );
    if known.status.success() {
        let head = String::from_utf8(known.stdout).unwrap();
        stream.push_str(&format!("from {}\n", head.trim()));
    }
    for (path, content) in files {
        stream.push_str(&match content.is_empty() {
            true => format!("D {path}\n"),
            false => format!(
                "M 100644 inline {path}\ndata {}\n{content}\n",
                content.len()
            ),
        });
    }
    let args = ["--git-dir", directory, "fast-import", "--quiet"];
    git(&args, Some(stream.as_bytes()));
}

/// Runs Git without anybody's settings.
fn git(args: &[&str], input: Option<&[u8]>) -> String {
    let mut child = isolated(Command::new("git"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.unwrap_or_default()).unwrap();
    drop(stdin);
    let done = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "git {args:?}: {said}");
    String::from_utf8(done.stdout).unwrap()
}

fn isolated(mut command: Command) -> Command {
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    command
}

async fn answer(State(server): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    lock(&server.seen).push(format!("{} {path}?{query}", parts.method));
    let asked = match (path.rsplit('/').next(), query.as_str()) {
        (Some("git-upload-pack"), _) => Asked::Fetch,
        (Some("git-receive-pack"), _) => Asked::Push,
        (_, "service=git-receive-pack") => Asked::RefsToPush,
        (_, _) => Asked::RefsToFetch,
    };
    let given = parts.headers.get("authorization");
    if given.is_none_or(|given| given.as_bytes() != server.login.as_bytes()) {
        let ask = [("www-authenticate", "Basic realm=\"git\"")];
        return (StatusCode::UNAUTHORIZED, ask).into_response();
    }
    let misbehaviour = {
        let mut script = lock(&server.script);
        match script.front().is_some_and(|(next, _)| *next == asked) {
            true => script.pop_front().map(|(_, how)| how),
            false => None,
        }
    };
    match &misbehaviour {
        Some(Misbehaviour::Status(status)) => {
            return StatusCode::from_u16(*status).unwrap().into_response();
        }
        Some(Misbehaviour::Hangs) => std::future::pending().await,
        Some(Misbehaviour::LeadsTo(to)) => {
            return (StatusCode::FOUND, [("location", to.clone())]).into_response();
        }
        Some(Misbehaviour::Page) => {
            return ([("content-type", "text/html")], "<html>Log in</html>").into_response();
        }
        Some(Misbehaviour::Overtaken(branch, file, content)) => {
            let end = path.find(".git").unwrap() + ".git".len();
            let repository = server.root.join(path[..end].trim_start_matches('/'));
            commit(&repository, branch, &[(file, content)]);
        }
        Some(Misbehaviour::LosesAnswer) | None => {}
    }
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let answer = backend(&server, &parts.method, &path, &query, &parts.headers, &body).await;
    match misbehaviour {
        Some(Misbehaviour::LosesAnswer) => StatusCode::BAD_GATEWAY.into_response(),
        _ => answer,
    }
}

/// Runs `git http-backend` for a call, as CGI says.
async fn backend(
    server: &Inner,
    method: &axum::http::Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let kind = headers.get("content-type");
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let mut command = tokio::process::Command::from(isolated(Command::new("git")));
    let mut child = command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &server.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REMOTE_USER", "ann")
        .env("REQUEST_METHOD", method.as_str())
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", kind)
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let owned = body.to_vec();
    // It may answer before it has read all.
    let fed = tokio::spawn(async move { drop(stdin.write_all(&owned).await) });
    let done = child.wait_with_output().await.unwrap();
    let _ = fed.await;
    let end = done
        .stdout
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let (head, content) = done.stdout.split_at(end);
    let mut answer = Response::builder();
    for line in std::str::from_utf8(head).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        answer = match name {
            "Status" => answer.status(value[..3].parse::<u16>().unwrap()),
            _ => answer.header(name, value),
        };
    }
    answer.body(Body::from(content[4..].to_vec())).unwrap()
}
