use iib_oci::{Digest, MediaType, RawManifest, Reference};
use iib_ports::{Class, Classify as _, Registry as _, RegistryError, Tags as _};
use iib_registry::{RegistryClient, RegistryConfig};
use iib_testkit::Pull as _;
use iib_testkit::docker_registry::{Access, DockerRegistry};
use iib_testkit::examples::example;

use crate::setup::{Content, config, content, descriptor, image, read, repository};

/// Pushes an image and its list, mounts its layer elsewhere, and reads all of it back.
async fn exercise(host: &str, client: &RegistryClient) {
    let (a, b) = (repository(host, "team/a"), repository(host, "team/b"));
    let (layer, config) = (content(3_000_000), content(500));
    for bytes in [&layer, &config] {
        let digest = Digest::of(bytes);
        assert!(!client.has_blob(&a, &digest).await.unwrap());
        let source = Content::new(bytes.clone());
        client
            .push_blob(&a, &descriptor(bytes), &source)
            .await
            .unwrap();
        assert!(client.has_blob(&a, &digest).await.unwrap());
        assert!(!client.has_blob(&b, &digest).await.unwrap());
        assert!(client.mount_blob(&b, &a, &digest).await.unwrap());
        assert!(client.has_blob(&b, &digest).await.unwrap());
    }
    assert!(
        !client
            .mount_blob(&b, &a, &Digest::of(b"nowhere"))
            .await
            .unwrap()
    );
    assert_eq!(
        read(client.blob(&b, &descriptor(&layer)).await)
            .await
            .unwrap(),
        layer
    );
    for (manifest_type, list_type, config_type, layer_type) in [
        (
            MediaType::DOCKER_MANIFEST,
            MediaType::DOCKER_LIST,
            MediaType::DOCKER_CONFIG,
            MediaType::DOCKER_LAYER,
        ),
        (
            MediaType::OCI_MANIFEST,
            MediaType::OCI_INDEX,
            MediaType::OCI_CONFIG,
            MediaType::OCI_LAYER_GZIP,
        ),
    ] {
        let text = format!(
            "{{ \"schemaVersion\": 2, \"mediaType\": \"{manifest_type}\",\n \"config\": {{\"mediaType\": \"{config_type}\", \"size\": {}, \"digest\": \"{}\"}},\n \"layers\": [{{\"mediaType\": \"{layer_type}\", \"size\": {}, \"digest\": \"{}\"}}] }}\n",
            config.len(),
            Digest::of(&config),
            layer.len(),
            Digest::of(&layer),
        );
        let image_manifest = raw(manifest_type, &text);
        let by_digest = Reference::Digest(image_manifest.digest());
        client
            .push_manifest(&b, &by_digest, &image_manifest)
            .await
            .unwrap();
        let text = format!(
            "{{\"schemaVersion\": 2, \"mediaType\": \"{list_type}\", \"manifests\": [{{\"mediaType\": \"{manifest_type}\", \"size\": {}, \"digest\": \"{}\", \"platform\": {{\"os\": \"linux\", \"architecture\": \"amd64\"}}}}]}}",
            image_manifest.bytes.len(),
            image_manifest.digest(),
        );
        let list = raw(list_type, &text);
        let by_tag = Reference::Tag("v1".to_owned());
        client.push_manifest(&b, &by_tag, &list).await.unwrap();
        let pulled = client.pull(&image(host, "team/b:v1")).await.unwrap();
        assert_eq!(pulled, list);
        let spec = image(host, &format!("team/b@{}", image_manifest.digest()));
        assert_eq!(client.pull(&spec).await.unwrap(), image_manifest);
    }
    let missing = client.pull(&image(host, "team/b:v2")).await;
    assert!(
        matches!(missing, Err(RegistryError::NotFound { .. })),
        "{missing:?}"
    );
}

fn raw(media_type: &str, text: &str) -> RawManifest {
    RawManifest {
        media_type: MediaType::new(media_type),
        bytes: text.as_bytes().to_vec(),
    }
}

#[tokio::test]
#[ignore = "needs docker-registry"]
async fn distribution_takes_and_gives_everything() {
    let registry = DockerRegistry::start(Access::Anonymous).await;
    let client = RegistryClient::new(config(registry.host())).unwrap();
    exercise(registry.host(), &client).await;
}

#[tokio::test]
#[ignore = "needs docker-registry"]
async fn distribution_with_a_password_takes_and_gives_everything_to_those_who_have_it() {
    let access = Access::Password {
        user: "ann",
        password: "s3:cret",
    };
    let registry = DockerRegistry::start(access).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.json");
    // base64 of "ann:s3:cret"
    let file = format!(
        r#"{{"auths":{{"{}":{{"auth":"YW5uOnMzOmNyZXQ="}}}}}}"#,
        registry.host()
    );
    std::fs::write(&path, file).unwrap();
    let client = RegistryClient::new(RegistryConfig {
        auth_files: vec![path],
        ..config(registry.host())
    })
    .unwrap();
    exercise(registry.host(), &client).await;
    let stranger = RegistryClient::new(config(registry.host())).unwrap();
    let denied = stranger.pull(&image(registry.host(), "team/b:v1")).await;
    assert!(
        matches!(denied, Err(RegistryError::Denied { status: 401, .. })),
        "{denied:?}"
    );
}

#[tokio::test]
#[ignore = "needs docker-registry"]
async fn a_registry_over_tls_is_used_if_its_certificate_is_trusted() {
    let registry = DockerRegistry::start(Access::Tls).await;
    let spec = format!("{}/a:v1", registry.host());
    let asked = async |certificate: &std::path::Path| {
        let output = tokio::process::Command::new(example("architectures"))
            .arg(&spec)
            // Read by the TLS library, once per process; hence a process of its own.
            .env("SSL_CERT_FILE", certificate)
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let trusted = asked(&registry.certificate()).await;
    assert!(trusted.contains("NotFound"), "{trusted}");
    let other = DockerRegistry::start(Access::Tls).await;
    let untrusted = asked(&other.certificate()).await;
    assert!(untrusted.contains("Unreachable"), "{untrusted}");
    // Both certificates name the same authority, but only one is signed by the one that is known.
    let told = ["UnknownAuthority", "Certificate {"];
    assert!(
        told.iter().any(|told| untrusted.contains(told)),
        "{untrusted}"
    );
}

#[tokio::test]
#[ignore = "needs docker-registry"]
async fn a_registry_that_removes_nothing_says_so_and_the_tag_stays() {
    let registry = DockerRegistry::start(Access::NothingRemoved).await;
    let client = RegistryClient::new(config(registry.host())).unwrap();
    let a = repository(registry.host(), "team/a");
    let bytes = content(10);
    let source = Content::new(bytes.clone());
    let blob = descriptor(&bytes);
    client.push_blob(&a, &blob, &source).await.unwrap();
    let manifest = iib_oci::Manifest::docker(blob.clone(), vec![blob]);
    let manifest = manifest.to_raw().unwrap();
    let tag = Reference::Tag("1-amd64".to_owned());
    client.push_manifest(&a, &tag, &manifest).await.unwrap();

    let error = client.remove_tag(&a, "1-amd64").await.unwrap_err();
    assert!(
        matches!(error, RegistryError::Refused { status: 405, .. }),
        "{error:?}"
    );
    assert_eq!(error.class(), Class::Reject);
    let spec = image(registry.host(), "team/a:1-amd64");
    assert_eq!(client.pull(&spec).await.unwrap(), manifest);
    client.remove_tag(&a, "never-there").await.unwrap();
}
