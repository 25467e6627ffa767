//! How often registries are asked.

use std::collections::BTreeMap;

use iib_request::AddRequest;

use crate::samples::{bundle_files, bundle_image};
use crate::world::World;

/// A bundle of an operator of its own.
fn bundle(n: usize) -> (String, crate::image::Image) {
    let name = format!("lantern{n}");
    let mut files = bundle_files("lantern", "0.1.0");
    for content in files.values_mut() {
        let text = String::from_utf8(content.clone()).unwrap();
        *content = text.replace("lantern", &name).into_bytes();
    }
    let image = bundle_image(&name, &files);
    (name, image)
}

#[tokio::test]
async fn an_add_of_ten_bundles_asks_for_each_manifest_once() {
    let world = World::scripted().await;
    let mut request = AddRequest {
        bundles: Vec::new(),
        ..world.add(&world.spec("bundles/none:v1")).await
    };
    for n in 0..10 {
        let (name, image) = bundle(n);
        let spec = world.push(&format!("bundles/{name}:v0.1.0"), &image).await;
        request.bundles.push(spec.to_string());
    }
    let before = world.script().seen().len();
    let record = world.completes(request).await;
    assert_eq!(world.bundles(&record).await.len(), 10);
    let mut asked: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for seen in world.script().seen().into_iter().skip(before) {
        let target = seen.target.strip_prefix("/v2/bundles/");
        let Some((operator, rest)) = target.and_then(|target| target.split_once('/')) else {
            continue;
        };
        let what = match rest.split_once('/').unwrap().0 {
            "manifests" => "manifest",
            "blobs" => "blob",
            other => panic!("{other}"),
        };
        assert_eq!(seen.method, "GET");
        *asked.entry((operator.to_owned(), what)).or_default() += 1;
    }
    assert_eq!(asked.len(), 20);
    for ((operator, what), times) in asked {
        // Two blobs: the configuration, and the one layer.
        let expected = if what == "manifest" { 1 } else { 2 };
        assert_eq!(times, expected, "{what} of {operator}");
    }
}
