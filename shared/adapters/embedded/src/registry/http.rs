//! The distribution protocol.

mod blobs;
mod lists;
mod manifests;
mod target;
mod uploads;

use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::serve::ListenerExt;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::auth::{self, Auth};
use super::fault::Fault;
use super::store::RegistryStore;
use target::Target;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// How long calls under way may go on after a stop was asked for. A push that is cut off is
/// repeated by its client.
const GRACE: Duration = Duration::from_secs(5);

/// The registry as a router over `/v2/`.
pub fn router(store: RegistryStore, auth: Auth) -> Router {
    Router::new()
        .route("/v2", any(base))
        .route("/v2/", any(base))
        .route("/v2/{*path}", any(dispatch))
        .layer(middleware::from_fn_with_state(auth, auth::require))
        .layer(middleware::map_response(name_version))
        .with_state(store)
}

/// Serves the registry, or what was put in front of it, on a socket until `stop`.
///
/// # Errors
/// What the socket reports; not the failures of single calls.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    // Small answers are not to wait for more to send.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection stays with delayed sending");
        }
    });
    let serving =
        axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let grace_is_over = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = serving => served,
        () = grace_is_over => Ok(()),
    }
}

/// `GET /v2/`: whether this is a registry, and whether the caller may use it.
async fn base(method: Method) -> Response {
    match method {
        Method::GET | Method::HEAD => axum::Json(serde_json::json!({})).into_response(),
        _ => Fault::Unsupported.into_response(),
    }
}

async fn dispatch(
    State(store): State<RegistryStore>,
    Path(path): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let target: Target = path.parse()?;
    let (head, body) = request.into_parts();
    match target {
        Target::Catalog => lists::catalog(&store, &head).await,
        Target::Tags(name) => lists::tags(&store, &name, &head).await,
        Target::Blob(name, digest) => blobs::answer(&store, &name, &digest, &head).await,
        Target::Uploads(name) => uploads::begin(&store, &name, &head, body).await,
        Target::Upload(name, id) => uploads::answer(&store, &name, &id, &head, body).await,
        Target::Manifest(name, reference) => {
            manifests::answer(&store, &name, &reference, &head, body).await
        }
    }
}

/// Says which protocol this is, on every answer.
async fn name_version(mut response: Response) -> Response {
    let version = HeaderValue::from_static("registry/2.0");
    response.headers_mut().insert(API_VERSION, version);
    response
}

/// The query of a request.
fn query<T: DeserializeOwned>(head: &Parts) -> Result<T, Fault> {
    axum::extract::Query::try_from_uri(&head.uri)
        .map(|query| query.0)
        .map_err(|_| Fault::Query("a parameter is given twice or is not text"))
}

/// An answer without content that points to something that is there now.
fn created(location: &str, digest: &iib_oci::Digest) -> Response {
    let headers = [
        (http::header::LOCATION, location),
        (CONTENT_DIGEST, digest.as_str()),
    ];
    (StatusCode::CREATED, headers).into_response()
}
