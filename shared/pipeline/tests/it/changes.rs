//! What a request changed, for people to look at.

use iib_pipeline::intake::{IntakeDeps, IntakeError, Offer, diff, graph};
use iib_ports::ArtifactKey;
use iib_request::AddRequest;

use crate::world::World;

#[tokio::test]
async fn a_complete_request_shows_its_diff_and_the_graphs_of_its_packages() {
    let world = World::new().await;
    let lantern = world.push_bundle("lantern", "0.1.0").await;
    let kettle = world.push_bundle("kettle", "1.0.0").await;
    let first = AddRequest {
        bundles: vec![lantern.to_string(), kettle.to_string()],
        ..world.add(&lantern).await
    };
    let first = world.completes(first).await;
    let intake = IntakeDeps::from(world.deps.clone());
    let changes = diff(&intake, first.id).await.unwrap().to_string();
    assert!(
        changes.contains("+ bundle kettle/kettle.v1.0.0\n"),
        "{changes}"
    );
    let several = graph(&intake, first.id, None).await.unwrap_err();
    assert_eq!(
        several.to_string(),
        "\"package\" is missing: the bundles of the request 1 are in several packages: kettle, \
         lantern"
    );

    // The second adds one, and names one that is there already.
    let newer = world.push_bundle("lantern", "0.2.0").await;
    let second = AddRequest {
        bundles: vec![newer.to_string(), kettle.to_string()],
        from_index: first.facts.index_image,
        ..world.add(&newer).await
    };
    let second = world.completes(second).await;
    let changes = diff(&intake, second.id).await.unwrap().to_string();
    assert!(
        changes.ends_with("\n  + bundle lantern/lantern.v0.2.0\n"),
        "{changes}"
    );
    assert!(!changes.contains("kettle"), "{changes}");
    let lantern = graph(&intake, second.id, Some("lantern")).await.unwrap();
    let names: Vec<&str> = lantern.nodes.iter().map(|node| &*node.name).collect();
    assert_eq!(names, ["lantern.v0.2.0", "lantern.v0.1.0"]);
    assert_eq!(lantern.edges.len(), 1);
    let kettle = graph(&intake, second.id, Some("kettle")).await.unwrap();
    assert_eq!(kettle.nodes.len(), 1);
}

#[tokio::test]
async fn a_request_that_adds_nothing_shows_where_its_bundle_is() {
    let world = World::new().await;
    let bundle = world.push_bundle("lantern", "0.1.0").await;
    let first = world.completes(world.add(&bundle).await).await;
    let again = AddRequest {
        from_index: first.facts.index_image.clone(),
        ..world.add(&bundle).await
    };
    let again = world.completes(again).await;
    let intake = IntakeDeps::from(world.deps.clone());
    assert!(diff(&intake, again.id).await.unwrap().is_empty());
    let picture = graph(&intake, again.id, None).await.unwrap();
    assert_eq!(picture, graph(&intake, first.id, None).await.unwrap());
    assert_eq!(picture.package, "lantern");

    let nothing = AddRequest {
        bundles: Vec::new(),
        from_index: first.facts.index_image,
        ..world.add(&bundle).await
    };
    let nothing = world.completes(nothing).await;
    for package in [None, Some("lantern")] {
        let none = graph(&intake, nothing.id, package).await;
        assert!(matches!(none, Err(IntakeError::NoPackages(_))), "{none:?}");
    }
}

#[tokio::test]
async fn a_request_that_fails_after_its_index_was_made_shows_no_change() {
    let mut world = World::new().await;
    let bundle = world.push_bundle("lantern", "0.1.0").await;
    let request = world.add(&bundle).await;
    // No name of an image, which only push finds out.
    world.deps.work.image_push_template = "{registry}/NO NAME:{request_id}".to_owned();
    let record = world.run(request).await;
    assert!((world.artifacts.keys()).contains(&ArtifactKey::changes(record.id)));
    let intake = IntakeDeps::from(world.deps.clone());
    let none = diff(&intake, record.id).await;
    assert!(
        matches!(none, Err(IntakeError::Failed(_, Offer::Diff))),
        "{none:?}"
    );
    let none = graph(&intake, record.id, Some("lantern")).await;
    assert!(
        matches!(none, Err(IntakeError::Failed(_, Offer::Graph))),
        "{none:?}"
    );
}
