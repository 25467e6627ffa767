//! Tokens of an issuer that speaks over a real connection.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use iib_issuer::{Issuer, IssuerError};
use iib_ports::{Class, Classify, Clock as _, SystemClock, TokenError, Tokens};
use iib_testkit::issuer::TestIssuer;
use serde_json::{Value, json};

/// Seconds of the clock.
fn now() -> i64 {
    SystemClock.now().as_second()
}

/// Nothing goes through a proxy.
fn direct() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy()
}

fn believing(issuer: &TestIssuer) -> Issuer {
    let audiences = ["iib".to_owned(), "catalogs".to_owned()];
    Issuer::new(&issuer.address, audiences, direct()).unwrap()
}

async fn refusal(verifier: &Issuer, token: &str) -> String {
    let error = verifier.claims(token).await.unwrap_err();
    assert_eq!(error.class(), Class::Reject, "{error}");
    for part in token.split('.').filter(|part| part.len() > 3) {
        assert!(!error.to_string().contains(part), "{error}");
    }
    error.to_string()
}

#[tokio::test]
async fn a_token_of_the_issuer_says_who_somebody_is() {
    let issuer = TestIssuer::start().await;
    let verifier = believing(&issuer);
    let token = issuer.token("iib", &json!({"sub": "1", "username": "ann"}));
    let claims = verifier.claims(&token).await.unwrap();
    assert_eq!(claims["username"], "ann");
    // Several audiences, and what Cognito's access tokens have in their place.
    for claims in [
        json!({"aud": ["x", "catalogs"]}),
        json!({"aud": null, "client_id": "iib"}),
    ] {
        let token = issuer.token("x", &claims);
        let verified = verifier.claims(&token).await;
        assert!(verified.is_ok(), "{claims}");
    }
    assert_eq!(issuer.reads(), 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_said_without_it() {
    let issuer = TestIssuer::start().await;
    let verifier = believing(&issuer);
    let now = now();
    let cases: [(Value, &str); 8] = [
        (json!({"exp": now - 120}), "it has expired"),
        (
            json!({"exp": null}),
            "it does not say when it expires, in seconds",
        ),
        (json!({"nbf": now + 120}), "it is not valid yet"),
        (
            json!({"iss": "https://other.example"}),
            "it is of another issuer",
        ),
        (json!({"iss": null}), "it does not say whose it is"),
        (json!({"aud": "other"}), "it is for another audience"),
        (
            json!({"aud": "other", "client_id": "iib"}),
            "it is for another audience",
        ),
        (json!({"aud": null}), "it is for another audience"),
    ];
    for (claims, text) in cases {
        let said = refusal(&verifier, &issuer.token("iib", &claims)).await;
        assert_eq!(
            said,
            format!("the token is not accepted: {text}"),
            "{claims}"
        );
    }
    let good = issuer.token("iib", &json!({"sub": "1"}));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let other = issuer.token("iib", &json!({"sub": "2"}));
    let (_, others) = other.rsplit_once('.').unwrap();
    assert_ne!(signature, others);
    let none = "eyJhbGciOiJub25lIn0.e30.";
    let secret = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImZpcnN0In0.e30.c2ln";
    for (token, text) in [
        (format!("{message}.{others}"), "its signature is wrong"),
        (format!("{message}."), "its signature is wrong"),
        (
            format!("{header}.e30.{signature}"),
            "its signature is wrong",
        ),
        (
            none.to_owned(),
            "it is no JSON Web Token, or signed in a way that is not known here",
        ),
        (
            secret.to_owned(),
            "it is not signed with one of a pair of keys",
        ),
        (
            String::new(),
            "it is no JSON Web Token, or signed in a way that is not known here",
        ),
        (
            "a.b.c".to_owned(),
            "it is no JSON Web Token, or signed in a way that is not known here",
        ),
        ("x".repeat(20_000), "it is longer than 16384 bytes"),
    ] {
        let said = refusal(&verifier, &token).await;
        assert_eq!(
            said,
            format!("the token is not accepted: {text}"),
            "{token:.80}"
        );
    }
    // A key of the same name that the issuer has never told of.
    issuer.forge();
    let forged = issuer.token("iib", &json!({"sub": "1"}));
    let said = refusal(&verifier, &forged).await;
    assert!(said.contains("signature"), "{said}");
}

#[tokio::test]
async fn a_new_key_is_found_and_is_not_looked_for_again_and_again() {
    let issuer = TestIssuer::start().await;
    let verifier = believing(&issuer);
    let old = issuer.token("iib", &json!({}));
    verifier.claims(&old).await.unwrap();
    issuer.change_key("second");
    let new = issuer.token("iib", &json!({}));
    // Whoever invents names of keys has nobody ask for them: one look a minute.
    assert!(refusal(&verifier, &new).await.contains("no such key"));
    assert_eq!(issuer.reads(), 1);
    pass(Duration::from_secs(61)).await;
    verifier.claims(&new).await.unwrap();
    assert_eq!(issuer.reads(), 2);
    // The old key is gone.
    assert!(refusal(&verifier, &old).await.contains("no such key"));
    assert_eq!(issuer.reads(), 2);
}

#[tokio::test]
async fn keys_outlast_an_issuer_that_is_down_and_are_read_again() {
    let issuer = TestIssuer::start().await;
    issuer.set_down(true);
    let verifier = believing(&issuer);
    let token = issuer.token("iib", &json!({"exp": now() + 1_000_000}));
    let error = verifier.claims(&token).await.unwrap_err();
    assert!(matches!(error, TokenError::NoKeys { .. }), "{error}");
    assert_eq!(error.class(), Class::Retry);
    let told = iib_ports::chain(&error);
    assert!(
        told.contains(&issuer.address) && told.contains("503"),
        "{told}"
    );
    // It is back, and is asked again after some seconds.
    issuer.set_down(false);
    let error = verifier.claims(&token).await.unwrap_err();
    assert!(iib_ports::chain(&error).contains("503"), "{error}");
    pass(Duration::from_secs(11)).await;
    verifier.claims(&token).await.unwrap();
    // Down again: for a day what it said last counts.
    issuer.set_down(true);
    pass(Duration::from_secs(23 * 60 * 60)).await;
    verifier.claims(&token).await.unwrap();
    pass(Duration::from_secs(2 * 60 * 60)).await;
    let error = verifier.claims(&token).await.unwrap_err();
    assert!(matches!(error, TokenError::NoKeys { .. }), "{error}");
}

#[tokio::test]
async fn an_issuer_is_what_it_says_it_is() {
    let issuer = TestIssuer::start().await;
    issuer.set_name("http://127.0.0.1:1/other");
    let error = believing(&issuer)
        .claims(&issuer.token("iib", &json!({})))
        .await
        .unwrap_err();
    let told = iib_ports::chain(&error);
    assert!(
        told.contains("says that it is http://127.0.0.1:1/other"),
        "{told}"
    );
    for address in ["", "id.example.com", "file:///etc/passwd", "https://"] {
        let made = Issuer::new(address, ["iib".to_owned()], direct());
        assert!(matches!(made, Err(IssuerError::Address(_))), "{address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_an_issuer_that_hangs_waits_for_one_attempt() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let hanging = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((call, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            kept.push(call);
        }
    });
    let other = TestIssuer::start().await;
    let token = other.token("iib", &json!({"iss": address}));
    let verifier = Issuer::new(&address, ["iib".to_owned()], direct()).unwrap();
    let waiting = (0..20).map(|_| verifier.claims(&token));
    for result in futures::future::join_all(waiting).await {
        let error = result.unwrap_err();
        assert!(matches!(error, TokenError::NoKeys { .. }), "{error}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    hanging.abort();
}

#[tokio::test]
async fn whoever_goes_away_leaves_an_answer_for_those_who_come() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let other = TestIssuer::start().await;
    let token = other.token("iib", &json!({"iss": address}));
    let verifier = Issuer::new(&address, ["iib".to_owned()], direct()).unwrap();
    let gone = tokio::time::timeout(Duration::from_millis(50), verifier.claims(&token)).await;
    assert!(gone.is_err());
    let error = verifier.claims(&token).await.unwrap_err();
    assert!(
        iib_ports::chain(&error).contains("did not come to an end"),
        "{error}"
    );
}

#[tokio::test]
async fn keys_that_are_known_are_used_while_others_are_looked_for() {
    let issuer = TestIssuer::start().await;
    let verifier = believing(&issuer);
    let token = issuer.token("iib", &json!({}));
    verifier.claims(&token).await.unwrap();
    // An issuer that has lost its keys for a moment has not lost those that are known.
    issuer.change_key("second");
    let unknown = issuer.token("iib", &json!({}));
    issuer.lose_keys();
    pass(Duration::from_secs(61)).await;
    let error = verifier.claims(&unknown).await.unwrap_err();
    assert!(matches!(error, TokenError::NoKeys { .. }), "{error}");
    assert!(iib_ports::chain(&error).contains("has no key that can be used"));
    assert_eq!(issuer.reads(), 2);
    verifier.claims(&token).await.unwrap();
}

/// Lets this much time pass for the verifier; connections need the real clock.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}
