use std::error::Error as _;

use axum::http::Method;
use bytes::Bytes;
use futures::StreamExt as _;
use iib_oci::Descriptor;
use iib_ports::{Class, Classify as _, Registry as _, RegistryError};
use iib_testkit::scripted_registry::{Answer, ScriptedRegistry};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use crate::setup::{client, content, descriptor, impatient_client, read, repository};

/// Reads a blob of 100 000 bytes whose requests are answered by the script.
async fn pull(
    answers: impl IntoIterator<Item = Answer>,
) -> (Result<Bytes, RegistryError>, ScriptedRegistry) {
    let bytes = content(100_000);
    let registry = ScriptedRegistry::start().await;
    registry.put_blob("a", bytes.clone());
    registry.on(Method::GET, "/blobs/", answers);
    let blob = client(&registry.host())
        .blob(&repository(&registry.host(), "a"), &descriptor(&bytes))
        .await;
    (read(blob).await, registry)
}

#[tokio::test]
async fn a_blob_comes_whole() {
    let (read, _) = pull([]).await;
    assert_eq!(read.unwrap(), content(100_000));
}

#[tokio::test]
async fn an_empty_blob_comes_too() {
    let registry = ScriptedRegistry::start().await;
    registry.put_blob("a", "");
    let blob = client(&registry.host())
        .blob(&repository(&registry.host(), "a"), &descriptor(b""))
        .await;
    assert_eq!(read(blob).await.unwrap(), Bytes::new());
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_broke() {
    let (read, registry) = pull([Answer::CutAfter(60_000)]).await;
    assert_eq!(read.unwrap(), content(100_000));
    let seen = registry.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].header("range"), Some("bytes=60000-"));
}

#[tokio::test]
async fn a_transfer_that_stalls_goes_on_over_another_connection() {
    let bytes = content(100_000);
    let registry = ScriptedRegistry::start().await;
    registry.put_blob("a", bytes.clone());
    registry.on(Method::GET, "/blobs/", [Answer::StallAfter(60_000)]);
    let blob = impatient_client(&registry.host())
        .blob(&repository(&registry.host(), "a"), &descriptor(&bytes))
        .await;
    assert_eq!(read(blob).await.unwrap(), bytes);
    let seen = registry.seen();
    assert_eq!(seen.last().unwrap().header("range"), Some("bytes=60000-"));
}

#[tokio::test]
async fn a_registry_without_ranges_is_read_anew_up_to_where_it_broke() {
    let whole = Answer::Reply(200, Vec::new(), content(100_000).to_vec());
    let (read, registry) = pull([Answer::CutAfter(60_000), whole]).await;
    assert_eq!(read.unwrap(), content(100_000));
    assert_eq!(registry.seen().len(), 2);
}

#[tokio::test]
async fn a_transfer_that_breaks_too_often_is_for_later() {
    let cut = || Answer::CutAfter(10);
    let (read, registry) = pull([cut(), cut(), cut()]).await;
    let error = read.unwrap_err();
    assert_eq!(error.class(), Class::Retry, "{error}");
    assert_eq!(registry.seen().len(), 3);
}

#[tokio::test]
async fn an_answer_without_length_that_ends_early_is_taken_up_again() {
    let (read, registry) = pull([Answer::Shorter]).await;
    assert_eq!(read.unwrap(), content(100_000));
    let seen = registry.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].header("range"), Some("bytes=99999-"));
}

#[tokio::test]
async fn answers_that_always_end_early_are_for_later() {
    let (read, registry) = pull([Answer::Shorter, Answer::Shorter, Answer::Shorter]).await;
    let error = read.unwrap_err();
    assert_eq!(error.class(), Class::Retry, "{error}");
    let source = error.source().map(ToString::to_string);
    let host = registry.host();
    let expected = format!("{host} ended its answer after 99999 of 100000 bytes");
    assert_eq!(source, Some(expected));
    assert_eq!(registry.seen().len(), 3);
}

/// Answers in HTTP/1.0, where only the end of the connection ends a body.
async fn answer_until_closed(listener: TcpListener, bodies: Vec<Bytes>) {
    for body in bodies {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while stream.read_line(&mut line).await.unwrap() > "\r\n".len() {
            line.clear();
        }
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await.unwrap();
        stream.write_all(&body).await.unwrap();
        stream.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_closed_too_early_is_taken_up_again_if_only_it_ends_the_body() {
    let whole = content(100_000);
    for (lengths, class) in [
        ([60_000, 100_000].as_slice(), None),
        ([0, 60_000, 100_000].as_slice(), None),
        ([60_000, 10, 99_999].as_slice(), Some(Class::Retry)),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let bodies = lengths.iter().map(|length| whole.slice(..*length));
        let server = tokio::spawn(answer_until_closed(listener, bodies.collect()));
        let blob = client(&host)
            .blob(&repository(&host, "a"), &descriptor(&whole))
            .await;
        match (read(blob).await, class) {
            (Ok(got), None) => assert_eq!(got, whole),
            (Err(error), Some(class)) => assert_eq!(error.class(), class, "{error}"),
            (other, _) => panic!("{lengths:?}: {other:?}"),
        }
        server.await.unwrap();
    }
}

#[tokio::test]
async fn another_part_than_was_asked_for_is_refused() {
    let other = Answer::With("content-range", "bytes 7-99999/100000".to_owned());
    let (read, _) = pull([Answer::CutAfter(60_000), other]).await;
    let error = read.unwrap_err();
    assert!(
        error.to_string().contains("another part of the blob"),
        "{error}"
    );
}

#[tokio::test]
async fn content_that_changed_between_two_parts_is_noticed() {
    let (read, _) = pull([Answer::CutAfter(60_000), Answer::Altered]).await;
    assert!(
        matches!(read, Err(RegistryError::Mismatch { .. })),
        "{read:?}"
    );
}

#[tokio::test]
async fn wrong_content_is_an_error_in_place_of_the_last_piece() {
    for (fault, got) in [
        (Answer::Altered, "sha256:"),
        (Answer::Longer, "at least 100004 bytes"),
    ] {
        let (read, _) = pull([fault.clone()]).await;
        let error = read.unwrap_err();
        assert!(
            matches!(error, RegistryError::Mismatch { .. }),
            "{fault:?}: {error}"
        );
        assert!(error.to_string().contains(got), "{fault:?}: {error}");
    }
}

#[tokio::test]
async fn an_endless_blob_ends_at_its_size() {
    let registry = ScriptedRegistry::start().await;
    registry.on(Method::GET, "/blobs/", [Answer::Endless(200)]);
    let blob = client(&registry.host())
        .blob(
            &repository(&registry.host(), "a"),
            &descriptor(&content(100_000)),
        )
        .await
        .unwrap();
    let pieces: Vec<_> = blob.collect().await;
    let (last, before) = pieces.split_last().unwrap();
    assert!(
        matches!(last, Err(RegistryError::Mismatch { .. })),
        "{last:?}"
    );
    let handed_on: usize = before
        .iter()
        .map(|piece| piece.as_ref().unwrap().len())
        .sum();
    assert!(handed_on <= 100_000);
}

#[tokio::test]
async fn a_length_that_contradicts_the_descriptor_is_refused_at_once() {
    let bytes = content(1_000);
    let registry = ScriptedRegistry::start().await;
    registry.put_blob("a", bytes.clone());
    let wrong = Descriptor {
        size: 999,
        ..descriptor(&bytes)
    };
    let error = client(&registry.host())
        .blob(&repository(&registry.host(), "a"), &wrong)
        .await
        .err()
        .unwrap();
    assert!(matches!(error, RegistryError::Mismatch { .. }), "{error}");
}

#[tokio::test]
async fn a_missing_blob_is_not_found() {
    let registry = ScriptedRegistry::start().await;
    let wanted = descriptor(b"x");
    let error = client(&registry.host())
        .blob(&repository(&registry.host(), "a"), &wanted)
        .await
        .err()
        .unwrap();
    let text = format!(
        "blob {} of {}/a does not exist",
        wanted.digest,
        registry.host()
    );
    assert_eq!(error.to_string(), text);
}
