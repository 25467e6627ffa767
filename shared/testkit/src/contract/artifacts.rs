//! The contract of [`iib_ports::Artifacts`].

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use iib_oci::Digest;
use iib_ports::{ArtifactError, ArtifactKey, ArtifactRoot, Artifacts, Bytestream, Stored};
use iib_request::{LeaseToken, RequestId};

/// Runs the suite; `make` gives a store without artifacts.
pub async fn artifacts<S: Artifacts + 'static>(make: impl AsyncFn() -> Arc<S>) {
    what_is_stored_is_read_back(&*make().await).await;
    what_is_not_there_is_missing_by_name(&*make().await).await;
    a_second_write_replaces_the_first(&*make().await).await;
    a_stream_that_fails_changes_nothing(&*make().await).await;
    a_reader_keeps_what_it_opened(&*make().await).await;
    removing_needs_nothing_to_be_there(&*make().await).await;
    readers_see_one_whole_artifact_while_writers_replace_it(make().await).await;
    the_listing_goes_by_folder_and_request(&*make().await).await;
}

fn key(request: u64) -> ArtifactKey {
    ArtifactKey::layer(RequestId(request), &LeaseToken::new("one"))
}

fn pieces(content: &[u8], step: usize) -> Bytestream {
    let pieces: Vec<_> = content
        .chunks(step)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    // Nobody may ask such a stream again after its end.
    let next = async |mut rest: std::vec::IntoIter<_>| rest.next().map(|piece| (piece, rest));
    stream::unfold(pieces.into_iter(), next).boxed()
}

fn failing(content: &'static [u8]) -> Bytestream {
    let fault = ArtifactError::Unavailable {
        key: key(99),
        action: "read",
        source: "the source ended early".into(),
    };
    stream::iter([Ok(Bytes::from_static(content)), Err(fault)]).boxed()
}

async fn read(store: &dyn Artifacts, key: &ArtifactKey) -> Result<Vec<u8>, ArtifactError> {
    let pieces: Vec<Bytes> = store.get(key).await?.try_collect().await?;
    Ok(pieces.concat())
}

async fn is_missing(store: &dyn Artifacts, wanted: &ArtifactKey) -> bool {
    matches!(read(store, wanted).await, Err(ArtifactError::Missing(key)) if key == *wanted)
}

async fn what_is_stored_is_read_back(store: &dyn Artifacts) {
    let content: Vec<u8> = (0..9_000_000_u32).map(|n| (n % 251) as u8).collect();
    // The last is more than a store may take at once.
    let sizes = [
        (1, 0, 1),
        (2, 5, 2),
        (3, 1_500_000, 65_537),
        (4, 9_000_000, 65_537),
    ];
    for (id, size, step) in sizes {
        let expected = &content[..size];
        let stored = store.put(&key(id), pieces(expected, step)).await.unwrap();
        let digest = Digest::of(expected);
        assert_eq!(
            stored,
            Stored {
                size: size as u64,
                digest
            }
        );
        assert!(read(store, &key(id)).await.unwrap() == expected, "{size}");
    }
}

async fn what_is_not_there_is_missing_by_name(store: &dyn Artifacts) {
    assert!(is_missing(store, &key(1)).await);
    store.put(&key(1), pieces(b"a", 1)).await.unwrap();
    assert!(is_missing(store, &key(2)).await);
}

async fn a_second_write_replaces_the_first(store: &dyn Artifacts) {
    store.put(&key(1), pieces(b"the first", 4)).await.unwrap();
    store.put(&key(1), pieces(b"next", 4)).await.unwrap();
    assert_eq!(read(store, &key(1)).await.unwrap(), b"next");
}

async fn a_stream_that_fails_changes_nothing(store: &dyn Artifacts) {
    let is_the_streams_own = |result: Result<Stored, ArtifactError>| matches!(result, Err(ArtifactError::Unavailable { key: of, .. }) if of == key(99));
    assert!(is_the_streams_own(
        store.put(&key(1), failing(b"half")).await
    ));
    assert!(is_missing(store, &key(1)).await);
    store.put(&key(1), pieces(b"whole", 5)).await.unwrap();
    assert!(is_the_streams_own(
        store.put(&key(1), failing(b"half")).await
    ));
    assert_eq!(read(store, &key(1)).await.unwrap(), b"whole");
}

async fn a_reader_keeps_what_it_opened(store: &dyn Artifacts) {
    let old = vec![1; 2_000_000];
    store.put(&key(1), pieces(&old, 70_000)).await.unwrap();
    let opened = store.get(&key(1)).await.unwrap();
    store.put(&key(1), pieces(b"new", 3)).await.unwrap();
    let read: Vec<Bytes> = opened.try_collect().await.unwrap();
    assert!(read.concat() == old);
}

async fn removing_needs_nothing_to_be_there(store: &dyn Artifacts) {
    store.delete(&key(1)).await.unwrap();
    store.put(&key(1), pieces(b"a", 1)).await.unwrap();
    store.put(&key(2), pieces(b"b", 1)).await.unwrap();
    store.delete(&key(1)).await.unwrap();
    store.delete(&key(1)).await.unwrap();
    assert!(is_missing(store, &key(1)).await);
    assert_eq!(read(store, &key(2)).await.unwrap(), b"b");
    store.put(&key(1), pieces(b"again", 5)).await.unwrap();
    assert_eq!(read(store, &key(1)).await.unwrap(), b"again");
}

async fn readers_see_one_whole_artifact_while_writers_replace_it(store: Arc<dyn Artifacts>) {
    const SIZE: usize = 700_000;
    store.put(&key(1), pieces(&[0; SIZE], 9_999)).await.unwrap();
    let writers = (1..=8_u8).map(|fill| {
        let store = store.clone();
        tokio::spawn(async move {
            let content = vec![fill; SIZE];
            store.put(&key(1), pieces(&content, 9_999)).await.unwrap();
        })
    });
    let writers: Vec<_> = writers.collect();
    for _ in 0..20 {
        let content = read(&*store, &key(1)).await.unwrap();
        let first = content[0];
        assert!(
            content.len() == SIZE && content.iter().all(|byte| *byte == first),
            "a mixture of two artifacts was read"
        );
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

async fn the_listing_goes_by_folder_and_request(store: &dyn Artifacts) {
    let names = [
        "inbox/one two.json",
        "inbox/team/\u{1F980}.json",
        "kept/1/build.log",
        "kept/1/logs/x/a.log",
        "kept/11/build.log",
        "work/1/layer.tar.gz",
    ];
    for (size, name) in (1..).zip(names) {
        let key: ArtifactKey = name.parse().unwrap();
        store.put(&key, pieces(&vec![0; size], 2)).await.unwrap();
    }
    let list = async |root, request: Option<u64>, after: Option<&str>, limit| {
        let after = after.map(|after| after.parse().unwrap());
        let request = request.map(RequestId);
        let listed = store.list(root, request, after.as_ref(), limit).await;
        let listed = listed.unwrap().into_iter();
        listed
            .map(|artifact| (artifact.key.as_str().to_owned(), artifact.size))
            .collect::<Vec<_>>()
    };
    let expected = |numbers: &[usize]| -> Vec<(String, u64)> {
        let named = numbers
            .iter()
            .map(|n| (names[*n].to_owned(), *n as u64 + 1));
        named.collect()
    };
    use ArtifactRoot::{Inbox, Kept, Results, Work};
    assert_eq!(list(Inbox, None, None, 10).await, expected(&[0, 1]));
    assert_eq!(list(Inbox, None, Some(names[0]), 10).await, expected(&[1]));
    assert_eq!(list(Kept, None, None, 10).await, expected(&[2, 3, 4]));
    assert_eq!(list(Kept, None, None, 2).await, expected(&[2, 3]));
    assert_eq!(list(Kept, None, None, 0).await, expected(&[]));
    assert_eq!(list(Kept, Some(1), None, 10).await, expected(&[2, 3]));
    assert_eq!(
        list(Kept, Some(1), Some(names[2]), 10).await,
        expected(&[3])
    );
    assert_eq!(list(Work, Some(2), None, 10).await, expected(&[]));
    assert_eq!(list(Work, None, None, 10).await, expected(&[5]));
    assert_eq!(list(Results, None, None, 10).await, expected(&[]));
}
