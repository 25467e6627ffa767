//! Under which address the client knows the service.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderName, header};
use iib_request::BaseUrl;

use crate::api::Api;

/// Scheme the client used, where something in front of us ended TLS.
pub(crate) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Path in front of ours, where something in front of us took it off.
pub(crate) const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
/// Stands in for a host that cannot be one.
pub(crate) const NO_HOST: &str = "localhost";
/// Longest host or prefix that is repeated to the client, bytes.
const LONGEST: usize = 255;

/// The absolute URL of the listing, without a trailing slash; all URLs in answers begin with it
/// (spec rest-api §1). Unless the settings have a `public_url` it is made of what the client sent,
/// so it is only good for answers to that client, and everything that does not look like a host or
/// path is left out.
#[derive(Debug)]
pub(crate) struct BuildsUrl(pub(crate) String);

impl BuildsUrl {
    /// The path of the listing.
    pub(crate) const PATH: &str = BUILDS;

    /// The path of the service: nothing, or what is in front of it.
    pub(crate) fn root(&self) -> &str {
        let base = self.0.strip_suffix(BUILDS).unwrap_or_default();
        let rest = base.split_once("://").map_or(base, |(_, rest)| rest);
        rest.find('/').map_or("", |slash| &rest[slash..])
    }

    /// The address of the service; nothing if it was called under one that cannot be written down.
    pub(crate) fn base(&self) -> Option<BaseUrl> {
        self.0.strip_suffix(BUILDS)?.parse().ok()
    }
}

/// The path of the listing.
const BUILDS: &str = "/api/v1/builds";

impl FromRequestParts<Api> for BuildsUrl {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        let base = match &api.intake.api.public_url {
            Some(url) => url.to_string(),
            None => as_called(parts),
        };
        Ok(Self(format!("{base}{BUILDS}")))
    }
}

/// The address of the service as the client has called it.
fn as_called(parts: &Parts) -> String {
    let header = |name: &HeaderName| parts.headers.get(name).and_then(|v| v.to_str().ok());
    let scheme = header(&FORWARDED_PROTO)
        .filter(|scheme| is_scheme(scheme))
        .unwrap_or("http");
    let host = header(&header::HOST)
        .filter(|host| is_host(host))
        .or_else(|| parts.uri.authority().map(http::uri::Authority::as_str))
        .filter(|host| is_host(host))
        .unwrap_or(NO_HOST);
    let prefix = header(&FORWARDED_PREFIX)
        .filter(|prefix| is_prefix(prefix))
        .unwrap_or_default();
    format!("{scheme}://{host}{prefix}")
}

/// Whether a text is the scheme of a web address.
pub(crate) fn is_scheme(text: &str) -> bool {
    text == "http" || text == "https"
}

/// Whether a text is a host and, perhaps, a port.
pub(crate) fn is_host(text: &str) -> bool {
    let within = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    text.len() <= LONGEST
        && text.bytes().all(within)
        && url::Url::parse(&format!("http://{text}/")).is_ok_and(|url| url.path() == "/")
}

/// Whether a text is a path that others can follow, such as `/prod`.
pub(crate) fn is_prefix(text: &str) -> bool {
    let within = |b: u8| b.is_ascii_alphanumeric() || b"-_.~/".contains(&b);
    text.len() <= LONGEST
        && text.bytes().all(within)
        && text.starts_with('/')
        && !text.starts_with("//")
        && !text.ends_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(headers: &[(HeaderName, &str)], uri: &str) -> String {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        as_called(&parts)
    }

    #[test]
    fn the_host_is_the_one_the_client_used() {
        let cases: [(&str, &str); 6] = [
            ("iib.example", "http://iib.example"),
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("[::1]:8080", "http://[::1]:8080"),
            ("user@iib.example", "http://localhost"),
            ("iib.example/<script>", "http://localhost"),
            ("x.execute-api.127.0.0.1", "http://localhost"),
        ];
        for (host, expected) in cases {
            assert_eq!(url(&[(header::HOST, host)], "/"), expected, "{host}");
        }
        assert_eq!(url(&[], "/"), "http://localhost");
        assert_eq!(url(&[], "http://iib.example:80/x"), "http://iib.example:80");
    }

    #[test]
    fn scheme_and_prefix_come_from_what_is_in_front() {
        let cases = [
            ("https", "/prod", "https://h/prod"),
            ("http", "/a/b", "http://h/a/b"),
            ("javascript", "//evil.example", "http://h"),
            ("https", "prod", "https://h"),
            ("https", "/prod/", "https://h"),
            ("https", "/a b", "https://h"),
        ];
        for (scheme, prefix, expected) in cases {
            let headers = [
                (header::HOST, "h"),
                (FORWARDED_PROTO, scheme),
                (FORWARDED_PREFIX, prefix),
            ];
            assert_eq!(url(&headers, "/"), expected);
        }
    }
}
