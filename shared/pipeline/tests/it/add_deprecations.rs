//! Deprecations that are put into indexes with a file-based catalog.

use iib_request::AddDeprecations;

use crate::catalogs::{Content, deprecations, mixed, own};
use crate::world::{World, told};

#[tokio::test]
async fn deprecations_are_put_into_the_catalog() {
    let world = World::new().await;
    let (index, binary) = mixed(&world).await;
    let request = AddDeprecations {
        operator_package: "lantern".to_owned(),
        deprecation_schema: deprecations("lantern", "use another one"),
        from_index: index.clone(),
        binary_image: Some(binary),
        ..AddDeprecations::default()
    };
    let record = world.completes(request.clone()).await;
    assert_eq!(
        told(&record),
        [
            "Resolving the index images",
            "Resolving the container images",
            "Building the index image for the following arches: amd64",
            "Getting all deprecations present in index image",
            "Adding deprecations to from_index",
            "Creating the manifest list",
            "The deprecation schema was successfully added to the index image",
        ]
    );
    let content = Content::of(&world, &record).await;
    let text = content.text("_operator-deprecations-content/lantern/lantern.json");
    assert!(
        text.contains("use another one") && !text.contains("old"),
        "{text}"
    );
    assert!(content.text("lantern/catalog.json").contains("my.own"));
    for (package, schema, reason) in [
        (
            "opted",
            deprecations("opted", "x"),
            "Cannot add deprecations for opted, It is either not present in index or opted in fbc",
        ),
        (
            "no-such",
            deprecations("no-such", "x"),
            "Cannot add deprecations for no-such, It is either not present in index or opted in fbc",
        ),
        (
            "lantern",
            deprecations("opted", "x"),
            "is about the package \"opted\", and the \"operator_package\" is \"lantern\"",
        ),
        (
            "lantern",
            "[]".to_owned(),
            "the \"deprecation_schema\" cannot be used",
        ),
        (
            "lantern",
            own("lantern"),
            "the \"deprecation_schema\" cannot be used: the deprecations of a package are one object",
        ),
    ] {
        let wrong = AddDeprecations {
            operator_package: package.to_owned(),
            deprecation_schema: schema,
            ..request.clone()
        };
        world.fails_saying(wrong, &[reason]).await;
    }
}
