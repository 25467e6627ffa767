//! A transaction of which nobody knows whether it took effect.
//!
//! The emulator knows no tokens, so the other end is a server that does with them what DynamoDB's
//! reference says: the same token within ten minutes is the same transaction.

use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use iib_aws::DynamoRequests;
use iib_ports::{Created, NewBatch, Requests as _, StoreError};
use iib_request::{AddRequest, Request};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::stack::clients_at;

#[derive(Default)]
struct Server {
    /// What the next calls are answered with although they take effect, the last one first.
    doubts: Vec<&'static str>,
    /// The token of each transaction that took effect.
    taken: Vec<String>,
    transactions: usize,
}

impl Server {
    fn answer(&mut self, operation: &str, call: &Value) -> (StatusCode, Json<Value>) {
        let simple = match operation {
            "GetItem" | "BatchWriteItem" => Some(json!({})),
            "UpdateItem" => Some(json!({"Attributes": {
                "requests": {"N": "1"}, "batches": {"N": "1"},
            }})),
            _ => None,
        };
        if let Some(answer) = simple {
            return (StatusCode::OK, Json(answer));
        }
        assert_eq!(operation, "TransactWriteItems");
        self.transactions += 1;
        let token = call["ClientRequestToken"].as_str().unwrap().to_owned();
        if !self.taken.contains(&token) {
            self.taken.push(token);
        }
        match self.doubts.pop() {
            None => (StatusCode::OK, Json(json!({}))),
            Some(code) => {
                let status = match code {
                    "InternalServerError" => StatusCode::INTERNAL_SERVER_ERROR,
                    _ => StatusCode::BAD_REQUEST,
                };
                let code = format!("com.amazonaws.dynamodb.v20120810#{code}");
                (status, Json(json!({"__type": code, "message": "wait"})))
            }
        }
    }
}

async fn created_with(doubts: Vec<&'static str>) -> (Result<Created, StoreError>, Server) {
    let server = Arc::new(Mutex::new(Server {
        doubts,
        ..Server::default()
    }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    type Shared = Arc<Mutex<Server>>;
    let answer = async |State(server): State<Shared>, headers: HeaderMap, body: Bytes| {
        let target = headers["x-amz-target"].to_str().unwrap();
        let operation = target.rsplit_once('.').unwrap().1.to_owned();
        let call: Value = serde_json::from_slice(&body).unwrap();
        server.lock().unwrap().answer(&operation, &call)
    };
    let router = axum::Router::new()
        .route("/", post(answer))
        .with_state(server.clone());
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let clients = clients_at(&endpoint).await;
    let requests = DynamoRequests::new(clients.dynamodb(), "iib", clients.s3(), "iib");
    let request = Request::Add(AddRequest::default());
    let new = NewBatch::of(None, request, Timestamp::UNIX_EPOCH);
    let created = requests.create(new).await;
    serving.abort();
    let server = std::mem::take(&mut *server.lock().unwrap());
    (created, server)
}

#[tokio::test]
async fn what_may_have_taken_effect_is_asked_for_again_with_the_same_token() {
    // The SDK itself tries what fails inside the service three times.
    for doubts in [
        vec!["TransactionInProgressException"],
        vec!["TransactionInProgressException"; 5],
        vec!["InternalServerError"; 5],
    ] {
        let sent = doubts.len() + 1;
        let (created, server) = created_with(doubts).await;
        assert!(matches!(created, Ok(Created::New(_))), "{created:?}");
        assert_eq!(server.transactions, sent);
        assert_eq!(server.taken.len(), 1, "{:?}", server.taken);
    }
}

#[tokio::test]
async fn doubt_that_does_not_end_is_told_and_no_second_request_is_made() {
    let (created, server) = created_with(vec!["InternalServerError"; 100]).await;
    assert!(matches!(created, Err(StoreError::Unavailable { .. })));
    assert_eq!(server.taken.len(), 1, "{:?}", server.taken);
}
