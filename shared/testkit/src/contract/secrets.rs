//! The contract of [`iib_ports::Secrets`].

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;
use iib_ports::{SECRET_LIMIT, Secret, SecretError, Secrets};
use iib_request::SecretRef;
use jiff::{SignedDuration, Timestamp};

/// Runs the suite; `make` gives a store without secrets, and `now` is its time.
pub async fn secrets<S: Secrets + 'static>(make: impl AsyncFn() -> Arc<S>, now: Timestamp) {
    let tomorrow = now.saturating_add(SignedDuration::from_hours(24)).unwrap();
    what_is_kept_is_read_back(&*make().await, tomorrow).await;
    what_was_forgotten_is_gone(&*make().await, tomorrow).await;
    equal_secrets_have_references_of_their_own(make().await, tomorrow).await;
    a_secret_has_a_limit(&*make().await, tomorrow).await;
}

async fn what_is_kept_is_read_back(store: &dyn Secrets, until: Timestamp) {
    for text in [
        "",
        "user:password",
        "\u{1F980}: \n\"",
        &"x".repeat(SECRET_LIMIT),
    ] {
        let secret = Secret::new(text);
        let reference = store.keep(&secret, until).await.unwrap();
        assert!(text.is_empty() || !reference.0.contains(text));
        assert_eq!(store.read(&reference).await.unwrap(), Some(secret));
    }
    let unknown = SecretRef("0123456789abcdef0123456789abcdef".to_owned());
    assert_eq!(store.read(&unknown).await.unwrap(), None);
}

async fn what_was_forgotten_is_gone(store: &dyn Secrets, until: Timestamp) {
    let one = store.keep(&Secret::new("one"), until).await.unwrap();
    let two = store.keep(&Secret::new("two"), until).await.unwrap();
    store.forget(&one).await.unwrap();
    store.forget(&one).await.unwrap();
    assert_eq!(store.read(&one).await.unwrap(), None);
    assert_eq!(store.read(&two).await.unwrap(), Some(Secret::new("two")));
}

async fn equal_secrets_have_references_of_their_own(store: Arc<dyn Secrets>, until: Timestamp) {
    const MANY: usize = 20;
    let tasks = (0..MANY).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.keep(&Secret::new("same"), until).await.unwrap() })
    });
    let references: BTreeSet<SecretRef> = join_all(tasks)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(references.len(), MANY);
}

async fn a_secret_has_a_limit(store: &dyn Secrets, until: Timestamp) {
    let large = Secret::new("x".repeat(SECRET_LIMIT + 1));
    let refused = store.keep(&large, until).await;
    assert!(
        matches!(refused, Err(SecretError::TooLarge { size }) if size == SECRET_LIMIT + 1),
        "{refused:?}"
    );
}
