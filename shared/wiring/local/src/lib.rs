#![doc = include_str!("../README.md")]

mod broker;
mod figures;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use iib_amqp::BrokerInitError;
use iib_catalog_folder::Folders;
use iib_edge::telemetry::CurrentTrace;
use iib_edge::{Config, LogNotifier};
use iib_embedded::{
    DataFolder, DocumentFolders, EmbeddedError, SqliteQueue, SqliteRequests, SqliteWatch,
};
use iib_git_repositories::GitRepositoriesError;
use iib_greenwave::{Greenwave, GreenwaveError};
use iib_indexdb::SqliteIndex;
use iib_issuer::{Issuer, IssuerError};
use iib_oci::Digest;
use iib_oci::hosts::{Addresses, HostNameError};
use iib_outward::OutwardError;
use iib_pipeline::notify::NotifyDeps;
use iib_pipeline::prune::PruneDeps;
use iib_pipeline::{Deps, Scratch, Unpacked};
use iib_ports::{Clock, Gates, Listing, Notifier, SystemClock, Tokens};
use iib_registry::{RegistryClient, RegistryConfig, RegistryInitError};

pub use figures::KeptFigures;

/// Deliveries after which a message goes to the dead letters. A record gives up long before
/// (its attempts are counted in it); this only ends messages that cannot be read at all.
const MAX_RECEIVE_COUNT: u32 = 50;

/// The ports of a process on one machine, over a data folder that it owns.
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct Local {
    /// The data folder, locked for this process.
    pub folder: DataFolder,
    /// The queues, with their receiving half.
    pub queue: SqliteQueue,
    /// What the use cases work with.
    pub deps: Deps,
    /// What the API lists.
    pub listing: Arc<dyn Listing>,
    /// Waiting for changes of requests.
    pub watch: Arc<SqliteWatch>,
    /// What verifies tokens of callers, if the settings name an issuer.
    pub tokens: Option<Arc<dyn Tokens>>,
    /// What clearing up works with.
    pub prune: PruneDeps,
    /// The figures of this process.
    pub figures: Arc<KeptFigures>,
    /// What telling others works with, if the settings name somebody.
    pub notify: Option<Notify>,
}

/// Telling others.
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct Notify {
    /// What it works with.
    pub deps: NotifyDeps,
    /// Where the news arrives ([`SqliteRequests::woken`]).
    pub news: SqliteRequests,
}

/// The ports could not be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// The registry client cannot be set up.
    #[error(transparent)]
    Registry(#[from] RegistryInitError),
    /// The settings name hosts in a way that cannot be read.
    #[error(transparent)]
    Hosts(#[from] HostNameError),
    /// The issuer of tokens cannot be asked as the settings say.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// Greenwave cannot be asked.
    #[error("Greenwave cannot be asked")]
    Greenwave(#[from] GreenwaveError),
    /// Git repositories cannot be spoken to.
    #[error(transparent)]
    Git(#[from] GitRepositoriesError),
    /// The proxies of the environment cannot be read.
    #[error(transparent)]
    Outward(#[from] OutwardError),
    /// The message broker cannot be spoken to as the settings say.
    #[error(transparent)]
    Broker(#[from] BrokerInitError),
    /// A folder for documents cannot be used.
    #[error("the folder for documents {} cannot be used", path.display())]
    Documents {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A folder for documents is the service's own.
    #[error(
        "the folder for documents {} is in the data folder: name one outside of it, or leave it away, and documents stand in the data folder",
        .0.display()
    )]
    InDataFolder(PathBuf),
    /// The scratch folder cannot be used.
    #[error("the scratch folder {} cannot be used", path.display())]
    Scratch {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Local {
    /// Opens the data folder of the settings and puts the ports together, for somebody on this
    /// machine, who reaches what it reaches.
    ///
    /// # Errors
    /// [`LocalError`]; also while another process owns the folder.
    pub fn open(config: &Config) -> Result<Self, LocalError> {
        Self::with_notifier(config, Arc::new(LogNotifier))
    }

    /// The same for a service that others reach: registries inside this network are spoken to only
    /// if the settings name them.
    ///
    /// # Errors
    /// As [`Local::open`].
    pub fn for_others(config: &Config) -> Result<Self, LocalError> {
        Self::put_together(config, Arc::new(LogNotifier), Addresses::OnlyOutside)
    }

    /// As [`Local::open`], telling changes to `notifier`.
    ///
    /// # Errors
    /// As [`Local::open`].
    pub fn with_notifier(config: &Config, notifier: Arc<dyn Notifier>) -> Result<Self, LocalError> {
        Self::put_together(config, notifier, Addresses::Any)
    }

    fn put_together(
        config: &Config,
        notifier: Arc<dyn Notifier>,
        addresses: Addresses,
    ) -> Result<Self, LocalError> {
        let folder = DataFolder::open(&config.data_folder)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let queue = folder.queue(clock.clone(), MAX_RECEIVE_COUNT);
        let registry = Arc::new(RegistryClient::new(RegistryConfig {
            insecure_registries: config.registries.insecure.clone(),
            allowed_registries: config.registries.allowed.clone(),
            own_registries: config.result_registries(),
            addresses,
            auth_files: config.registries.auth_files.clone(),
            patience: config.work.call_patience(),
            outward: Some(config.outward()?),
            ..RegistryConfig::default()
        })?);
        let mut requests = folder.requests();
        let announcers = broker::announcers(&config.messaging)?;
        if !announcers.is_empty() {
            requests = requests.announcing();
        }
        let requests = Arc::new(requests);
        let documents = documents(config, &folder)?;
        let scratch = scratch(config, &folder)?;
        let figures = Arc::new(KeptFigures::default());
        let deps = Deps {
            requests: requests.clone(),
            operators: requests.clone(),
            queue: Arc::new(queue.clone()),
            lines: Arc::new(folder.lines()),
            logs: Arc::new(folder.logs()),
            artifacts: Arc::new(folder.artifacts().with_documents_in(documents)),
            secrets: Arc::new(folder.secrets(clock.clone())),
            registry: registry.clone(),
            registries: registry.clone(),
            gates: gates(config)?,
            repositories: iib_git_repositories::with_file(config, addresses, &scratch)?,
            index_db: Arc::new(SqliteIndex),
            catalogs: Arc::new(Folders),
            clock,
            notifier,
            figures: figures.clone(),
            traces: Arc::new(CurrentTrace),
            api: config.api.clone(),
            new: config.requests.clone(),
            work: config.work.clone(),
            hosts: config.host_rules(addresses)?,
            unpacked: unpacked(config, &scratch)?,
            scratch: Arc::new(Scratch::at(scratch)),
        };
        let prune = PruneDeps {
            requests: requests.clone(),
            sweeps: requests.clone(),
            queue: deps.queue.clone(),
            logs: deps.logs.clone(),
            artifacts: deps.artifacts.clone(),
            secrets: deps.secrets.clone(),
            tags: registry,
            figures: figures.clone(),
            clock: deps.clock.clone(),
            api: deps.api.clone(),
            work: deps.work.clone(),
        };
        let notify = (!announcers.is_empty()).then(|| Notify {
            news: SqliteRequests::clone(&requests),
            deps: NotifyDeps {
                outbox: requests.clone(),
                requests: requests.clone(),
                operators: requests.clone(),
                announcers,
                api: deps.api.clone(),
                clock: deps.clock.clone(),
            },
        });
        Ok(Self {
            watch: Arc::new(folder.watch(config.api.max_waiting)),
            folder,
            queue,
            deps,
            listing: requests,
            tokens: tokens(config)?,
            prune,
            figures,
            notify,
        })
    }
}

/// Who decides whether bundles may be added, if the settings say where.
fn gates(config: &Config) -> Result<Option<Arc<dyn Gates>>, LocalError> {
    let Some(address) = &config.work.greenwave_url else {
        return Ok(None);
    };
    let client = config.outward()?.client();
    Ok(Some(Arc::new(Greenwave::new(address, client)?)))
}

fn tokens(config: &Config) -> Result<Option<Arc<dyn Tokens>>, LocalError> {
    let api = &config.api;
    let Some(issuer) = &api.jwt_issuer else {
        return Ok(None);
    };
    let client = config.outward()?.client();
    let issuer = Issuer::new(issuer, api.jwt_audiences.clone(), client)?;
    let issuer = issuer.with_scopes(api.jwt_scopes.clone());
    Ok(Some(Arc::new(issuer)))
}

/// Folders of documents, which are there and can be written to. None is in the data folder, where the
/// service moves and removes files of its own.
fn documents(config: &Config, folder: &DataFolder) -> Result<DocumentFolders, LocalError> {
    let checked = |path: &Option<PathBuf>| {
        let Some(path) = path else { return Ok(None) };
        let failed = |source| LocalError::Documents {
            path: path.clone(),
            source,
        };
        std::fs::create_dir_all(path).map_err(failed)?;
        tempfile::NamedTempFile::new_in(path).map_err(failed)?;
        let (place, data) = (path.canonicalize(), folder.path().canonicalize());
        let (place, data) = (place.map_err(failed)?, data.map_err(failed)?);
        match place.starts_with(&data) {
            true => Err(LocalError::InDataFolder(path.clone())),
            false => Ok(Some(place)),
        }
    };
    Ok(DocumentFolders {
        logs: checked(&config.api.logs_folder)?,
        related_bundles: checked(&config.api.related_bundles_folder)?,
        nested_bundles: checked(&config.api.nested_bundles_folder)?,
    })
}

/// The scratch folder: inside the one of the settings, else inside the data folder, which is on
/// the same disk as the artifacts. It is named after the data folder, which is locked, so what a
/// killed process left there is nobody's and is removed.
fn scratch(config: &Config, folder: &DataFolder) -> Result<PathBuf, LocalError> {
    let path = if config.scratch.as_os_str().is_empty() {
        folder.path().join("scratch")
    } else {
        let owner = Digest::of(folder.path().as_os_str().as_encoded_bytes());
        config.scratch.join(format!("iib-{}", owner.hex()))
    };
    let failed = |source| LocalError::Scratch {
        path: path.clone(),
        source,
    };
    match std::fs::remove_dir_all(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    std::fs::create_dir_all(&path).map_err(failed)?;
    Ok(path)
}

/// What is kept unpacked, beside the files of stages.
fn unpacked(config: &Config, scratch: &Path) -> Result<Arc<Unpacked>, LocalError> {
    let unpacked = Unpacked::in_folder(scratch, config.work.max_unpacked_bytes);
    let unpacked = unpacked.map_err(|source| LocalError::Scratch {
        path: scratch.to_owned(),
        source,
    })?;
    Ok(Arc::new(unpacked))
}

#[cfg(test)]
mod tests {
    use iib_ports::RegistryError;
    use iib_testkit::Pull as _;
    use iib_testkit::scripted_registry::ScriptedRegistry;

    use super::*;

    #[test]
    fn documents_go_to_folders_that_can_be_written_to_and_are_nobody_else_s() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        std::fs::write(&file, "").unwrap();
        let open = |logs: PathBuf| {
            let mut config = Config::load(None, &Default::default()).unwrap();
            config.data_folder = place.path().join("data");
            config.api.logs_folder = Some(logs);
            Local::open(&config)
                .map(drop)
                .map_err(|error| error.to_string())
        };
        assert_eq!(open(place.path().join("new/logs")), Ok(()));
        for bad in ["file", "file/logs"] {
            assert!(
                open(place.path().join(bad))
                    .unwrap_err()
                    .contains("cannot be used")
            );
        }
        for own in ["data", "data/logs", "data/../data/artifacts"] {
            let told = open(place.path().join(own)).unwrap_err();
            assert!(told.contains("is in the data folder"), "{own}: {told}");
        }
    }

    #[tokio::test]
    async fn a_service_for_others_goes_inside_only_to_hosts_that_are_named() {
        let registry = ScriptedRegistry::start().await;
        let image = format!("{}/a:v1", registry.host()).parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::load(None, &Default::default()).unwrap();
        config.data_folder = folder.path().to_owned();
        let ask = async |local: Local| local.deps.registry.pull(&image).await.unwrap_err();

        let refused = ask(Local::for_others(&config).unwrap()).await;
        assert!(
            matches!(refused, RegistryError::HostRefused { .. }),
            "{refused}"
        );
        // It speaks no TLS, which is found out by asking.
        let asked = ask(Local::open(&config).unwrap()).await;
        assert!(
            matches!(asked, RegistryError::Unreachable { .. }),
            "{asked}"
        );
        config.registries.insecure.insert(registry.host());
        let asked = ask(Local::for_others(&config).unwrap()).await;
        assert!(matches!(asked, RegistryError::NotFound { .. }), "{asked}");
    }
}
