//! Logins of a registry, from Secrets Manager.

use std::sync::Arc;

use iib_aws::AuthSecret;
use iib_ports::{Class, Classify as _, RegistryError};
use iib_registry::{RegistryClient, RegistryConfig};
use iib_testkit::Pull as _;
use iib_testkit::docker_registry::{Access, DockerRegistry};
use iib_testkit::time::ManualClock;
use jiff::SignedDuration;

use crate::stack::Stack;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ministack and docker-registry"]
async fn a_secret_opens_a_registry_and_may_change() {
    let access = Access::Password {
        user: "ann",
        password: "s3:cret",
    };
    let (stack, registry) = tokio::join!(Stack::start(), DockerRegistry::start(access));
    let secrets = stack.clients().await.secrets_manager();
    let clock = Arc::new(ManualClock::default());
    let client = RegistryClient::new(RegistryConfig {
        insecure_registries: [registry.host().to_owned()].into(),
        auth_document: Some(Arc::new(AuthSecret::new(
            secrets.clone(),
            "registries",
            clock.clone(),
        ))),
        attempts: 1,
        ..RegistryConfig::default()
    })
    .unwrap();
    let image = format!("{}/team/nothing:v1", registry.host())
        .parse()
        .unwrap();
    let look = async || client.pull(&image).await.unwrap_err();
    let keep = async |text: &str| {
        let known = secrets.put_secret_value().secret_id("registries");
        if known.secret_string(text).send().await.is_err() {
            let new = secrets.create_secret().name("registries");
            new.secret_string(text).send().await.unwrap();
        }
        clock.advance(SignedDuration::from_mins(5));
    };

    let missing = look().await;
    assert_eq!(missing.class(), Class::Retry, "{missing:?}");

    keep("no JSON: hunter2").await;
    let broken = look().await;
    assert_eq!(broken.class(), Class::Bug, "{broken:?}");
    let text = format!("{} {broken:?}", iib_ports::chain(&broken));
    assert!(
        text.contains("`registries` is not valid JSON") && !text.contains("hunter2"),
        "{text}"
    );

    // base64 of "ann:hunter2" and of "ann:s3:cret"
    let logins = |auth: &str| {
        format!(
            r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#,
            registry.host()
        )
    };
    keep(&logins("YW5uOmh1bnRlcjI=")).await;
    let denied = look().await;
    assert!(
        matches!(denied, RegistryError::Denied { status: 401, .. }),
        "{denied:?}"
    );
    keep(&logins("YW5uOnMzOmNyZXQ=")).await;
    let found = look().await;
    assert!(matches!(found, RegistryError::NotFound { .. }), "{found:?}");
}
