//! Indexes without operators.

use iib_pipeline::intake::{IntakeDeps, IntakeError, diff, graph};
use iib_request::{CreateEmptyIndex, Record, Scope};

use crate::image::{Image, Layer};
use crate::samples::{CONFIGS_LABEL, DATABASE_LABEL, SCOPE_LABEL, VERSION_LABEL, index_image};
use crate::world::{World, told};

/// An index with two packages, and a request to make an empty one of it.
async fn world_and_request() -> (World, Record, CreateEmptyIndex) {
    let world = World::new().await;
    let full = world.index_of_two().await;
    let request = CreateEmptyIndex {
        from_index: full.facts.index_image.clone().unwrap(),
        binary_image: Some(world.push_binary(&["amd64"]).await.to_string()),
        ..CreateEmptyIndex::default()
    };
    (world, full, request)
}

#[tokio::test]
async fn nothing_is_left_but_what_the_index_was_made_for() {
    let (world, full, request) = world_and_request().await;
    let record = world.completes(request.clone()).await;
    assert_eq!(
        told(&record),
        [
            "Resolving the container images",
            "Building the index image for the following arches: amd64",
            "Checking operators present in index image",
            "Removing operators from index image",
            "Getting and updating labels for new index image",
            "Creating the manifest list",
            "The empty index image was successfully created",
        ]
    );
    assert_eq!(world.bundles(&record).await, Vec::<String>::new());
    let facts = &record.facts;
    assert_eq!(facts.from_index_resolved, full.facts.index_image_resolved);
    assert_eq!(facts.distribution_scope.as_deref(), Some("stage"));
    let (image, resolved) = (&facts.index_image, &facts.index_image_resolved);
    assert!(image.as_ref().unwrap().ends_with("/iib-build:2"));
    assert!(resolved.as_ref().unwrap().contains("/iib-build@sha256:"));
    // It overwrites nothing, so there is no copy.
    assert_eq!(facts.internal_index_image_copy, None);
    let config = world.config(&record).await;
    let labels = config.labels();
    assert_eq!(labels[SCOPE_LABEL], "stage");
    assert_eq!(labels[VERSION_LABEL], "v4.5");
    assert_eq!(labels[DATABASE_LABEL], "/database/index.db");

    let intake = IntakeDeps::from(world.deps.clone());
    let changes = diff(&intake, record.id).await.unwrap().to_string();
    for package in ["kettle", "lantern"] {
        let gone = format!("- package {package}\n");
        assert!(changes.contains(&gone), "{changes}");
    }
    let none = graph(&intake, record.id, None).await;
    assert!(matches!(none, Err(IntakeError::NoPackages(_))), "{none:?}");

    // An empty index is as good a beginning as any, and gives the same database.
    let again = CreateEmptyIndex {
        from_index: record.facts.index_image.clone().unwrap(),
        ..request
    };
    let again = world.completes(again).await;
    assert!(diff(&intake, again.id).await.unwrap().is_empty());
    let layer = |record: &Record| record.built.as_ref().unwrap().layers[0].layer.clone();
    assert_eq!(layer(&again), layer(&record));
}

#[tokio::test]
async fn labels_of_the_request_win() {
    let (world, _, request) = world_and_request().await;
    let labels = [
        (VERSION_LABEL, "v4.99"),
        ("version", "v4.99"),
        ("com.example.own", ""),
    ];
    let record = world
        .completes(CreateEmptyIndex {
            labels: Some(labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into()),
            distribution_scope: Some(Scope::Dev),
            ..request
        })
        .await;
    let config = world.config(&record).await;
    let found = config.labels();
    for (name, value) in labels {
        assert_eq!(found[name], value);
    }
    assert_eq!(found[SCOPE_LABEL], "dev");
}

#[tokio::test]
async fn what_cannot_be_is_told() {
    let (world, full, request) = world_and_request().await;
    let layer = Layer::of([("configs/a/catalog.json", "{}".as_bytes())]);
    let image = Image::new("amd64", vec![layer]).label(CONFIGS_LABEL, "/configs");
    let spec = world.push("index/catalog:v1", &image).await;
    let of_catalog = CreateEmptyIndex {
        from_index: spec.to_string(),
        ..request.clone()
    };
    let reason = world.fails(of_catalog).await;
    assert_eq!(
        reason,
        "Cannot create SQLite index image from File-Based Catalog index image"
    );
    let database = index_image(b"no database");
    let spec = world.push("index/broken:v1", &database).await;
    let broken = CreateEmptyIndex {
        from_index: spec.to_string(),
        ..request.clone()
    };
    let parts = [
        "is not an index database",
        spec.as_str().split(':').next().unwrap(),
    ];
    world.fails_saying(broken, &parts).await;
    let wider = CreateEmptyIndex {
        distribution_scope: Some(Scope::Prod),
        ..request
    };
    let raised =
        "Cannot set \"distribution_scope\" to prod because from index is already set to stage";
    assert_eq!(world.fails(wider).await, raised);
    // What it was made of is as it was.
    assert_eq!(world.bundles(&full).await.len(), 2);
}
