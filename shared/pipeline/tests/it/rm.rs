//! Indexes that operators are taken out of.

use iib_pipeline::intake::{IntakeDeps, diff};
use iib_request::{Record, RequestId, RmRequest};

use crate::samples::{SCOPE_LABEL, VERSION_LABEL};
use crate::world::{OUTPUT, World, told};

/// An index with two packages, and a request to take one out of it.
async fn world_and_request() -> (World, Record, RmRequest) {
    let world = World::new().await;
    let full = world.index_of_two().await;
    let request = RmRequest {
        operators: vec!["lantern".to_owned()],
        from_index: full.facts.index_image.clone().unwrap(),
        binary_image: Some(world.push_binary(&["amd64", "arm64"]).await.to_string()),
        ..RmRequest::default()
    };
    (world, full, request)
}

#[tokio::test]
async fn what_was_named_is_gone_and_the_rest_stays() {
    let (world, full, request) = world_and_request().await;
    let record = world
        .completes(RmRequest {
            add_arches: vec!["arm64".to_owned()],
            build_tags: vec!["next".to_owned()],
            ..request.clone()
        })
        .await;
    assert_eq!(
        told(&record),
        [
            "Resolving the container images",
            "Building the index image for the following arches: amd64, arm64",
            "Creating the manifest list",
            "The operator(s) were successfully removed from the index image",
        ]
    );
    let catalog = world
        .catalog(record.facts.index_image.as_ref().unwrap())
        .await;
    let packages: Vec<_> = catalog.packages.keys().cloned().collect();
    assert_eq!(packages, ["kettle"]);
    let facts = &record.facts;
    assert_eq!(facts.from_index_resolved, full.facts.index_image_resolved);
    assert_eq!(facts.distribution_scope.as_deref(), Some("stage"));
    assert_eq!(facts.internal_index_image_copy, facts.index_image);
    let config = world.config(&record).await;
    let labels = config.labels();
    assert_eq!(labels[SCOPE_LABEL], "stage");
    assert_eq!(labels[VERSION_LABEL], "v4.5");
    assert!(world.tags(OUTPUT).await.contains("next"));
    let intake = IntakeDeps::from(world.deps.clone());
    let changes = diff(&intake, record.id).await.unwrap().to_string();
    assert!(changes.contains("- package lantern\n"), "{changes}");
    assert!(!changes.contains("kettle"), "{changes}");
    assert!(world.log(record.id).await.contains("- package lantern\n"));
    // What it was made of is as it was.
    assert_eq!(world.bundles(&full).await.len(), 2);

    // The last one, too.
    let last = RmRequest {
        operators: vec!["kettle".to_owned()],
        from_index: record.facts.index_image.clone().unwrap(),
        ..request
    };
    let empty = world.completes(last).await;
    assert_eq!(world.bundles(&empty).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_cannot_be_taken_out_is_told_and_leaves_nothing_behind() {
    let (world, _, request) = world_and_request().await;
    let unknown = RmRequest {
        operators: ["lantern", "no-such", "none-either"].map(Into::into).into(),
        ..request
    };
    let reason = world.fails(unknown).await;
    assert!(
        reason.starts_with("Error deleting packages from database - "),
        "{reason}"
    );
    let log = world.log(RequestId(2)).await;
    let which = "error removing operator package no-such: no package found";
    assert!(log.contains(which), "{log}");
    for missing in ["no-such", "none-either"] {
        let said = format!("The index has no package {missing}: check its spelling.");
        assert!(reason.contains(&said) && log.contains(&said), "{reason}");
    }
    // Of the first only the index has a tag.
    let tags = world.tags(OUTPUT).await;
    assert_eq!(tags.into_iter().collect::<Vec<_>>(), ["1", "1-amd64"]);
}
