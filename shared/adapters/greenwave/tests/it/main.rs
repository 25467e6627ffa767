//! Questions to something that answers over a real connection.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use iib_greenwave::{Greenwave, GreenwaveError};
use iib_ports::{Class, Classify, GateError, Gates};
use serde_json::{Map, Value, json};

/// Nothing goes through a proxy.
fn direct() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy()
}

/// Something that answers each question with the question, or with what it asks for.
async fn answering() -> String {
    let decide = |Json(question): Json<Value>| async move {
        match question["subject_identifier"].as_str() {
            Some("gone") => (
                StatusCode::NOT_FOUND,
                "{\"message\": \"no such build\"}".to_owned(),
            ),
            Some("long") => (StatusCode::OK, "x".repeat(2 << 20)),
            _ => (StatusCode::OK, question.to_string()),
        }
    };
    let app = Router::new().route("/api/v1.0/decision", post(decide));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/api/v1.0//", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn question(subject: &str) -> Map<String, Value> {
    let question = json!({"decision_context": "iib", "subject_identifier": subject});
    question.as_object().cloned().unwrap()
}

#[tokio::test]
async fn whatever_is_answered_comes_back() {
    let gates = Greenwave::new(&answering().await, direct()).unwrap();
    let asked = question("a-1-2");
    let answer = gates.decide(&asked).await.unwrap();
    assert_eq!(answer.status, 200);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body, Value::Object(asked));
    let answer = gates.decide(&question("gone")).await.unwrap();
    assert_eq!(
        (answer.status, &*answer.body),
        (404, "{\"message\": \"no such build\"}")
    );
}

#[tokio::test]
async fn an_answer_without_end_is_not_read() {
    let gates = Greenwave::new(&answering().await, direct()).unwrap();
    let refused = gates.decide(&question("long")).await.unwrap_err();
    assert!(matches!(refused, GateError::TooLong { .. }), "{refused}");
    assert_eq!(refused.class(), Class::Reject);
}

#[tokio::test]
async fn who_does_not_answer_is_asked_again_later() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let gates = Greenwave::new(&address, direct()).unwrap();
    let failed = gates.decide(&question("a")).await.unwrap_err();
    assert_eq!(failed.class(), Class::Retry);
    assert_eq!(
        failed.to_string(),
        format!("{address}/decision cannot be asked")
    );
}

#[test]
fn an_address_that_is_none_is_told() {
    for address in [
        "",
        "greenwave",
        "ftp://greenwave.example.com",
        "https://ann:secret@greenwave.example.com",
        "https://greenwave.example.com/a?b",
        "https://greenwave.example.com/a#b",
    ] {
        let refused = Greenwave::new(address, direct()).unwrap_err();
        assert!(!refused.to_string().contains("secret"));
        assert!(matches!(refused, GreenwaveError::Address), "{refused}");
    }
}
