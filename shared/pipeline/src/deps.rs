//! What the use cases work with.

use std::sync::Arc;

use iib_oci::hosts::HostRules;
use iib_ports::{
    Artifacts, CatalogRepositories, Catalogs, Clock, Figures, Gates, IndexDb, Lines, Logs,
    Notifier, OperatorStore, Queue, Registries, Registry, Requests, Secrets, Traces,
};
use iib_request::{ApiSettings, RequestSettings, WorkSettings};

use crate::ending::Ending;
use crate::{Scratch, Unpacked};

/// The ports and settings of a process. Built once, when it starts; shared by all requests.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct Deps {
    /// The store of requests.
    pub requests: Arc<dyn Requests>,
    /// The operators of bundles.
    pub operators: Arc<dyn OperatorStore>,
    /// The queues in front of the stages.
    pub queue: Arc<dyn Queue>,
    /// Whose turn it is to overwrite an index.
    pub lines: Arc<dyn Lines>,
    /// The build logs.
    pub logs: Arc<dyn Logs>,
    /// Intermediate results.
    pub artifacts: Arc<dyn Artifacts>,
    /// Secrets that came with requests.
    pub secrets: Arc<dyn Secrets>,
    /// Image registries, with the service's own logins.
    pub registry: Arc<dyn Registry>,
    /// The same with the logins that come with requests.
    pub registries: Arc<dyn Registries>,
    /// Who decides whether bundles may be added, if the settings say where.
    pub gates: Option<Arc<dyn Gates>>,
    /// Git repositories of indexes; who has none leaves them to push.
    pub repositories: Option<Arc<dyn CatalogRepositories>>,
    /// Index databases.
    pub index_db: Arc<dyn IndexDb>,
    /// File-based catalogs.
    pub catalogs: Arc<dyn Catalogs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who is told about changes.
    pub notifier: Arc<dyn Notifier>,
    /// Where figures go.
    pub figures: Arc<dyn Figures>,
    /// In which trace something is done.
    pub traces: Arc<dyn Traces>,
    /// Settings of the API.
    pub api: ApiSettings,
    /// Settings of new requests.
    pub new: RequestSettings,
    /// Settings of the work.
    pub work: WorkSettings,
    /// Which hosts images may be at. The registry client holds to it, too.
    pub hosts: HostRules,
    /// Folder for files of a running stage. Nothing of the stage's in it outlives it.
    pub scratch: Arc<Scratch>,
    /// What was taken out of images before.
    pub unpacked: Arc<Unpacked>,
}

/// What indexes are read and changed with, whether a request asks for it or a command.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct Engine {
    /// Index databases.
    pub index_db: Arc<dyn IndexDb>,
    /// File-based catalogs.
    pub catalogs: Arc<dyn Catalogs>,
    /// Settings of the work.
    pub work: WorkSettings,
    /// What was taken out of images before.
    pub unpacked: Arc<Unpacked>,
}

impl Deps {
    /// Those that an index is worked on with.
    pub(crate) fn engine(&self) -> Engine {
        Engine {
            index_db: self.index_db.clone(),
            catalogs: self.catalogs.clone(),
            work: self.work.clone(),
            unpacked: self.unpacked.clone(),
        }
    }

    /// Those that ending a request needs.
    pub(crate) fn ending(&self) -> Ending<'_> {
        Ending {
            requests: &*self.requests,
            logs: &*self.logs,
            artifacts: &*self.artifacts,
            secrets: &*self.secrets,
            notifier: &*self.notifier,
            figures: &*self.figures,
            clock: &*self.clock,
        }
    }
}
