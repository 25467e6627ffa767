//! Listings piece by piece.

use serde_json::Value;

use crate::service::{Service, good};

/// Numbers of a piece, and the path of the next one.
async fn piece(service: &Service, path: &str) -> (Vec<u64>, Option<String>) {
    let answer = service.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let document = answer.json();
    let items = document["items"].as_array().unwrap();
    let ids = items
        .iter()
        .map(|item| item["id"].as_u64().unwrap())
        .collect();
    let next = document["meta"]["next"].as_str();
    let next = next.map(|url| url.split_once("/api").unwrap().1);
    assert_eq!(
        document["meta"]["next_cursor"] == Value::Null,
        next.is_none()
    );
    (ids, next.map(|rest| format!("/api{rest}")))
}

#[tokio::test]
async fn new_requests_do_not_move_what_a_cursor_names() {
    let service = Service::new();
    for user in ["ann", "bob", "ann", "ann", "bob", "ann", "ann"] {
        service.add_as(user, good()).await;
    }
    let first = "/api/v1/builds?cursor=&per_page=2&user=ann&verbose=true";
    let (ids, next) = piece(&service, first).await;
    assert_eq!(ids, [7, 6]);
    service.add_as("ann", good()).await;
    let next = next.unwrap();
    assert!(
        next.contains("user=ann") && next.contains("verbose=true"),
        "{next}"
    );
    let (ids, next) = piece(&service, &next).await;
    assert_eq!(ids, [4, 3]);
    let (ids, next) = piece(&service, &next.unwrap()).await;
    assert_eq!((ids, next), (vec![1], None));
    let (none, next) = piece(&service, "/api/v1/builds?cursor=1").await;
    assert!(none.is_empty() && next.is_none());
}

#[tokio::test]
async fn what_is_no_cursor_is_told() {
    let service = Service::new();
    for cursor in ["x", "-1", "1.5", "99999999999999999999"] {
        let answer = service
            .get(&format!("/api/v1/builds?cursor={cursor}"))
            .await;
        answer.assert_error(
            400,
            &format!("\"cursor\" is \"{cursor}\", which is none: leave its value out for the newest requests, then take \"next_cursor\" of each answer"),
        );
    }
    let both = service.get("/api/v1/builds?cursor=&page=1").await;
    both.assert_error(
        400,
        "\"cursor\" and \"page\" cannot be given together: the one names a place, the other counts from the newest",
    );
    let odd = service.get("/api/v1/builds?cursor=&per_page=x").await;
    assert_eq!(odd.status, 404);
}
