//! When results are said to have been created (ADR 15): a client that reuses builds compares dates.

use iib_oci::PullSpec;
use iib_pipeline::{IndexCopy, NewIndex};
use iib_request::{AddRequest, Record};
use jiff::Timestamp;

use crate::samples::{database, index_image};
use crate::world::{INDEX_LIMIT, World};

async fn created(world: &World, record: &Record) -> Timestamp {
    world.config(record).await.created().unwrap()
}

/// Adds a bundle to an index in its place, as `iib index add` does.
async fn overwrite(world: &World, index: &PullSpec, database: Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let registry = &world.deps.registry;
    let copy = IndexCopy::fetch(&**registry, index, folder.path(), INDEX_LIMIT).await;
    let copy = copy.unwrap();
    std::fs::write(copy.database(), database).unwrap();
    let new = NewIndex {
        database: copy.database(),
        origin: Some(&copy),
        binary_image: None,
        format: iib_oci::ImageFormat::Docker,
    };
    new.push(registry, index).await.unwrap();
}

#[tokio::test]
async fn a_chain_of_requests_has_dates_that_grow_and_the_same_ones_each_time() {
    let mut chains = Vec::new();
    for _ in 0..2 {
        let world = World::new().await;
        let versions = ["0.1.0", "0.2.0", "0.3.0"];
        let mut dates = Vec::new();
        let mut index = None;
        for version in versions {
            let bundle = world.push_bundle("lantern", version).await;
            let request = AddRequest {
                from_index: index,
                ..world.add(&bundle).await
            };
            let record = world.completes(request).await;
            dates.push(created(&world, &record).await.as_second());
            index = record.facts.index_image;
        }
        assert_eq!(dates, [0, 1, 2]);
        world
            .clock
            .advance(jiff::SignedDuration::from_hours(10_000));
        chains.push(dates);
    }
    assert_eq!(chains[0], chains[1]);
}

/// The comparison of the release pipeline: it reuses a completed build of the same content unless
/// that was created before the index as it is now (spec clients, "created").
#[tokio::test]
async fn a_build_that_misses_somebody_elses_update_is_stale() {
    let world = World::new().await;
    let published = world.spec("catalog/index:v4.5");
    let created_nowhere = index_image(&database(&[]));
    world.push("catalog/index:v4.5", &created_nowhere).await;
    overwrite(&world, &published, database(&[])).await;

    let from_published = |bundle: AddRequest| AddRequest {
        from_index: Some(published.to_string()),
        ..bundle
    };
    let ours = world.push_bundle("kettle", "1.0.0").await;
    let ours = from_published(world.add(&ours).await);
    let build = world.completes(ours.clone()).await;
    let is_stale = async |build: &Record| {
        let now = world.config_of(&published).await;
        created(&world, build).await < now.created().unwrap()
    };
    assert!(!is_stale(&build).await);
    // Somebody else publishes theirs, with the same index to begin with.
    let theirs = world.spec("bundles/lantern:v0.1.0");
    let theirs = database(&[("lantern", "0.1.0", &theirs)]);
    overwrite(&world, &published, theirs).await;
    assert!(is_stale(&build).await);
    let again = world.completes(ours).await;
    assert!(!is_stale(&again).await);
}
