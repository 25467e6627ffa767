//! Bounded reading of small answers.

use std::time::Duration;

use reqwest::Response;

use crate::Fault;

/// The most that is read of an error document (as go-containerregistry does).
const ERROR_LIMIT: usize = 64 * 1024;

/// How long an error document may take. Its status has been seen by then; the text only helps.
const ERROR_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a whole document of up to a few MiB may take. It ends a registry that hands out
/// bytes one by one, each in time.
const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(120);

/// Why a document could not be read.
#[derive(Debug)]
pub(crate) enum ReadFailure {
    Fault(Fault),
    TooLarge,
}

/// Reads a body of at most `limit` bytes, whatever its headers say about its length.
pub(crate) async fn read_document(
    response: Response,
    limit: usize,
    idle: Duration,
) -> Result<Vec<u8>, ReadFailure> {
    let host = host_of(&response);
    match tokio::time::timeout(DOCUMENT_TIMEOUT, read(response, limit, idle)).await {
        Ok(read) => read,
        Err(_) => Err(ReadFailure::Fault(Fault::Silent {
            host,
            after: DOCUMENT_TIMEOUT,
        })),
    }
}

async fn read(
    mut response: Response,
    limit: usize,
    idle: Duration,
) -> Result<Vec<u8>, ReadFailure> {
    if response
        .content_length()
        .is_some_and(|length| length > limit as u64)
    {
        return Err(ReadFailure::TooLarge);
    }
    let mut document = Vec::new();
    while let Some(chunk) = next_chunk(&mut response, idle)
        .await
        .map_err(ReadFailure::Fault)?
    {
        if document.len() + chunk.len() > limit {
            return Err(ReadFailure::TooLarge);
        }
        document.extend_from_slice(&chunk);
    }
    Ok(document)
}

/// The next piece of a body, `None` at its end.
pub(crate) async fn next_chunk(
    response: &mut Response,
    idle: Duration,
) -> Result<Option<bytes::Bytes>, Fault> {
    match tokio::time::timeout(idle, response.chunk()).await {
        Ok(Ok(chunk)) => Ok(chunk),
        Ok(Err(error)) => Err(Fault::of_connection(error, host_of(response))),
        Err(_) => Err(Fault::Silent {
            host: host_of(response),
            after: idle,
        }),
    }
}

/// Reads the beginning of an error document; what does not come in time is left out.
pub(crate) async fn read_error(mut response: Response) -> Vec<u8> {
    let mut document = Vec::new();
    let read = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = ERROR_LIMIT - document.len();
            document.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if document.len() == ERROR_LIMIT {
                break;
            }
        }
    };
    // Running out of time is no failure: what has been read is used.
    let _ = tokio::time::timeout(ERROR_TIMEOUT, read).await;
    document
}

/// Who answered, for messages.
pub(crate) fn host_of(response: &Response) -> String {
    response.url().authority().to_owned()
}
