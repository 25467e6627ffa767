use serde_json::json;

use crate::service::{Service, good};

const UNAUTHORIZED: &str = "The server could not verify that you are authorized to access the URL requested. You either supplied the wrong credentials (e.g. a bad password), or your browser doesn't understand how to supply the credentials required.";

fn login_demanded() -> Service {
    let mut service = Service::new();
    service.deps.api.login_disabled = false;
    service
}

#[tokio::test]
async fn changing_anything_needs_a_user_where_login_is_demanded() {
    let service = login_demanded();
    service.add(good()).await.assert_error(401, UNAUTHORIZED);
    service
        .add_as("", good())
        .await
        .assert_error(401, UNAUTHORIZED);
    assert_eq!(service.get("/api/v1/builds").await.status, 200);
    assert_eq!(service.add_as("ann", good()).await.json()["user"], "ann");
}

#[tokio::test]
async fn login_comes_before_the_body_and_after_path_and_method() {
    let service = login_demanded();
    let bad_body = service.call("POST", "/api/v1/builds/add").await;
    bad_body.assert_error(401, UNAUTHORIZED);
    let method = service.get("/api/v1/builds/add").await;
    method.assert_error(405, "The method is not allowed for the requested URL.");
    let path = service.call("POST", "/api/v1/builds/nothing").await;
    path.assert_error(404, "The requested resource was not found");
}

#[tokio::test]
async fn a_user_counts_also_where_none_is_demanded() {
    let service = Service::new();
    let mut overwrite = good();
    overwrite["overwrite_from_index"] = json!(true);
    let answer = service.add_as("ann", overwrite.clone()).await;
    answer.assert_error(
        403,
        "You must set \"overwrite_from_index_token\" to use \"overwrite_from_index\"",
    );
    assert_eq!(service.add(overwrite).await.status, 201);
    assert_eq!(service.add_as("ann", good()).await.json()["user"], "ann");
}

#[tokio::test]
async fn the_binary_image_is_optional_where_the_settings_have_some() {
    let mut service = Service::new();
    service
        .deps
        .binary_images
        .insert("prod".to_owned(), [].into());
    let mut payload = good();
    payload["binary_image"] = json!(null);
    let answer = service.add(payload).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["binary_image"]),
        (201, &json!(null))
    );
}
