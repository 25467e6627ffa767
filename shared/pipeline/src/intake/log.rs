//! Reading logs.

use bytes::BytesMut;
use futures::TryStreamExt;
use iib_ports::{ArtifactError, ArtifactKey};
use iib_request::RequestId;

use super::documents::missing;
use super::{IntakeDeps, IntakeError, Offer, get};

/// Largest log that is part of an answer where there is another way, bytes: the answer of a
/// Lambda function has at most 6 MB, each line break counts twice in it, and the rest of the
/// answer has to fit too.
const WHOLE_LIMIT: usize = 4 * 1024 * 1024;

/// Largest log that is part of an answer where there is no other way, bytes: of a longer one the
/// end is shown. It is held in memory, and a log of a hundred bundles has some ten kilobytes.
const TAIL_LIMIT: usize = 16 * 1024 * 1024;

/// How much of a log is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogPart {
    /// All of it, so only of a request that has ended (spec rest-api §9).
    Whole,
    /// What is there by now. Ours: the reference shows nothing while a request goes on.
    SoFar,
}

/// A log, or where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogContent {
    /// The log itself.
    Text(String),
    /// The URL under which it may be downloaded for some minutes, because it is large.
    At(String),
}

/// Reads a request's log; the checks come in the order of spec rest-api §9. A log that has
/// expired and is still there is shown.
///
/// # Errors
/// [`IntakeError`].
pub async fn logs(
    deps: &IntakeDeps,
    id: RequestId,
    part: LogPart,
) -> Result<LogContent, IntakeError> {
    if !deps.api.offer_logs {
        return Err(IntakeError::NoDocument(id));
    }
    let record = get(deps, id).await?;
    let ended = record.state().is_final();
    if !ended && part == LogPart::Whole {
        return Err(IntakeError::NotFinished(id, Offer::Logs));
    }
    let key = ArtifactKey::log(id);
    if ended && let Some(log) = sealed(deps, &key).await? {
        return Ok(log);
    }
    // A request that goes on, or whose log is not moved yet.
    if let Some(log) = deps.logs.read(id).await? {
        return Ok(LogContent::Text(end_of(log, WHOLE_LIMIT)));
    }
    if !ended {
        return Ok(LogContent::Text(String::new()));
    }
    // It may have been moved between the two looks.
    if let Some(log) = sealed(deps, &key).await? {
        return Ok(log);
    }
    Err(missing(deps, &record, Offer::Logs))
}

/// The log in the store of artifacts; `None` if there is none.
async fn sealed(deps: &IntakeDeps, key: &ArtifactKey) -> Result<Option<LogContent>, IntakeError> {
    let mut content = match deps.artifacts.get(key).await {
        Ok(content) => content,
        Err(ArtifactError::Missing(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = BytesMut::new();
    let mut elsewhere = None;
    while let Some(piece) = content.try_next().await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > WHOLE_LIMIT && elsewhere.is_none() {
            elsewhere = Some(deps.artifacts.link(key).await?);
        }
        if let Some(Some(url)) = elsewhere {
            return Ok(Some(LogContent::At(url)));
        }
        if bytes.len() > 2 * TAIL_LIMIT {
            let _beginning = bytes.split_to(bytes.len() - TAIL_LIMIT);
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Some(LogContent::Text(end_of(text, TAIL_LIMIT))))
}

/// Whether a log was cut, because it is too large.
pub fn is_cut(text: &str) -> bool {
    text.starts_with(CUT)
}

/// What stands in front of such a log.
const CUT: &str = "[the beginning of this log is left out,";

/// The last whole lines of a text, at most `limit` bytes, with a note if that is not all.
fn end_of(text: String, limit: usize) -> String {
    if text.len() <= limit {
        return text;
    }
    let mut start = text.len() - limit;
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let rest = text.get(start..).unwrap_or_default();
    let lines = rest.split_once('\n').map_or(rest, |(_, lines)| lines);
    format!("{CUT} here are its last {limit} bytes]\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_text_the_last_whole_lines_are_shown() {
        let text = "first\nsécond\nthird\n";
        assert_eq!(end_of(text.to_owned(), 100), text);
        for limit in [8, 12, 13] {
            let end = end_of(text.to_owned(), limit);
            let (note, lines) = end.split_once('\n').unwrap();
            assert!(note.contains("left out"), "{note}");
            assert_eq!(lines, "third\n", "{limit}");
        }
    }
}
