//! The settings of the client.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use iib_oci::hosts::{Addresses, HostSettings};
use iib_outward::Outward;
use iib_ports::{AuthDocument, RegistryLogins};

use crate::Resolver;

/// How often a call is tried in all. Five tries with the waits below ride out a registry that
/// restarts or throttles for some seconds; what lasts longer is the queue's to wait for.
const ATTEMPTS: u32 = 5;

/// The longest the first wait between two tries can be; it doubles with each one.
const BACKOFF_BASE: Duration = Duration::from_millis(200);

/// The longest any wait between two tries can be, so that a stage does not spend its time asleep.
const BACKOFF_CAP: Duration = Duration::from_secs(5);

/// The longest wait a registry can ask for with `Retry-After`. Longer than our own waits, because
/// a registry that names a time usually means it; well below the time a stage has.
const RETRY_AFTER_CAP: Duration = Duration::from_secs(30);

/// How long a connection may take to come about. A host that does not answer in ten seconds is
/// down or unreachable; the default of the operating system is over two minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a registry may be silent in the middle of a call. It covers the time in which
/// registries check the digest of a large upload before they answer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the tries of one call may take before no other one is made: a quarter of the time a
/// stage has, so that a stage which meets a dead registry ends with a reason of its own.
const PATIENCE: Duration = Duration::from_secs(75);

/// Settings of a [`RegistryClient`](crate::RegistryClient).
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct RegistryConfig {
    /// Registries spoken to over plain HTTP, each exactly as pull specs name it: `host` or
    /// `host:port`. Everything else is spoken to over TLS.
    pub insecure_registries: BTreeSet<String>,
    /// Hosts that are spoken to, be it because a pull spec names them or because a registry leads
    /// there; as [`iib_oci::hosts::HostPattern`]s. Empty: all.
    pub allowed_registries: BTreeSet<String>,
    /// Registries of the service itself, which are spoken to whatever is allowed.
    pub own_registries: BTreeSet<String>,
    /// Whether hosts that nobody named may be at addresses of this network. Not, where others ask
    /// than those who could reach them anyway. What a proxy connects to is for the proxy to know:
    /// there only names, and addresses that stand in a host's place, are looked at.
    pub addresses: Addresses,
    /// Logins that are made rather than kept in a file, asked first.
    pub logins: Option<Arc<dyn RegistryLogins>>,
    /// A document of logins, asked next.
    pub auth_document: Option<Arc<dyn AuthDocument>>,
    /// Docker or podman auth files, the most important first. The first that knows the
    /// repository decides; files that do not exist are passed over.
    pub auth_files: Vec<PathBuf>,
    /// How often a call is tried in all, at least once.
    pub attempts: u32,
    /// The longest first wait between two tries; doubles with each one.
    pub backoff_base: Duration,
    /// The longest wait between two tries.
    pub backoff_cap: Duration,
    /// The longest wait a registry can ask for with `Retry-After`.
    pub retry_after_cap: Duration,
    /// After how long no other try of a call is made. No registry may be silent for longer, either.
    pub patience: Duration,
    /// Who knows the addresses of names; `None` for the operating system.
    pub resolver: Option<Arc<dyn Resolver>>,
    /// The way calls go; `None` for that of the process's environment.
    pub outward: Option<Outward>,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long a registry may be silent in the middle of a call.
    pub idle_timeout: Duration,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            insecure_registries: BTreeSet::new(),
            allowed_registries: BTreeSet::new(),
            own_registries: BTreeSet::new(),
            addresses: Addresses::Any,
            logins: None,
            auth_document: None,
            auth_files: Vec::new(),
            attempts: ATTEMPTS,
            backoff_base: BACKOFF_BASE,
            backoff_cap: BACKOFF_CAP,
            retry_after_cap: RETRY_AFTER_CAP,
            patience: PATIENCE,
            resolver: None,
            outward: None,
            connect_timeout: CONNECT_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
        }
    }
}

impl RegistryConfig {
    pub(crate) fn host_settings(&self) -> HostSettings {
        HostSettings {
            allowed: self.allowed_registries.clone(),
            plain: self.insecure_registries.clone(),
            own: self.own_registries.clone(),
            addresses: self.addresses,
        }
    }
}
