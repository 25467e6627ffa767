//! Which form a catalog has by the version of its index, and by which rules it is checked.

use iib_request::{AddRequest, FbcOperations};

use crate::catalogs::{Content, catalog_image, package};
use crate::samples::{self, VERSION_LABEL};
use crate::world::World;

/// An index of this version with a catalog of one file.
async fn index(world: &World, version: &str, file: &str) -> String {
    let database = samples::database(&[]);
    let image = catalog_image(&[("a/catalog.json", file)], Some(&database));
    let image = image.label(VERSION_LABEL, version);
    let name = format!("index/of:{version}");
    world.push(&name, &image).await.to_string()
}

async fn add(world: &World, index: String) -> AddRequest {
    let bundle = world.push_bundle("lantern", "0.1.0").await;
    AddRequest {
        from_index: Some(index),
        ..world.add(&bundle).await
    }
}

#[tokio::test]
async fn bundles_come_in_as_their_version_has_them_and_the_rest_stays() {
    let mut world = World::new().await;
    let there = package("a", "1.0.0");
    for (version, has_metadata) in [("v4.16", false), ("v4.17", true)] {
        let request = add(&world, index(&world, version, &there).await).await;
        let record = world.completes(request).await;
        let content = Content::of(&world, &record).await;
        let text = content.text("lantern/catalog.json");
        assert_eq!(text.contains("olm.csv.metadata"), has_metadata, "{version}");
        assert_eq!(
            text.contains("olm.bundle.object"),
            !has_metadata,
            "{version}"
        );
        assert_eq!(content.text("a/catalog.json"), there);
    }
    world.deps.work.csv_metadata_from = "v4.18".parse().unwrap();
    let request = add(&world, index(&world, "v4.17", &there).await).await;
    let record = world.completes(request).await;
    let text = Content::of(&world, &record)
        .await
        .text("lantern/catalog.json");
    assert!(text.contains("olm.bundle.object"), "{text}");
}

#[tokio::test]
async fn a_catalog_is_checked_by_the_rules_of_its_version() {
    let mut world = World::new().await;
    // The newest rules want names of packages in lower case.
    let there = package("Upper", "1.0.0");
    let below = add(&world, index(&world, "v4.15", &there).await).await;
    world.completes(below).await;
    let from = index(&world, "v4.16", &there).await;
    let request = add(&world, from).await;
    let parts = ["Upper", "invalid package name"];
    world.fails_saying(request.clone(), &parts).await;
    world.deps.work.newest_rules_from = "v4.17".parse().unwrap();
    world.completes(request).await;
    // A fragment is checked by those of the index that it is for.
    let fragment = catalog_image(&[("b/catalog.json", &package("Other", "1.0.0"))], None);
    let fragment = world.push("fragments/other:v1", &fragment).await;
    let into = async |version: &str| FbcOperations {
        fbc_fragments: vec![fragment.to_string()],
        from_index: index(&world, version, &package("a", "1.0.0")).await,
        binary_image: Some(world.push_binary(&["amd64"]).await.to_string()),
        ..FbcOperations::default()
    };
    world.completes(into("v4.16").await).await;
    let parts = ["fbc_fragment", "invalid package name", "Other"];
    world.fails_saying(into("v4.17").await, &parts).await;
}
