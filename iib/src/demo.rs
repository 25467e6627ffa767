//! `iib demo`: the whole way on one machine, with nothing else installed.
//!
//! It goes through the service's HTTP and the registry's HTTP only, as any client would.

pub(crate) mod bundles;
pub(crate) mod images;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use iib_edge::Config;
use iib_edge::telemetry::{self, Detail, LogFormat};
use iib_oci::PullSpec;
use iib_registry::{RegistryClient, RegistryConfig};
use serde_json::{Value, json};

use crate::Exit;
use crate::cli::DemoOptions;
use crate::client::{Client, Token};
use crate::say;
use crate::service::{Service, ServiceOptions};
use crate::wait::{Show, Waited, wait};

/// Far more than the demo's requests take on the slowest machine.
const LIMIT: Duration = Duration::from_secs(300);

pub(crate) async fn run(options: &DemoOptions) -> anyhow::Result<Exit> {
    telemetry::init(LogFormat::Text, Detail::Errors);
    if let (Some(url), Some(registry)) = (&options.url, &options.registry) {
        return Demo::at(url, options.token.as_ref(), registry)?.run().await;
    }
    let folder = match &options.data_folder {
        Some(folder) => folder.clone(),
        None => tempfile::Builder::new()
            .prefix("iib-demo-")
            .tempdir()?
            .keep(),
    };
    say::line("Starting the service and a registry on this machine …")?;
    let (service, demo) = start(folder.clone()).await?;
    let ended = demo.run().await;
    service.stop().await?;
    if ended? == Exit::RequestFailed {
        return Ok(Exit::RequestFailed);
    }
    say::line(format_args!(
        "\nEverything is in {}. To look at it again:",
        folder.display()
    ))?;
    say::line(format_args!(
        "  iib serve --data-folder {} --listen {} --registry-listen {}",
        folder.display(),
        demo.api.trim_start_matches("http://"),
        demo.host
    ))?;
    Ok(Exit::Done)
}

async fn start(folder: PathBuf) -> anyhow::Result<(Service, Demo)> {
    let free_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    // Settings of the environment are for the real service; the demo is the same everywhere.
    let mut config = Config::load(None, &std::collections::BTreeMap::new())?;
    config.data_folder = folder;
    let service = Service::start(ServiceOptions {
        config,
        listen: free_port,
        registry_listen: free_port,
        registry_login: None,
    })
    .await?;
    let host = service
        .registry
        .context("the service runs without its registry")?
        .to_string();
    let registries = RegistryConfig {
        insecure_registries: [host.clone()].into(),
        ..RegistryConfig::default()
    };
    let url = format!("http://{}", service.api);
    let demo = Demo::new(Client::new(&url, None)?, &url, &host, registries)?;
    Ok((service, demo))
}

/// A client of the service and of the registry.
struct Demo {
    client: Client,
    registry: RegistryClient,
    api: String,
    host: String,
}

impl Demo {
    /// The demo of a service that runs already. How the registry is spoken to, the settings say.
    fn at(url: &str, token: Option<&Token>, registry: &str) -> anyhow::Result<Self> {
        let config = Config::from_env()?;
        let outward = config.outward()?;
        let registries = config.registries;
        let registries = RegistryConfig {
            outward: Some(outward),
            insecure_registries: registries.insecure,
            allowed_registries: registries.allowed,
            own_registries: [registry.to_owned()].into(),
            auth_files: registries.auth_files,
            ..RegistryConfig::default()
        };
        Self::new(Client::new(url, token)?, url, registry, registries)
    }

    fn new(
        client: Client,
        url: &str,
        registry: &str,
        registries: RegistryConfig,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            client,
            registry: RegistryClient::new(registries)?,
            api: url.to_owned(),
            host: registry.to_owned(),
        })
    }

    async fn run(&self) -> anyhow::Result<Exit> {
        say::line(format_args!(
            "  api       {}/api/v1",
            self.api.trim_end_matches('/')
        ))?;
        say::line(format_args!("  registry  {}\n", self.host))?;
        say::line("Pushing a binary image for amd64 and arm64, and five small bundles …")?;
        let binary_image = images::push_binary_image(&self.registry, &self.host).await?;
        let first = self.push_bundles(bundles::FIRST).await?;
        let newer = self.push_bundles(bundles::NEWER).await?;

        say::line("\nBuilding a first index …")?;
        let request = json!({
            "bundles": first,
            "binary_image": binary_image.as_str(),
            "add_arches": ["amd64", "arm64"],
            "build_tags": ["first"],
        });
        let Some(index) = self.add(&request).await? else {
            return Ok(Exit::RequestFailed);
        };

        say::line("\nAdding newer bundles to it …")?;
        let request = json!({
            "bundles": newer,
            "from_index": index.as_str(),
            "binary_image": binary_image.as_str(),
            "build_tags": ["newer"],
        });
        match self.add(&request).await? {
            Some(_) => Ok(Exit::Done),
            None => Ok(Exit::RequestFailed),
        }
    }

    async fn push_bundles(
        &self,
        bundles: &[bundles::ExampleBundle],
    ) -> anyhow::Result<Vec<String>> {
        let mut specs = Vec::new();
        for bundle in bundles {
            specs.push(
                images::push_bundle(&self.registry, &self.host, bundle)
                    .await?
                    .to_string(),
            );
        }
        Ok(specs)
    }

    /// Sends an add request, waits for it and shows what it did to the catalog. `None` if the
    /// request failed.
    async fn add(&self, request: &Value) -> anyhow::Result<Option<PullSpec>> {
        let started = Instant::now();
        let document = self.client.submit("add", request, false).await?;
        let id = document
            .get("id")
            .and_then(Value::as_u64)
            .context("an answer without an id")?;
        let document = match wait(&self.client, id, LIMIT, Show::Progress).await? {
            Waited::Final(document) => document,
            Waited::TimedOut => bail!("request {id} did not end within {} s", LIMIT.as_secs()),
        };
        let text = |field| {
            document
                .get(field)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        if text("state") != "complete" {
            say::line(format_args!(
                "request {id} failed: {}",
                text("state_reason")
            ))?;
            return Ok(None);
        }
        let index: PullSpec = text("index_image").parse()?;
        say::line(format_args!(
            "  request {id} took {:.2} s",
            started.elapsed().as_secs_f64()
        ))?;
        say::line(format_args!("  result    {}", text("index_image_resolved")))?;
        say::line("  catalog:")?;
        for line in self.client.diff(id, "text").await?.lines() {
            say::line(format_args!("    {line}"))?;
        }
        Ok(Some(index))
    }
}
