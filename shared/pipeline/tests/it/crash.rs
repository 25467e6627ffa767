//! A process of the use cases that dies between two calls to the world.

use std::sync::Arc;

use iib_pipeline::Deps;
use iib_ports::Keyring;
use iib_testkit::crash::Ports;
pub(crate) use iib_testkit::crash::{Crash, Death, LastCall};

/// The same ports, which die during a call.
pub(crate) fn at(death: Death, last: LastCall, deps: &Deps) -> (Deps, Arc<Crash>) {
    let ports = Ports {
        requests: deps.requests.clone(),
        queue: deps.queue.clone(),
        lines: deps.lines.clone(),
        logs: deps.logs.clone(),
        artifacts: deps.artifacts.clone(),
        secrets: deps.secrets.clone(),
        registries: deps.registries.clone(),
        repositories: deps.repositories.clone(),
    };
    let (dying, crash) = Crash::new(death, last, ports);
    let dying = Deps {
        requests: dying.requests,
        queue: dying.queue,
        logs: dying.logs,
        artifacts: dying.artifacts,
        secrets: dying.secrets,
        registry: dying.registries.with(Keyring::Own),
        registries: dying.registries,
        lines: dying.lines,
        repositories: dying.repositories,
        ..deps.clone()
    };
    (dying, crash)
}
