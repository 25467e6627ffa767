//! How a scripted registry misbehaves.

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use axum::http::{Request, Response, StatusCode};
use bytes::Bytes;
use futures::{StreamExt as _, stream};

/// One answer of the script.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The usual answer.
    Usual,
    /// Just a status, with an error document for errors.
    Status(u16),
    /// A status, headers and a body. `{host}` in a header stands for the registry itself.
    Reply(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The connection is cut before any answer.
    Disconnect,
    /// No answer, ever; the connection stays open.
    Silence,
    /// A body without end or length.
    Endless(u16),
    /// The usual answer, but its body breaks off after so many bytes.
    CutAfter(usize),
    /// The usual answer, but its body stops after so many bytes and the connection stays open.
    StallAfter(usize),
    /// The usual answer with the first byte of its body changed.
    Altered,
    /// The usual answer with bytes added to its body, without saying how long it is.
    Longer,
    /// The usual answer without its last byte, properly ended.
    Shorter,
    /// The usual answer without one header.
    Without(&'static str),
    /// The usual answer with a header.
    With(&'static str, String),
}

impl Answer {
    pub(super) fn needs_the_real_one(&self) -> bool {
        match self {
            Self::Usual
            | Self::CutAfter(_)
            | Self::StallAfter(_)
            | Self::Altered
            | Self::Longer
            | Self::Shorter
            | Self::Without(_)
            | Self::With(..) => true,
            Self::Status(_)
            | Self::Reply(..)
            | Self::Disconnect
            | Self::Silence
            | Self::Endless(_) => false,
        }
    }

    /// An answer that has nothing to do with the request.
    pub(super) async fn instead(self, request: Request<Body>, host: &str) -> Response<Body> {
        match self {
            // Unwinds the connection's task without a panic message; the socket closes.
            Self::Disconnect => std::panic::resume_unwind(Box::new("scripted disconnect")),
            Self::Silence => std::future::pending().await,
            Self::Reply(status, headers, body) => {
                drain(request).await;
                let mut response = respond(status, Body::from(body));
                for (name, value) in headers {
                    set(&mut response, name, &value.replace("{host}", host));
                }
                response
            }
            Self::Endless(status) => {
                drain(request).await;
                let piece = Bytes::from_static(&[b' '; 8192]);
                let pieces = stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
                respond(status, Body::from_stream(pieces))
            }
            Self::Status(status) => {
                drain(request).await;
                error(status, "SCRIPTED", "as the test wants it")
            }
            other => panic!("{other:?} changes the usual answer and cannot replace it"),
        }
    }

    /// The usual answer, changed.
    pub(super) async fn change(self, response: Response<Body>) -> Response<Body> {
        let (mut parts, body) = response.into_parts();
        match self {
            Self::Without(name) => {
                parts.headers.remove(name);
                return Response::from_parts(parts, body);
            }
            Self::With(name, value) => {
                let mut response = Response::from_parts(parts, body);
                set(&mut response, name, &value);
                return response;
            }
            _ => {}
        }
        let mut bytes = collect(body).await;
        let body = match self {
            Self::CutAfter(count) => {
                keep_length(&mut parts.headers, bytes.len());
                bytes.truncate(count);
                let first = stream::iter([Ok(Bytes::from(bytes))]);
                let cut = stream::once(async {
                    // Lets the server send what it has before the connection goes.
                    tokio::task::yield_now().await;
                    Err(std::io::Error::other("scripted cut"))
                });
                Body::from_stream(first.chain(cut))
            }
            Self::StallAfter(count) => {
                keep_length(&mut parts.headers, bytes.len());
                bytes.truncate(count);
                let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from(bytes))]);
                Body::from_stream(first.chain(stream::pending()))
            }
            Self::Altered => {
                if let Some(first) = bytes.first_mut() {
                    *first ^= 1;
                }
                Body::from(bytes)
            }
            Self::Longer => {
                parts.headers.remove(CONTENT_LENGTH);
                bytes.extend_from_slice(b"more");
                without_length(bytes)
            }
            Self::Shorter => {
                parts.headers.remove(CONTENT_LENGTH);
                bytes.pop();
                without_length(bytes)
            }
            _ => Body::from(bytes),
        };
        Response::from_parts(parts, body)
    }
}

/// An error as registries write them.
pub(super) fn error(status: u16, code: &str, message: &str) -> Response<Body> {
    let document = serde_json::json!({"errors": [{"code": code, "message": message}]});
    let body = if status < 400 {
        Body::empty()
    } else {
        Body::from(document.to_string())
    };
    respond(status, body)
}

pub(super) fn respond(status: u16, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status)
        .unwrap_or_else(|error| panic!("the script has status {status}: {error}"));
    response
}

pub(super) fn set(response: &mut Response<Body>, name: &'static str, value: &str) {
    let value = HeaderValue::from_str(value)
        .unwrap_or_else(|error| panic!("{name}: {value} is no header: {error}"));
    response
        .headers_mut()
        .insert(HeaderName::from_static(name), value);
}

/// Reads a request to its end, so that the answer is not lost to a reset connection.
async fn drain(request: Request<Body>) {
    let mut body = request.into_body().into_data_stream();
    while let Some(Ok(_)) = body.next().await {}
}

async fn collect(body: Body) -> Vec<u8> {
    axum::body::to_bytes(body, usize::MAX)
        .await
        .map(Vec::from)
        .unwrap_or_default()
}

fn without_length(bytes: Vec<u8>) -> Body {
    Body::from_stream(stream::iter([Ok::<_, std::io::Error>(Bytes::from(bytes))]))
}

fn keep_length(headers: &mut axum::http::HeaderMap, length: usize) {
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
}
