//! What pages load. It is in the binary.

use axum::response::{IntoResponse, Response};
use http::header;

const STYLE: &str = include_str!("../../assets/style.css");
const FOLLOW: &str = include_str!("../../assets/follow.js");
const ICON: &str = include_str!("../../assets/icon.svg");

/// `GET /assets/style.css`.
pub(crate) async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

/// `GET /assets/follow.js`.
pub(crate) async fn follow() -> Response {
    asset("text/javascript; charset=utf-8", FOLLOW)
}

/// `GET /assets/icon.svg`.
pub(crate) async fn icon() -> Response {
    asset("image/svg+xml", ICON)
}

fn asset(media_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        // A new version of the service has new ones under the same names.
        (header::CACHE_CONTROL, "max-age=300"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text).into_response()
}
