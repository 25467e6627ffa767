//! What the parameters of a request name, and whether it is there.

use iib_request::AddRequest;
use iib_request::Scope;

use crate::samples;
use crate::world::World;

#[tokio::test]
async fn texts_that_name_no_image_are_refused_with_the_parameter_and_the_text() {
    let world = World::new().await;
    let good = world
        .add(&world.push_bundle("lantern", "0.1.0").await)
        .await;
    for (text, says) in [
        ("lantern:v1", "names no registry: write it as"),
        ("r.example/Lantern:v1", "use lower-case letters"),
        (
            "r.example/lantern",
            "write it as registry/repository:tag or",
        ),
        ("r.example/lantern:v 1", "128 letters, digits"),
        ("r.example/lantern@sha256:12", "valid digest"),
        ("r.example/../lantern:v1", "use lower-case letters"),
        ("", "names no registry"),
    ] {
        let own = |field: &str| AddRequest {
            bundles: if field == "bundles" {
                vec![text.to_owned()]
            } else {
                good.bundles.clone()
            },
            from_index: (field == "from_index").then(|| text.to_owned()),
            binary_image: if field == "binary_image" {
                Some(text.to_owned())
            } else {
                good.binary_image.clone()
            },
            ..good.clone()
        };
        for field in ["bundles", "from_index", "binary_image"] {
            let quoted = (format!("\"{field}\""), format!("`{text}`"));
            world
                .fails_saying(own(field), &[&quoted.0, &quoted.1, says])
                .await;
        }
    }
}

#[tokio::test]
async fn architectures_that_cannot_be_part_of_a_tag_are_refused_by_name() {
    let world = World::new().await;
    let good = world
        .add(&world.push_bundle("lantern", "0.1.0").await)
        .await;
    for arch in ["", "amd64/v8", "../x", "a b", &"a".repeat(33)] {
        let request = AddRequest {
            add_arches: vec![arch.to_owned()],
            ..good.clone()
        };
        let named = format!("`{arch}` is not the name of an architecture: use");
        world
            .fails_saying(request, &["\"add_arches\"", &named])
            .await;
    }
}

#[tokio::test]
async fn images_that_do_not_exist_are_named_in_the_words_users_know_and_no_others() {
    let world = World::new().await;
    let good = world
        .add(&world.push_bundle("lantern", "0.1.0").await)
        .await;
    let digest = "a".repeat(64);
    let nowhere = [
        world.spec("bundles/lantern:v9").to_string(),
        world.spec("no/such/repository:v1").to_string(),
        format!("{}/bundles/lantern@sha256:{digest}", world.host),
    ];
    for image in &nowhere {
        let requests = [
            AddRequest {
                bundles: vec![image.clone()],
                ..good.clone()
            },
            AddRequest {
                from_index: Some(image.clone()),
                ..good.clone()
            },
            AddRequest {
                binary_image: Some(image.clone()),
                ..good.clone()
            },
        ];
        for request in requests {
            assert_eq!(
                world.fails(request).await,
                format!(
                    "Failed to inspect docker://{image}. Make sure it exists and is accessible to IIB."
                )
            );
        }
    }
}

#[tokio::test]
async fn one_missing_bundle_among_good_ones_fails_the_request() {
    let world = World::new().await;
    let mut request = world
        .add(&world.push_bundle("lantern", "0.1.0").await)
        .await;
    let missing = world.spec("bundles/lantern:v9").to_string();
    request.bundles.push(missing.clone());
    world.fails_saying(request, &[&missing]).await;
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_named_and_tried_again() {
    let world = World::new().await;
    // A port that was free a moment ago: nobody listens.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut request = world
        .add(&world.push_bundle("lantern", "0.1.0").await)
        .await;
    request.bundles = vec![format!("{host}/lantern:v1")];
    let image = format!("docker://{host}/lantern:v1");
    let silent = format!("{host} did not serve {host}/lantern:v1 after 3 attempts");
    world
        .fails_saying(
            request,
            &[&image, &silent, "tried 3 times; send the request again"],
        )
        .await;
}

#[tokio::test]
async fn the_scope_may_go_down_and_not_up() {
    let world = World::new().await;
    let bundle = world.push_bundle("lantern", "0.1.0").await;
    let index = samples::index_image(&samples::database(&[]));
    let stage = index.clone().label(samples::SCOPE_LABEL, "stage");
    let strange = index.label(samples::SCOPE_LABEL, "staging");
    let stage = world.push("index/stage:v1", &stage).await.to_string();
    let strange = world.push("index/strange:v1", &strange).await.to_string();
    let good = world.add(&bundle).await;
    let with = |index: &str, scope| AddRequest {
        from_index: Some(index.to_owned()),
        distribution_scope: Some(scope),
        ..good.clone()
    };
    assert_eq!(
        world.fails(with(&stage, Scope::Prod)).await,
        "Cannot set \"distribution_scope\" to prod because from index is already set to stage"
    );
    world
        .fails_saying(
            with(&strange, Scope::Dev),
            &[
                "index/strange@sha256:",
                "`staging`",
                "fix the image's label",
            ],
        )
        .await;
    world.completes(with(&stage, Scope::Dev)).await;
}
