//! Who a scripted registry lets in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use axum::body::Body;
use axum::http::header::AUTHORIZATION;
use axum::http::{Method, Request, Response};
use url::form_urlencoded;

use super::answer::{error, respond, set};
use super::lock;

/// The authentication of a scripted registry.
#[derive(Debug, Clone)]
pub enum Login {
    /// None.
    Open,
    /// This `Authorization: Basic` value with every request.
    Basic(String),
    /// Tokens from the registry's own `/token`, which wants this `Authorization: Basic` value,
    /// if any, or this refresh token.
    Bearer {
        /// Base64 of `user:password`; `None` lets everybody have tokens.
        basic: Option<String>,
        /// What a refresh token must be.
        refresh: Option<String>,
        /// Lifetime to name in seconds, if any.
        expires_in: Option<u64>,
    },
    /// Tokens from the same place for whoever shows one of these `Authorization: Basic` values,
    /// good for the repositories below that path.
    Homes(BTreeMap<String, String>),
}

impl Login {
    /// Tokens for everybody.
    pub fn anonymous_tokens() -> Self {
        Self::Bearer {
            basic: None,
            refresh: None,
            expires_in: Some(300),
        }
    }
}

#[derive(Debug)]
pub(super) struct Tokens {
    login: Login,
    realm: Mutex<String>,
    withheld: Mutex<BTreeSet<String>>,
    /// The scopes of each token, as `repository:<path>:<action>`.
    granted: Mutex<BTreeMap<String, BTreeSet<String>>>,
    count: Mutex<u64>,
}

impl Tokens {
    pub(super) fn new(login: Login, host: &str) -> Self {
        Self {
            login,
            realm: Mutex::new(format!("http://{host}/token")),
            withheld: Mutex::default(),
            granted: Mutex::default(),
            count: Mutex::default(),
        }
    }

    pub(super) fn set_realm(&self, realm: &str) {
        realm.clone_into(&mut lock(&self.realm));
    }

    pub(super) fn revoke(&self) {
        lock(&self.granted).clear();
    }

    pub(super) fn withhold(&self, repository: &str) {
        lock(&self.withheld).insert(repository.to_owned());
    }

    /// Whether a request to the registry may pass; if not, the challenge.
    pub(super) fn check(&self, request: &Request<Body>) -> Result<(), Box<Response<Body>>> {
        let shown = header(request);
        let challenge = match &self.login {
            Login::Open => return Ok(()),
            Login::Basic(expected) if shown == Some(format!("Basic {expected}")) => return Ok(()),
            Login::Basic(_) => r#"Basic realm="scripted""#.to_owned(),
            Login::Bearer { .. } | Login::Homes(_) => {
                let needed = needed_scopes(request);
                let granted = lock(&self.granted);
                let token = shown
                    .as_deref()
                    .and_then(|text| text.strip_prefix("Bearer "));
                if token
                    .and_then(|token| granted.get(token))
                    .is_some_and(|scopes| needed.is_subset(scopes))
                {
                    return Ok(());
                }
                let realm = lock(&self.realm);
                format!(r#"Negotiate, Bearer realm="{realm}",service="scripted""#)
            }
        };
        let mut refused = error(401, "UNAUTHORIZED", "authentication required");
        set(&mut refused, "www-authenticate", &challenge);
        Err(Box::new(refused))
    }

    /// Answers a request for a token, by query or by form.
    pub(super) async fn grant(&self, request: Request<Body>) -> Response<Body> {
        let shown = header(&request);
        let user = shown
            .as_deref()
            .and_then(|text| text.strip_prefix("Basic "));
        let (basic, refresh, expires_in, home) = match &self.login {
            Login::Bearer {
                basic,
                refresh,
                expires_in,
            } => (basic.as_deref(), refresh.as_ref(), *expires_in, None),
            Login::Homes(homes) => match user.and_then(|user| homes.get_key_value(user)) {
                Some((user, home)) => (Some(user.as_str()), None, None, Some(home)),
                None => return error(401, "UNAUTHORIZED", "wrong user or password"),
            },
            Login::Open | Login::Basic(_) => return error(404, "NOT_FOUND", "no tokens here"),
        };
        let posted = request.method() == Method::POST;
        let query = request.uri().query().unwrap_or_default().to_owned();
        let text = if posted {
            let body = axum::body::to_bytes(request.into_body(), 64 * 1024).await;
            String::from_utf8_lossy(&body.unwrap_or_default()).into_owned()
        } else {
            query
        };
        let pairs: Vec<(String, String)> = form_urlencoded::parse(text.as_bytes())
            .into_owned()
            .collect();
        let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, v)| v);
        let known = match refresh {
            Some(refresh) if posted => value("refresh_token") == Some(refresh),
            Some(_) | None => match basic {
                Some(basic) => user == Some(basic),
                None => shown.is_none(),
            },
        };
        if !known || value("service").map(String::as_str) != Some("scripted") {
            return error(401, "UNAUTHORIZED", "wrong user, password or service");
        }
        let scopes = pairs
            .iter()
            .filter(|(key, _)| key == "scope")
            .flat_map(|(_, scopes)| scopes.split(' '))
            .flat_map(split_scope)
            .filter(|scope| !self.is_withheld(scope))
            .filter(|scope| {
                home.is_none_or(|home| scope.starts_with(&format!("repository:{home}/")))
            })
            .collect();
        let mut count = lock(&self.count);
        *count += 1;
        let token = format!("token-{count}");
        lock(&self.granted).insert(token.clone(), scopes);
        let mut document = serde_json::json!({"token": token});
        if let Some(seconds) = expires_in {
            document["expires_in"] = seconds.into();
        }
        respond(200, Body::from(document.to_string()))
    }

    fn is_withheld(&self, scope: &str) -> bool {
        let withheld = lock(&self.withheld);
        withheld
            .iter()
            .any(|path| scope.starts_with(&format!("repository:{path}:")))
    }
}

fn header(request: &Request<Body>) -> Option<String> {
    let value = request.headers().get(AUTHORIZATION)?;
    value.to_str().ok().map(str::to_owned)
}

/// `repository:a:pull,push` as one scope per action.
fn split_scope(scope: &str) -> Vec<String> {
    let Some((name, actions)) = scope.rsplit_once(':') else {
        return Vec::new();
    };
    actions
        .split(',')
        .map(|action| format!("{name}:{action}"))
        .collect()
}

/// What a request needs, as distribution has it: pull to read, pull and push to write, and pull
/// on the source to mount.
fn needed_scopes(request: &Request<Body>) -> BTreeSet<String> {
    let path = request.uri().path().trim_start_matches("/v2/");
    let name = ["/manifests/", "/blobs/"]
        .iter()
        .find_map(|part| path.split_once(part))
        .map_or("", |(name, _)| name);
    let mut needed = BTreeSet::from([format!("repository:{name}:pull")]);
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        needed.insert(format!("repository:{name}:push"));
    }
    for (key, value) in form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
    {
        if key == "from" {
            needed.insert(format!("repository:{value}:pull"));
        }
    }
    needed
}
