use iib_ports::{ArtifactKey, Requests};
use iib_request::RequestId;
use jiff::SignedDuration;
use serde_json::json;

use crate::service::{Service, good};

const DIFF: &str = "/api/v1/builds/1/diff";
const GRAPH: &str = "/api/v1/builds/1/graph";

const CHANGES: &str =
    r#"{"changes":[{"change":"bundle_added","package":"alpha","bundle":"alpha.v1.0.0"}]}"#;

/// One package with one bundle.
const GRAPHS: &str = r#"{"alpha":{"package":"alpha","channels":[{"name":"stable","is_default":true,"is_deprecated":false,"head":0,"nodes":[0]}],"nodes":[{"name":"alpha.v1.0.0","state":"present"}],"edges":[]}}"#;

/// A service with a complete request, of which these graphs are kept.
async fn service_with(graphs: &str) -> Service {
    let service = Service::new();
    service.add(good()).await;
    service.complete(1).await;
    keep(&service, graphs).await;
    service
}

async fn keep(service: &Service, graphs: &str) {
    let changes = format!("{{\"diff\":{CHANGES},\"graphs\":{graphs}}}");
    let key = ArtifactKey::changes(RequestId(1));
    service.store(&key, changes).await;
}

/// The same with one package `alpha` in them.
pub(crate) async fn service_with_alpha() -> Service {
    service_with(GRAPHS).await
}

#[tokio::test]
async fn a_diff_is_for_machines_and_for_people() {
    let service = service_with_alpha().await;
    for path in [DIFF, "/api/v1/builds/1/diff?format=json"] {
        let answer = service.get(path).await;
        assert_eq!((answer.status.as_u16(), &*answer.text), (200, CHANGES));
        assert_eq!(answer.media_type, "application/json");
    }
    let answer = service.get("/api/v1/builds/1/diff?format=text").await;
    assert_eq!(
        answer.text,
        "~ package alpha\n  + bundle alpha/alpha.v1.0.0\n"
    );
    assert_eq!(answer.media_type, "text/plain; charset=utf-8");
    let answer = service.get("/api/v1/builds/1/diff?format=yaml").await;
    answer.assert_error(
        400,
        "\"format\" is \"yaml\", but has to be one of: json, text, markdown",
    );
}

#[tokio::test]
async fn changes_that_an_older_version_kept_are_still_shown() {
    let service = Service::new();
    service.add(good()).await;
    service.complete(1).await;
    let kept = r#"{"diff":{"changes":[{"change":"package_added","package":"alpha"},
        {"change":"channel_head","package":"alpha","channel":"stable","before":null,"after":"a.v1"},
        {"change":"bundle_added","package":"alpha","bundle":"a.v1"}]},"graphs":{}}"#;
    let key = ArtifactKey::changes(RequestId(1));
    service.store(&key, kept.to_owned()).await;
    let answer = service.get("/api/v1/builds/1/diff?format=text").await;
    assert_eq!(
        answer.text,
        "+ package alpha\n  ~ channel alpha/stable: head none -> a.v1\n  + bundle alpha/a.v1\n"
    );
    // One that it cannot have written is a fault of the store.
    let unknown = kept.replace("bundle_added", "bundle_sung");
    service.store(&key, unknown).await;
    assert_eq!(service.get(DIFF).await.status, 500);
}

#[tokio::test]
async fn a_graph_comes_in_every_language() {
    let service = service_with_alpha().await;
    for (query, media_type, begins) in [
        ("", "image/svg+xml", "<svg "),
        ("?package=alpha", "image/svg+xml", "<svg "),
        ("?format=svg&package=alpha", "image/svg+xml", "<svg "),
        (
            "?format=dot",
            "text/vnd.graphviz; charset=utf-8",
            "digraph \"alpha\" {",
        ),
        (
            "?format=mermaid",
            "text/plain; charset=utf-8",
            "flowchart TD\n",
        ),
        (
            "?format=json",
            "application/json",
            "{\"package\":\"alpha\",",
        ),
    ] {
        let answer = service.get(&format!("{GRAPH}{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
        assert_eq!(answer.media_type, media_type, "{query}");
        assert!(answer.text.starts_with(begins), "{query}: {}", answer.text);
        assert!(answer.text.contains("alpha.v1.0.0"), "{query}");
        assert!(answer.policy.is_some() || query == "?format=json");
    }
    let answer = service.get(&format!("{GRAPH}?format=png")).await;
    answer.assert_error(
        400,
        "\"format\" is \"png\", but has to be one of: svg, dot, mermaid, json",
    );
}

#[tokio::test]
async fn which_package_is_meant_has_to_be_clear() {
    let empty = |package| json!({"package": package, "channels": [], "nodes": [], "edges": []});
    let graphs = json!({"alpha": empty("alpha"), "beta": empty("beta"), "large": null});
    let service = service_with(&graphs.to_string()).await;
    service.get(GRAPH).await.assert_error(
        400,
        "\"package\" is missing: the bundles of the request 1 are in several packages: alpha, beta, large",
    );
    let answer = service.get(&format!("{GRAPH}?package=gamma")).await;
    answer.assert_error(
        400,
        "\"package\" is \"gamma\", but the bundles of the request 1 are in: alpha, beta, large",
    );
    let answer = service.get(&format!("{GRAPH}?package=large")).await;
    answer.assert_error(
        413,
        "The graph of the package \"large\" is too large for an answer: `iib catalog graph` draws it from the index image",
    );
    let beta = service
        .get(&format!("{GRAPH}?package=beta&format=json"))
        .await;
    assert_eq!(beta.json(), empty("beta"));

    let service = service_with("{}").await;
    service.get(GRAPH).await.assert_error(
        400,
        "The request 1 names no bundles, so there is no package to draw: `iib catalog graph` draws those of its index",
    );
}

#[tokio::test]
async fn a_picture_too_large_for_an_answer_says_what_to_do() {
    let nodes: Vec<_> = (0..40_000)
        .map(|n| json!({"name": format!("alpha.v1.0.{n}"), "state": "present"}))
        .collect();
    let graphs =
        json!({"alpha": {"package": "alpha", "channels": [], "nodes": nodes, "edges": []}});
    let service = service_with(&graphs.to_string()).await;
    service.get(GRAPH).await.assert_error(
        413,
        "The answer would be larger than 5242880 bytes: ask for another \"format\", or draw the index image with `iib catalog graph`.",
    );
    assert_eq!(
        service.get(&format!("{GRAPH}?format=dot")).await.status,
        200
    );
}

#[tokio::test]
async fn there_is_nothing_before_the_end_after_a_failure_and_when_it_is_gone() {
    let service = Service::new();
    service.add(good()).await;
    for (path, offer) in [(DIFF, "diff"), (GRAPH, "graph")] {
        service.get(path).await.assert_error(
            400,
            &format!("The request 1 is not complete yet. {offer} will be available once the request is complete."),
        );
    }
    service.complete(1).await;
    for (path, offer) in [(DIFF, "diff"), (GRAPH, "graph")] {
        service.get(path).await.assert_error(
            404,
            &format!("The request 1 has no {offer}: an older version of this service completed it, or it was removed; what it made is in the registry"),
        );
    }
    service.clock.advance(SignedDuration::from_hours(73));
    for path in [DIFF, GRAPH] {
        let answer = service.get(path).await;
        answer.assert_error(410, "The data for the build request 1 no longer exist");
    }

    // Mutate may have kept something before push failed.
    let service = Service::new();
    service.add(good()).await;
    service.end(1).await;
    keep(&service, GRAPHS).await;
    for (path, offer) in [(DIFF, "diff"), (GRAPH, "graph")] {
        service.get(path).await.assert_error(
            404,
            &format!(
                "The request 1 failed and made nothing, so it has no {offer}: its logs say why"
            ),
        );
    }
}

#[tokio::test]
async fn what_is_damaged_in_the_store_is_our_fault() {
    let service = service_with("[]").await;
    for path in [DIFF, GRAPH] {
        let answer = service.get(path).await;
        assert_eq!(answer.status, 500);
        assert!(!answer.text.contains("kept/"), "{}", answer.text);
    }
    // It is nobody's once the record says that the data is gone.
    let service = Service::new();
    service.add(good()).await;
    service.complete(1).await;
    let mut record = service.requests.get(RequestId(1)).await.unwrap().unwrap();
    record.data_removed = true;
    service.requests.replace(record).await.unwrap();
    let answer = service.get(DIFF).await;
    answer.assert_error(410, "The data for the build request 1 no longer exist");
}
