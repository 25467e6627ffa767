//! Reading blobs.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, header};
use iib_oci::Digest;

use super::CONTENT_DIGEST;
use crate::file_stream::read_stream;
use crate::registry::fault::Fault;
use crate::registry::name::Name;
use crate::registry::store::RegistryStore;

pub(super) async fn answer(
    store: &RegistryStore,
    name: &Name,
    digest: &Digest,
    head: &Parts,
) -> Result<Response, Fault> {
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return Err(Fault::Unsupported);
    }
    let size = store.blob_size(name, digest).await?;
    let part = part(&head.headers, size)?;
    let (status, first, length) = match part {
        None => (StatusCode::OK, 0, size),
        Some((first, last)) => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
    };
    let body = if head.method == Method::HEAD {
        Body::empty()
    } else {
        let file = store.open_blob(digest, first).await?;
        Body::from_stream(read_stream(file, length))
    };
    let headers = [
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::ETAG, format!("\"{digest}\"")),
        (CONTENT_DIGEST, digest.to_string()),
    ];
    let range = part.map(|(first, last)| {
        let text = format!("bytes {first}-{last}/{size}");
        [(header::CONTENT_RANGE, text)]
    });
    let mut response = (status, headers, body).into_response();
    if let Some([(name, text)]) = range
        && let Ok(value) = text.try_into()
    {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// First and last byte asked for by a Range header; none: the whole. What is not one range of
/// bytes is passed over (RFC 9110 §14.2).
fn part(headers: &HeaderMap, size: u64) -> Result<Option<(u64, u64)>, Fault> {
    let range = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.strip_prefix("bytes="))
        .and_then(|text| Some((text, text.split_once('-')?)));
    let Some((given, (first, last))) = range else {
        return Ok(None);
    };
    let numbers = (first.parse::<u64>().ok(), last.parse::<u64>().ok());
    let wanted = match (numbers, first.is_empty(), last.is_empty()) {
        ((Some(first), Some(last)), ..) if first <= last => {
            (first, last.min(size.saturating_sub(1)))
        }
        ((Some(first), None), _, true) => (first, size.saturating_sub(1)),
        ((None, Some(length)), true, _) if length > 0 => {
            (size.saturating_sub(length), size.saturating_sub(1))
        }
        _ => return Ok(None),
    };
    if wanted.0 >= size {
        return Err(Fault::BlobRange {
            given: given.to_owned(),
            size,
        });
    }
    Ok(Some(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_served_and_others_are_passed_over() {
        for (range, expected) in [
            ("bytes=0-0", Some((0, 0))),
            ("bytes=2-5", Some((2, 5))),
            ("bytes=2-", Some((2, 9))),
            ("bytes=2-99", Some((2, 9))),
            ("bytes=-3", Some((7, 9))),
            ("bytes=-99", Some((0, 9))),
            ("bytes=5-2", None),
            ("bytes=-0", None),
            ("bytes=-", None),
            ("bytes=a-b", None),
            ("bytes=0-1,3-4", None),
            ("lines=0-1", None),
        ] {
            let headers = HeaderMap::from_iter([(header::RANGE, range.parse().unwrap())]);
            assert_eq!(part(&headers, 10).unwrap(), expected, "{range}");
        }
        assert_eq!(part(&HeaderMap::new(), 10).unwrap(), None);
    }

    #[test]
    fn a_range_behind_the_end_is_refused() {
        for (range, size) in [("bytes=10-", 10), ("bytes=10-12", 10), ("bytes=0-", 0)] {
            let headers = HeaderMap::from_iter([(header::RANGE, range.parse().unwrap())]);
            assert!(part(&headers, size).is_err(), "{range} of {size}");
        }
    }
}
