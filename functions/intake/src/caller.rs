//! Who calls.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::MethodRouter;
use http::header::AUTHORIZATION;
use http::request::Parts;
use iib_edge::telemetry::if_logged;
use iib_request::ApiSettings;
use lambda_http::request::RequestContext;
use serde_json::Value;
use tracing::Span;

use crate::api::Api;
use crate::problem::Problem;

/// The authenticated user of a call. Put into the extensions of a call by whoever authenticates
/// in front of the router; never taken from anything a client can write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User(pub String);

/// The user of a call that changes things, if there is one; without one it is refused unless
/// the settings say `login_disabled` (spec rest-api §2).
#[derive(Debug)]
pub(crate) struct Caller(pub(crate) Option<String>);

/// A caller who may change requests from outside: a user whom the settings name, or, without login,
/// somebody who gives no name (spec rest-api §2).
#[derive(Debug)]
pub(crate) struct Worker;

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let settings = &api.intake.api;
        let user = named(parts, api).await?.filter(|name| !name.is_empty());
        if let Some(name) = if_logged("user", user.as_deref()).flatten() {
            Span::current().record("user", name);
        }
        if user.as_ref().is_some_and(|name| name.len() > LONGEST) {
            return Err(Problem::unauthorized());
        }
        if user.is_none() && !settings.login_disabled {
            return Err(match api.tokens {
                Some(_) => Problem::no_token(),
                None => Problem::unauthorized(),
            });
        }
        Ok(Self(user))
    }
}

impl FromRequestParts<Api> for Worker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Caller(user) = Caller::from_request_parts(parts, api).await?;
        let workers = &api.intake.api.worker_usernames;
        match user {
            Some(user) if !workers.contains(&user) => Err(Problem::not_a_worker()),
            Some(_) | None => Ok(Self),
        }
    }
}

/// A handler that reads, in front of which is asked who calls if the settings say so: after path and method
/// were found, as for what changes something.
pub(crate) fn guarded(handler: MethodRouter<Api>, api: &Api) -> MethodRouter<Api> {
    handler.route_layer(from_fn_with_state(api.clone(), let_readers_in))
}

async fn let_readers_in(
    State(api): State<Api>,
    call: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !api.intake.api.reads_need_login {
        return Ok(next.run(call).await);
    }
    let (mut parts, body) = call.into_parts();
    Caller::from_request_parts(&mut parts, &api).await?;
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// Longest name of a user, bytes: it is stored with every request.
const LONGEST: usize = 512;

/// Who it is, by the first that names somebody: whoever is in front of the router, a trusted proxy, a token, an
/// authorizer of the API Gateway.
async fn named(parts: &Parts, api: &Api) -> Result<Option<String>, Problem> {
    let settings = &api.intake.api;
    if let Some(User(name)) = parts.extensions.get() {
        return Ok(Some(name.clone()));
    }
    if let Some(name) = named_by_proxy(parts, settings)?.filter(|name| !name.is_empty()) {
        return Ok(Some(name));
    }
    if let Some(name) = named_by_token(parts, api).await? {
        return Ok(Some(name));
    }
    let context = parts.extensions.get();
    Ok(context.and_then(|context| authorized(context, &settings.user_claims)))
}

/// Whom the proxy has authenticated that the settings trust: the value of its header, where the call
/// comes from one of its addresses. From anywhere else the header says nothing.
fn named_by_proxy(parts: &Parts, settings: &ApiSettings) -> Result<Option<String>, Problem> {
    let Some(header) = &settings.trusted_user_header else {
        return Ok(None);
    };
    let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() else {
        return Ok(None);
    };
    let mut trusted = settings.trusted_proxies.iter();
    if !trusted.any(|proxies| proxies.contain(peer.ip())) {
        return Ok(None);
    }
    let mut values = parts.headers.get_all(header.as_str()).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        // Two of them are one of the client's beside the proxy's.
        return match parts.headers.contains_key(header.as_str()) {
            true => Err(Problem::unauthorized()),
            false => Ok(None),
        };
    };
    let name = std::str::from_utf8(value.as_bytes()).ok();
    let name = name.filter(|name| !name.contains(char::is_control));
    let name = name.ok_or_else(Problem::unauthorized)?;
    Ok(Some(name.to_owned()))
}

/// Whom the issuer names that the settings trust: the first of the claims of the caller's token (RFC 6750) that
/// say who a user is. Other ways to authorize say nothing here, and a token that names nobody is none.
async fn named_by_token(parts: &Parts, api: &Api) -> Result<Option<String>, Problem> {
    let Some(tokens) = &api.tokens else {
        return Ok(None);
    };
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let token = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok().and_then(bearer),
        (None, _) => None,
        (Some(_), Some(_)) => return Err(Problem::bad_token("there are several")),
    };
    let Some(token) = token else {
        return Ok(None);
    };
    let claims = tokens.claims(token).await?;
    let names = &api.intake.api.user_claims;
    let mut named = names.iter().filter_map(|name| claims.get(name)?.as_str());
    let name = named.find(|name| !name.is_empty() && !name.contains(char::is_control));
    let name = name.ok_or_else(|| Problem::bad_token("it does not say who its user is"))?;
    match name.len() > LONGEST {
        true => Err(Problem::bad_token("its user's name is too long")),
        false => Ok(Some(name.to_owned())),
    }
}

/// The token of `Bearer <token>`; the scheme in whatever case.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_matches(' '))
}

/// Whom an authorizer of the API Gateway has authorized: by a token or a Lambda function, the first of
/// these names, or what a function calls the principal (`principalId`); or by IAM, the ARN.
fn authorized(context: &RequestContext, names: &[String]) -> Option<String> {
    let authorizer = context.authorizer()?;
    let claim = |name: &String| authorizer.jwt.as_ref()?.claims.get(name).cloned();
    let field = |name: &str| {
        let value = authorizer.fields.get(name);
        value.and_then(Value::as_str).map(str::to_owned)
    };
    let mut claims = names.iter().filter_map(claim);
    claims
        .next()
        .or_else(|| names.iter().find_map(|name| field(name)))
        .or_else(|| field("principalId"))
        .or_else(|| authorizer.iam.as_ref()?.user_arn.clone())
        .or_else(|| match context {
            RequestContext::ApiGatewayV1(context) => context.identity.user_arn.clone(),
            _ => None,
        })
}
