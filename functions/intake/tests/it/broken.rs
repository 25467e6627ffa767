//! What clients see when something behind the API is broken.

use std::sync::Arc;

use async_trait::async_trait;
use iib_ports::{
    Created, Listing, NewBatch, Older, OlderQuery, Page, PageQuery, Requests, StoreError,
    Unreadable,
};
use iib_request::{Filters, Record, RequestId, Sought};
use serde_json::json;

use crate::service::{Service, good};

const INTERNAL: &str = "The server encountered an internal error and was unable to complete your request. Either the server is overloaded or there is an error in the application.";

/// A store that cannot do anything.
enum Broken {
    Unreachable,
    Panics,
    /// Its only record is of a newer version.
    Newer,
}

impl Broken {
    fn fail<T>(&self) -> Result<T, StoreError> {
        match self {
            Self::Unreachable => Err(StoreError::Unavailable {
                action: "be opened",
                source: "secret detail".into(),
            }),
            Self::Panics => panic!("secret detail"),
            Self::Newer => Err(StoreError::Malformed {
                id: RequestId(1),
                source: Record::from_stored(r#"{"format": 99}"#).unwrap_err(),
            }),
        }
    }
}

#[async_trait]
impl Requests for Broken {
    async fn create(&self, _: NewBatch) -> Result<Created, StoreError> {
        self.fail()
    }

    async fn made_by(&self, _: &str) -> Result<Vec<Record>, StoreError> {
        self.fail()
    }

    async fn get(&self, _: RequestId) -> Result<Option<Record>, StoreError> {
        self.fail()
    }

    async fn replace(&self, _: Record) -> Result<Record, StoreError> {
        self.fail()
    }
}

#[async_trait]
impl Listing for Broken {
    async fn older(&self, _: &OlderQuery) -> Result<Older, StoreError> {
        let query = PageQuery {
            filters: Filters::default(),
            page: 1,
            per_page: 1,
        };
        Ok(Older {
            items: self.page(&query).await?.items,
            next: None,
        })
    }

    async fn page(&self, _: &PageQuery) -> Result<Page, StoreError> {
        let Self::Newer = self else {
            return self.fail();
        };
        let unreadable = Unreadable {
            id: RequestId(1),
            reason: "secret detail".to_owned(),
        };
        Ok(Page {
            items: vec![Err(unreadable)],
            total: 1,
        })
    }

    async fn is_seen(&self, _: Sought<'_>) -> Result<bool, StoreError> {
        self.fail()
    }
}

fn broken(how: Broken) -> Service {
    let mut service = Service::new();
    let store = Arc::new(how);
    service.deps.requests = store.clone();
    service.listing = store;
    service
}

#[tokio::test]
async fn failures_and_panics_are_error_objects_without_details() {
    for how in [Broken::Unreachable, Broken::Panics] {
        let service = broken(how);
        for path in [
            "/api/v1/builds",
            "/api/v1/builds/1",
            "/api/v1/builds/1/logs",
            "/api/v1/builds/1/diff",
            "/api/v1/builds/1/graph",
        ] {
            service.get(path).await.assert_error(500, INTERNAL);
        }
        service.add(good()).await.assert_error(500, INTERNAL);
        // What needs no store still works.
        let answer = service.get("/nothing").await;
        answer.assert_error(404, "The requested resource was not found");
    }
}

#[tokio::test]
async fn pages_tell_without_details_what_is_broken() {
    let list = broken(Broken::Newer).get("/").await;
    assert_eq!(list.status, 200);
    assert!(
        list.text.contains("cannot be read by this version"),
        "{}",
        list.text
    );
    assert!(!list.text.contains("secret detail") && !list.text.contains("1970"));
    for path in ["/", "/requests/1", "/indexes"] {
        let page = broken(Broken::Unreachable).get(path).await;
        assert_eq!(page.status, 500, "{path}");
        assert!(
            page.text.contains("<h1>The service failed</h1>"),
            "{}",
            page.text
        );
        assert!(!page.text.contains("secret detail"));
    }
}

#[tokio::test]
async fn it_is_told_which_dependency_does_not_answer() {
    let ready = Service::new().get("/readyz").await;
    let all = json!({"requests": "ok", "logs": "ok", "documents": "ok", "queue": "ok"});
    assert_eq!(ready.status, 200);
    assert_eq!(
        ready.json(),
        json!({"status": "ready", "dependencies": all})
    );
    let not_ready = broken(Broken::Unreachable).get("/readyz").await;
    assert_eq!(not_ready.status, 503);
    let told = not_ready.json();
    assert_eq!(told["status"], "not ready");
    assert_eq!(
        (
            &told["dependencies"]["requests"],
            &told["dependencies"]["logs"]
        ),
        (&json!("failed"), &json!("ok"))
    );
    assert!(!not_ready.text.contains("secret detail"));
}

#[tokio::test]
async fn a_request_that_cannot_be_read_stands_in_the_listing() {
    let service = broken(Broken::Newer);
    let listing = service.get("/api/v1/builds?verbose=true").await.json();
    let stub = &listing["items"][0];
    assert_eq!(
        (&stub["id"], &stub["state"]),
        (&json!(1), &json!("in_progress"))
    );
    for member in ["arches", "batch", "request_type", "updated", "user"] {
        assert!(stub.get(member).is_some(), "{member}: {stub}");
    }
    let reason = stub["state_reason"].as_str().unwrap();
    assert!(
        reason.contains("cannot be read by this version"),
        "{reason}"
    );
    assert!(!listing.to_string().contains("secret detail"), "{listing}");
    let one = service.get("/api/v1/builds/1").await;
    one.assert_error(500, INTERNAL);
}

#[tokio::test]
async fn health_is_that_of_the_store() {
    let healthy = Service::new().get("/api/v1/healthcheck").await;
    assert_eq!(healthy.status, 200);
    assert_eq!(
        healthy.json(),
        serde_json::json!({"status": "Health check OK"})
    );
    let answer = broken(Broken::Unreachable).get("/api/v1/healthcheck").await;
    answer.assert_error(500, "Database health check failed.");
}

#[tokio::test]
async fn a_request_that_cannot_be_handed_over_is_kept_as_failed() {
    let service = Service::new();
    service.queue.refuse_next(1);
    let answer = service.add(good()).await;
    answer.assert_error(500, "The scheduling of the build request with ID 1 failed");
    let shown = service.get("/api/v1/builds/1").await.json();
    assert_eq!(shown["state"], "failed");
    assert_eq!(
        shown["state_reason"],
        "The scheduling of the request failed"
    );
}
