//! The contract of registry clients, over the registries there are here.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use iib_embedded::registry::{Auth, RegistryStore, router};
use iib_registry::{RegistryClient, RegistryConfig};
use iib_testkit::contract;
use iib_testkit::docker_registry::{Access, DockerRegistry};
use iib_testkit::scripted_registry::{Login, ScriptedRegistry};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::setup::config;

/// Serves an embedded registry for as long as the test runs.
async fn serve_embedded(folders: &Mutex<Vec<TempDir>>, auth: Auth) -> String {
    let folder = tempfile::tempdir().unwrap();
    let store = RegistryStore::open(folder.path()).unwrap();
    folders.lock().unwrap().push(folder);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router(store, auth)).await });
    host
}

#[tokio::test]
async fn the_contract_holds_over_the_embedded_registry() {
    let folders = Mutex::default();
    contract::registry(async || {
        let host = serve_embedded(&folders, Auth::None).await;
        (Arc::new(RegistryClient::new(config(&host)).unwrap()), host)
    })
    .await;
}

#[tokio::test]
async fn the_contract_holds_over_the_embedded_registry_with_a_password() {
    let folders = Mutex::default();
    contract::registry(async || {
        let auth = Auth::Basic {
            user: "ann".to_owned(),
            password: iib_ports::Secret::new("s3cret"),
        };
        let host = serve_embedded(&folders, auth).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth.json");
        folders.lock().unwrap().push(folder);
        let file = format!(r#"{{"auths":{{"{host}":{{"username":"ann","password":"s3cret"}}}}}}"#);
        std::fs::write(&path, file).unwrap();
        let config = RegistryConfig {
            auth_files: vec![path],
            ..config(&host)
        };
        (Arc::new(RegistryClient::new(config).unwrap()), host)
    })
    .await;
}

#[tokio::test]
async fn each_keyring_has_grants_of_its_own() {
    let registries = Mutex::new(Vec::new());
    contract::registries(async |tenants| {
        let homes = tenants.map(|tenant| {
            let pair = format!("{}:{}", tenant.user, tenant.password);
            (STANDARD.encode(pair), tenant.home.to_owned())
        });
        let registry = ScriptedRegistry::with_login(Login::Homes(homes.into())).await;
        let host = registry.host();
        registries.lock().unwrap().push(registry);
        (RegistryClient::new(config(&host)).unwrap(), host)
    })
    .await;
}

#[tokio::test]
#[ignore = "needs docker-registry"]
async fn the_contract_holds_over_distribution() {
    let registries = Mutex::new(Vec::new());
    contract::registry(async || {
        let registry = DockerRegistry::start(Access::Anonymous).await;
        let host = registry.host().to_owned();
        registries.lock().unwrap().push(registry);
        let client = RegistryClient::new(RegistryConfig {
            insecure_registries: BTreeSet::from([host.clone()]),
            ..RegistryConfig::default()
        });
        (Arc::new(client.unwrap()), host)
    })
    .await;
}

#[tokio::test]
async fn tags_are_taken_away_from_the_embedded_registry() {
    let folders = Mutex::default();
    contract::tags(async || {
        let host = serve_embedded(&folders, Auth::None).await;
        (Arc::new(RegistryClient::new(config(&host)).unwrap()), host)
    })
    .await;
}

#[tokio::test]
#[ignore = "needs docker-registry"]
async fn tags_are_taken_away_from_distribution() {
    let registries = Mutex::new(Vec::new());
    contract::tags(async || {
        let registry = DockerRegistry::start(Access::Anonymous).await;
        let host = registry.host().to_owned();
        registries.lock().unwrap().push(registry);
        (Arc::new(RegistryClient::new(config(&host)).unwrap()), host)
    })
    .await;
}
