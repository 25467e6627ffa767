//! Callers who show a token of the issuer that the settings trust.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, header};
use iib_issuer::Issuer;
use iib_ports::Requests;
use iib_request::RequestId;
use iib_testkit::issuer::TestIssuer;
use serde_json::json;

use crate::service::{Answer, Service, add, at, good};

const UNAUTHORIZED: &str = "The server could not verify that you are authorized to access the URL requested. You either supplied the wrong credentials (e.g. a bad password), or your browser doesn't understand how to supply the credentials required.";

async fn believing() -> (Service, TestIssuer) {
    asking_for(Vec::new()).await
}

/// One that believes tokens with one of these scopes.
async fn asking_for(scopes: Vec<String>) -> (Service, TestIssuer) {
    let issuer = TestIssuer::start().await;
    let mut service = Service::new();
    service.deps.api.login_disabled = false;
    let client = reqwest::Client::builder().no_proxy();
    let tokens = Issuer::new(&issuer.address, ["iib".to_owned()], client)
        .unwrap()
        .with_scopes(scopes);
    service.tokens = Some(Arc::new(tokens));
    (service, issuer)
}

async fn with(service: &Service, mut call: Request<Body>, authorization: &[&str]) -> Answer {
    for value in authorization {
        let value = (*value).try_into().unwrap();
        call.headers_mut().append(header::AUTHORIZATION, value);
    }
    service.ask(call).await
}

#[tokio::test]
async fn a_token_names_the_user() {
    let (mut service, issuer) = believing().await;
    for (claims, user) in [
        (
            json!({"sub": "1", "cognito:username": "bob", "username": "ann"}),
            "ann",
        ),
        (json!({"sub": "1", "cognito:username": "bob"}), "bob"),
        (json!({"sub": "1", "username": ""}), "1"),
    ] {
        let token = issuer.token("iib", &claims);
        for scheme in ["Bearer", "bearer"] {
            let answer = with(&service, add(&good()), &[&format!("{scheme} {token}")]).await;
            assert_eq!(answer.json()["user"], user);
        }
    }
    service.deps.api.user_claims = vec!["email".to_owned()];
    let claims = json!({"sub": "1", "email": "ann@example.com"});
    let token = format!("Bearer {}", issuer.token("iib", &claims));
    let answer = with(&service, add(&good()), &[&token]).await;
    assert_eq!(answer.json()["user"], "ann@example.com");
    // It is kept nowhere.
    let id = answer.json()["id"].as_u64().unwrap();
    let record = service.requests.get(RequestId(id)).await.unwrap().unwrap();
    assert!(!record.to_stored().unwrap().contains(&token[7..]));
    assert!(!answer.text.contains(&token[7..]));
}

#[tokio::test]
async fn without_a_good_token_nobody_changes_anything_and_all_may_read() {
    let (service, issuer) = believing().await;
    let good_token = format!("Bearer {}", issuer.token("iib", &json!({"sub": "1"})));
    let others = format!("Bearer {}", issuer.token("other", &json!({"sub": "1"})));
    let nobody = format!("Bearer {}", issuer.token("iib", &json!({"sub": 1})));
    let long = issuer.token("iib", &json!({"sub": "a".repeat(513)}));
    let long = format!("Bearer {long}");
    let cases: [(&[&str], &str); 7] = [
        (
            &[&long],
            r#"Bearer error="invalid_token", error_description="its user's name is too long""#,
        ),
        (&[], "Bearer"),
        (&["Negotiate abc"], "Bearer"),
        (
            &["Bearer x"],
            r#"Bearer error="invalid_token", error_description="it is no JSON Web Token, or signed in a way that is not known here""#,
        ),
        (
            &[&others],
            r#"Bearer error="invalid_token", error_description="it is for another audience""#,
        ),
        (
            &[&nobody],
            r#"Bearer error="invalid_token", error_description="it does not say who its user is""#,
        ),
        (
            &[&good_token, &good_token],
            r#"Bearer error="invalid_token", error_description="there are several""#,
        ),
    ];
    for (authorization, challenge) in cases {
        let answer = with(&service, add(&good()), authorization).await;
        answer.assert_error(401, UNAUTHORIZED);
        assert_eq!(answer.challenge.as_deref(), Some(challenge));
        let reading = at("GET", "/api/v1/builds").body(Body::empty()).unwrap();
        assert_eq!(with(&service, reading, authorization).await.status, 200);
    }
}

#[tokio::test]
async fn a_token_is_looked_at_after_path_and_method_and_before_the_body() {
    let (service, issuer) = believing().await;
    for (method, path, status) in [
        ("POST", "/api/v1/builds/nothing", 404),
        ("PUT", "/api/v1/builds/add", 405),
        ("PATCH", "/api/v1/builds/none", 404),
        ("POST", "/api/v1/builds/add", 401),
    ] {
        let call = at(method, path).body(Body::from("{")).unwrap();
        let answer = with(&service, call, &["Bearer x"]).await;
        assert_eq!(answer.status, status, "{method} {path}");
    }
    assert_eq!(issuer.reads(), 0);
    let token = format!("Bearer {}", issuer.token("iib", &json!({"sub": "1"})));
    let call = at("POST", "/api/v1/builds/add").header(header::CONTENT_TYPE, "application/json");
    let answer = with(&service, call.body(Body::from("{")).unwrap(), &[&token]).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn workers_show_tokens_too() {
    let (mut service, issuer) = believing().await;
    service.deps.api.worker_usernames = vec!["worker".to_owned()];
    let token = |name: &str| format!("Bearer {}", issuer.token("iib", &json!({"sub": name})));
    with(&service, add(&good()), &[&token("ann")]).await;
    for (name, status) in [("ann", 403), ("worker", 200)] {
        let call = at("PATCH", "/api/v1/builds/1").header(header::CONTENT_TYPE, "application/json");
        let call = call.body(Body::from(r#"{"arches": ["amd64"]}"#)).unwrap();
        let answer = with(&service, call, &[&token(name)]).await;
        assert_eq!(answer.status, status, "{name}");
    }
}

#[tokio::test]
async fn an_issuer_that_is_down_is_said_so() {
    let (service, issuer) = believing().await;
    issuer.set_down(true);
    let token = format!("Bearer {}", issuer.token("iib", &json!({"sub": "1"})));
    let answer = with(&service, add(&good()), &[&token]).await;
    answer.assert_error(
        503,
        "Nobody can be let in with a token now: the issuer's keys cannot be read. Try again later.",
    );
    assert_eq!(answer.retry_after.as_deref(), Some("30"));
    assert!(answer.challenge.is_none());
}

#[tokio::test]
async fn where_no_login_is_demanded_a_token_still_counts() {
    let (mut service, issuer) = believing().await;
    service.deps.api.login_disabled = true;
    let token = format!("Bearer {}", issuer.token("iib", &json!({"sub": "ann"})));
    let answer = with(&service, add(&good()), &[&token]).await;
    assert_eq!(answer.json()["user"], "ann");
    let answer = with(&service, add(&good()), &["Bearer x"]).await;
    answer.assert_error(401, UNAUTHORIZED);
    let answer = with(&service, add(&good()), &[]).await;
    assert_eq!(answer.json()["user"], json!(null));
}

#[tokio::test]
async fn a_token_needs_one_of_the_scopes_that_are_asked_for() {
    let scopes = ["catalogs/write", "catalogs"].map(str::to_owned);
    let (mut service, issuer) = asking_for(scopes.to_vec()).await;
    service.deps.api.reads_need_login = true;
    let mut cases = vec![
        (json!({"scope": "openid catalogs"}), true),
        (json!({"scp": "catalogs/write"}), true),
        (json!({"scp": ["openid", "catalogs"]}), true),
    ];
    let none = [
        json!({}),
        json!({"scope": "catalogs/read openid"}),
        json!({"scope": ["catalogs,openid"]}),
        json!({"scope": 1}),
    ];
    cases.extend(none.map(|claims| (claims, false)));
    for (mut claims, is_let_in) in cases {
        claims["sub"] = json!("ann");
        let token = format!("Bearer {}", issuer.token("iib", &claims));
        let reading = at("GET", "/api/v1/builds").body(Body::empty()).unwrap();
        for call in [add(&good()), reading] {
            let answer = with(&service, call, &[&token]).await;
            if is_let_in {
                assert!(answer.status.is_success(), "{claims}: {}", answer.text);
                continue;
            }
            answer.assert_error(
                403,
                "The token is not for this: it has none of the scopes catalogs/write catalogs",
            );
            assert_eq!(
                answer.challenge.as_deref(),
                Some(
                    r#"Bearer error="insufficient_scope", scope="catalogs/write catalogs", error_description="it has none of the scopes catalogs/write catalogs""#
                )
            );
        }
    }
}
