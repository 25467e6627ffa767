//! Bundle images for the operations on a database, pulled from registries.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, anyhow};
use iib_bundle::BundleFiles;
use iib_oci::PullSpec;
use iib_registry::{RegistryClient, RegistryConfig};
use serde::Deserialize;
use tokio::runtime::Runtime;

/// Unpacked bytes of a bundle that are read at most.
const BUNDLE_LIMIT: u64 = 256 * 1024 * 1024;

/// The references of one bundle in the map.
#[derive(Deserialize)]
struct References {
    tag_ref: String,
    digest_ref: String,
}

/// Pulls bundles.
pub(crate) struct Images {
    registry: RegistryClient,
    runtime: Runtime,
}

impl Images {
    /// A client that speaks plain HTTP to the registries of the map.
    pub(crate) fn new(bundle_map: Option<&Path>) -> anyhow::Result<Self> {
        let mut insecure_registries = BTreeSet::new();
        if let Some(path) = bundle_map {
            let text = std::fs::read(path)
                .with_context(|| format!("the bundle map {} cannot be read", path.display()))?;
            let map: BTreeMap<String, References> = serde_json::from_slice(&text)
                .with_context(|| format!("the bundle map {} is broken", path.display()))?;
            for references in map.values() {
                for reference in [&references.tag_ref, &references.digest_ref] {
                    if let Some((host, _)) = reference.split_once('/') {
                        insecure_registries.insert(host.to_owned());
                    }
                }
            }
        }
        let config = RegistryConfig {
            insecure_registries,
            ..RegistryConfig::default()
        };
        Ok(Self {
            registry: RegistryClient::new(config)?,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
        })
    }

    /// The files of a bundle.
    pub(crate) fn read(&self, reference: &str) -> anyhow::Result<BundleFiles> {
        let spec: PullSpec = reference.parse()?;
        self.runtime
            .block_on(iib_pipeline::read_bundle(
                &self.registry,
                &spec,
                BUNDLE_LIMIT,
            ))
            .map_err(|error| anyhow!("{}", error.reason()))
    }
}
