//! The adapters over emulated AWS services, through real connections.

#[cfg(test)]
mod contract;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod stack;

#[cfg(test)]
use std::sync::Arc;

#[cfg(test)]
use iib_aws::{Clients, Ecr, EcrRegistry, EcrSettings};
#[cfg(test)]
use iib_ports::SystemClock;
#[cfg(test)]
use iib_registry::{RegistryClient, RegistryConfig};

/// A client that takes a host for ECR.
#[cfg(test)]
fn ecr_client(clients: Clients, host: &str) -> EcrRegistry {
    let settings = EcrSettings {
        hosts: [host.to_owned()].into(),
        create_repositories: true,
    };
    let ecr = Ecr::new(clients, settings, Arc::new(SystemClock));
    let client = RegistryClient::new(RegistryConfig {
        insecure_registries: [host.to_owned()].into(),
        logins: Some(Arc::new(ecr.clone())),
        ..RegistryConfig::default()
    });
    EcrRegistry::new(Arc::new(client.unwrap()), ecr)
}
