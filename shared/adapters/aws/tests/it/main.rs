//! The adapters over emulated AWS services, through real connections.

#[cfg(test)]
mod announce;
#[cfg(test)]
mod auth_secret;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod doubt;
#[cfg(test)]
mod ecr;
#[cfg(test)]
mod stack;

#[cfg(test)]
use std::sync::Arc;

#[cfg(test)]
use iib_aws::{Clients, Ecr, EcrRegistry, EcrSettings, EcrTags};
#[cfg(test)]
use iib_ports::SystemClock;
#[cfg(test)]
use iib_registry::{RegistryClient, RegistryConfig};

/// Clients that take a host for ECR: of the registry, and for taking tags away. They create what is missing.
#[cfg(test)]
fn ecr_clients(clients: Clients, host: &str) -> (EcrRegistry, EcrTags) {
    clients_creating_in(clients, host, [host.to_owned()])
}

/// The first of them.
#[cfg(test)]
fn ecr_client(clients: Clients, host: &str) -> EcrRegistry {
    ecr_clients(clients, host).0
}

/// A client that takes a host for ECR, and creates what is missing in these registries.
#[cfg(test)]
fn ecr_client_creating_in<const N: usize>(
    clients: Clients,
    host: &str,
    create_in: [String; N],
) -> EcrRegistry {
    clients_creating_in(clients, host, create_in).0
}

#[cfg(test)]
fn clients_creating_in<const N: usize>(
    clients: Clients,
    host: &str,
    create_in: [String; N],
) -> (EcrRegistry, EcrTags) {
    let settings = EcrSettings {
        hosts: [host.to_owned()].into(),
        create_in: create_in.into(),
    };
    let ecr = Ecr::new(clients, settings, Arc::new(SystemClock));
    let client = RegistryClient::new(RegistryConfig {
        insecure_registries: [host.to_owned()].into(),
        logins: Some(Arc::new(ecr.clone())),
        ..RegistryConfig::default()
    });
    let client = Arc::new(client.unwrap());
    (
        EcrRegistry::new(client.clone(), ecr.clone()),
        EcrTags::new(client, ecr),
    )
}
