//! Waiting for a change of a request, and asking whether there is one. Ours: the reference has neither.

use std::time::Duration;

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use iib_request::Record;

use crate::api::Api;
use crate::problem::{Problem, types};

/// Longest time that a call waits, seconds. The API Gateway gives up after 30.
pub(crate) const LONGEST: u64 = 20;

/// How a call waits: `after=<version>&wait=<seconds>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    /// The version that the client knows; none: that of now.
    pub(crate) after: Option<u64>,
    /// How long at most.
    pub(crate) patience: Duration,
}

impl FromRequestParts<Api> for Wait {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let query = query.map(|Query(query)| query).unwrap_or_default();
        let value = |wanted: &str| {
            let found = query.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str())
        };
        let after = value("after").map(|text| {
            // As the tag has it.
            let version = text.split_once('-').map_or(text, |(version, _)| version);
            number(version).ok_or_else(|| {
                refused(format!(
                    "\"after\" is \"{text}\", but has to be the version of the request that you know, a whole number: it stands in the ETag of each answer"
                ))
            })
        });
        let seconds = value("wait").map(|text| {
            let seconds = number(text).filter(|seconds| *seconds <= LONGEST);
            seconds.ok_or_else(|| {
                refused(format!(
                    "\"wait\" is \"{text}\", but has to be whole seconds up to {LONGEST}: to wait longer, ask again"
                ))
            })
        });
        Ok(Self {
            after: after.transpose()?,
            patience: Duration::from_secs(seconds.transpose()?.unwrap_or_default()),
        })
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

fn refused(text: String) -> Problem {
    Problem::new(&types::PARAMETER, text)
}

/// What a request is known by: its version, and how many are ahead of it, which changes without it.
pub(crate) fn version(record: &Record, ahead: Option<u64>) -> String {
    let version = record.version;
    match ahead {
        None => version.to_string(),
        Some(ahead) => format!("{version}-{ahead}"),
    }
}

/// What its document is known by. Weak, because URLs in the document are those that were called.
pub(crate) fn tag(record: &Record, ahead: Option<u64>) -> HeaderValue {
    let text = format!("W/\"{}\"", version(record, ahead));
    // Digits and quotes are a header's value.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("W/\"\""))
}

/// Whether the client has the document of this tag (RFC 9110, section 13.1.2).
pub(crate) fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let tag = opaque(tag.to_str().unwrap_or_default());
    let named = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut named = named
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    named.any(|named| named.trim() == "*" || opaque(named) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_in_every_form_in_which_it_may_be_sent() {
        let tag = HeaderValue::from_static("W/\"7\"");
        for (sent, known) in [
            ("W/\"7\"", true),
            ("\"7\"", true),
            ("\"1\", W/\"7\"", true),
            ("*", true),
            ("\"70\"", false),
            ("7", false),
            ("", false),
        ] {
            let headers =
                HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(sent))]);
            assert_eq!(is_known(&headers, &tag), known, "{sent}");
        }
        assert!(!is_known(&HeaderMap::new(), &tag));
    }
}
