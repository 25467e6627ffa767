#![doc = include_str!("../README.md")]

mod broker;
mod invocations;
mod serve;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use iib_aws::{
    AuthSecret, Clients, DynamoLines, DynamoLogs, DynamoRequests, DynamoWatch, Ecr, EcrRegistries,
    EcrSettings, EcrTags, EventBus, KmsSecrets, QueueUrls, S3Artifacts, SqsQueue, Topic,
};
use iib_catalog_folder::Folders;
use iib_edge::config::environment;
use iib_edge::telemetry::CurrentTrace;
use iib_edge::{Config, EmfFigures, LogNotifier};
use iib_greenwave::{Greenwave, GreenwaveError};
use iib_indexdb::SqliteIndex;
use iib_issuer::{Issuer, IssuerError};
use iib_oci::hosts::{Addresses, HostNameError};
use iib_outward::OutwardError;
use iib_pipeline::artifact::ArtifactDeps;
use iib_pipeline::dead_letter::DeadLetterDeps;
use iib_pipeline::intake::IntakeDeps;
use iib_pipeline::notify::NotifyDeps;
use iib_pipeline::prune::PruneDeps;
use iib_pipeline::{Deps, Scratch, Unpacked};
use iib_ports::{
    Announcer, Artifacts, AuthDocument, Clock, Figures, Gates, Keyring, Lines, Listing, Logs,
    Queue, Registries, Secrets, SystemClock, Tokens, Watch,
};
use iib_registry::{RegistryClient, RegistryConfig, RegistryInitError};

use broker::SecretBroker;
pub use invocations::{Around, Invocations};
pub use serve::{serve, serve_stage, serve_stage_over, start};

/// What a process on AWS can put its ports together from. Connections come about when they are
/// first used.
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct Cloud {
    config: Config,
    clients: Clients,
    clock: Arc<dyn Clock>,
    figures: Arc<dyn Figures>,
}

/// The ports could not be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloudError {
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
    #[error("Git repositories cannot be spoken to")]
    Git(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The proxies of the environment cannot be read.
    #[error(transparent)]
    Outward(#[from] OutwardError),
    /// The scratch folder cannot be used.
    #[error("the scratch folder {} cannot be used", path.display())]
    Scratch {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Cloud {
    /// Takes these settings, and the SDK's own from the environment. `function` is what its figures are of.
    pub async fn new(config: Config, function: &str) -> Self {
        let figures = Arc::new(EmfFigures::of_function(function, &environment()));
        let clients = Clients::from_env().await;
        Self::over(config, clients, Arc::new(SystemClock), figures)
    }

    /// The same over clients and a clock of the caller's, with figures that go where he says.
    pub fn over(
        config: Config,
        clients: Clients,
        clock: Arc<dyn Clock>,
        figures: Arc<dyn Figures>,
    ) -> Self {
        Self {
            config,
            clients,
            clock,
            figures,
        }
    }

    /// Where figures go.
    pub fn figures(&self) -> Arc<dyn Figures> {
        self.figures.clone()
    }

    /// The ports of intake.
    ///
    /// # Errors
    /// [`CloudError::Hosts`].
    pub fn intake(&self) -> Result<IntakeDeps, CloudError> {
        Ok(IntakeDeps {
            // No registry is within the reach of its role.
            results: None,
            requests: self.requests(),
            operators: self.requests(),
            queue: self.queue(),
            lines: self.lines(),
            logs: self.logs(),
            artifacts: self.artifacts(),
            secrets: self.secrets(),
            clock: self.clock.clone(),
            notifier: Arc::new(LogNotifier),
            figures: self.figures(),
            traces: Arc::new(CurrentTrace),
            api: self.config.api.clone(),
            new: self.config.requests.clone(),
            binary_images: self.config.work.binary_images.clone(),
            hosts: self.config.host_rules(Addresses::OnlyOutside)?,
        })
    }

    /// What verifies tokens of callers, if the settings name an issuer.
    ///
    /// # Errors
    /// [`CloudError::Issuer`], [`CloudError::Outward`].
    pub fn tokens(&self) -> Result<Option<Arc<dyn Tokens>>, CloudError> {
        let api = &self.config.api;
        let Some(issuer) = &api.jwt_issuer else {
            return Ok(None);
        };
        let client = self.config.outward()?.client();
        let issuer = Issuer::new(issuer, api.jwt_audiences.clone(), client)?;
        let issuer = issuer.with_scopes(api.jwt_scopes.clone());
        Ok(Some(Arc::new(issuer)))
    }

    /// Who decides whether bundles may be added, if the settings say where.
    fn gates(&self) -> Result<Option<Arc<dyn Gates>>, CloudError> {
        let Some(address) = &self.config.work.greenwave_url else {
            return Ok(None);
        };
        let client = self.config.outward()?.client();
        Ok(Some(Arc::new(Greenwave::new(address, client)?)))
    }

    /// The ports of a stage.
    ///
    /// # Errors
    /// [`CloudError`].
    pub fn stage(&self) -> Result<Deps, CloudError> {
        let (client, ecr) = self.registry()?;
        let registries = EcrRegistries::new(Arc::new(client), ecr);
        let (scratch, unpacked) = self.scratch()?;
        Ok(Deps {
            requests: self.requests(),
            operators: self.requests(),
            queue: self.queue(),
            lines: self.lines(),
            logs: self.logs(),
            artifacts: self.artifacts(),
            secrets: self.secrets(),
            registry: registries.with(Keyring::Own),
            registries: Arc::new(registries),
            gates: self.gates()?,
            // Only push speaks to them, and links what that takes.
            repositories: None,
            index_db: Arc::new(SqliteIndex),
            catalogs: Arc::new(Folders),
            clock: self.clock.clone(),
            notifier: Arc::new(LogNotifier),
            figures: self.figures(),
            traces: Arc::new(CurrentTrace),
            api: self.config.api.clone(),
            new: self.config.requests.clone(),
            work: self.config.work.clone(),
            hosts: self.config.host_rules(Addresses::OnlyOutside)?,
            unpacked: Arc::new(unpacked),
            scratch: Arc::new(scratch),
        })
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The tokens of Git repositories, if the settings name a secret with them. The repositories themselves are put
    /// together by push.
    pub fn git_tokens(&self) -> Option<Arc<dyn AuthDocument>> {
        self.secret(&self.config.aws.git_tokens_secret)
    }

    /// The ports of artifact.
    ///
    /// # Errors
    /// [`CloudError::Hosts`].
    pub fn artifact(&self) -> Result<ArtifactDeps, CloudError> {
        Ok(ArtifactDeps {
            intake: self.intake()?,
            max_bundle_bytes: self.config.work.max_bundle_bytes,
        })
    }

    /// The ports of dead-letter.
    pub fn dead_letter(&self) -> DeadLetterDeps {
        DeadLetterDeps {
            requests: self.requests(),
            queue: self.queue(),
            logs: self.logs(),
            artifacts: self.artifacts(),
            secrets: self.secrets(),
            clock: self.clock.clone(),
            notifier: Arc::new(LogNotifier),
            figures: self.figures(),
        }
    }

    /// The ports of prune.
    ///
    /// # Errors
    /// [`CloudError`].
    pub fn prune(&self) -> Result<PruneDeps, CloudError> {
        let (client, ecr) = self.registry()?;
        let requests = self.requests();
        Ok(PruneDeps {
            requests: requests.clone(),
            sweeps: requests,
            queue: self.queue(),
            logs: self.logs(),
            artifacts: self.artifacts(),
            secrets: self.secrets(),
            tags: Arc::new(EcrTags::new(Arc::new(client), ecr)),
            figures: self.figures(),
            clock: self.clock.clone(),
            api: self.config.api.clone(),
            work: self.config.work.clone(),
        })
    }

    /// The ports of notify.
    ///
    /// # Errors
    /// None so far.
    pub fn notify(&self) -> Result<NotifyDeps, CloudError> {
        let (aws, requests) = (&self.config.aws, self.requests());
        let mut announcers: Vec<Arc<dyn Announcer>> = Vec::new();
        if !aws.event_bus.is_empty() {
            let client = self.clients.eventbridge();
            announcers.push(Arc::new(EventBus::new(client, &aws.event_bus)));
        }
        if !aws.topic.is_empty() {
            announcers.push(Arc::new(Topic::new(self.clients.sns(), &aws.topic)));
        }
        if self.config.messaging.is_on() {
            let secret = self.secret(&aws.messaging_secret);
            let messaging = self.config.messaging.clone();
            announcers.extend(SecretBroker::new(messaging, secret).announcers());
        }
        Ok(NotifyDeps {
            outbox: requests.clone(),
            requests: requests.clone(),
            operators: requests,
            announcers,
            api: self.config.api.clone(),
            clock: self.clock.clone(),
        })
    }

    /// The registry client, and the ECR its logins come from.
    fn registry(&self) -> Result<(RegistryClient, Ecr), CloudError> {
        let settings = EcrSettings {
            hosts: self.config.aws.ecr_registries.clone(),
            create_in: match self.config.aws.ecr_create_repositories {
                true => self.config.result_registries(),
                false => BTreeSet::new(),
            },
        };
        let ecr = Ecr::new(self.clients.clone(), settings, self.clock.clone());
        let client = RegistryClient::new(RegistryConfig {
            insecure_registries: self.config.registries.insecure.clone(),
            allowed_registries: self.config.registries.allowed.clone(),
            own_registries: self.config.result_registries(),
            addresses: Addresses::OnlyOutside,
            auth_files: self.config.registries.auth_files.clone(),
            logins: Some(Arc::new(ecr.clone())),
            auth_document: self.auth_secret(),
            patience: self.config.work.call_patience(),
            outward: Some(self.config.outward()?),
            ..RegistryConfig::default()
        })?;
        Ok((client, ecr))
    }

    /// Logins of other registries, if the settings name a secret with them.
    fn auth_secret(&self) -> Option<Arc<dyn AuthDocument>> {
        self.secret(&self.config.aws.registry_auth_secret)
    }

    /// A secret of Secrets Manager, if the settings name it.
    fn secret(&self, id: &str) -> Option<Arc<dyn AuthDocument>> {
        let client = || self.clients.secrets_manager();
        (!id.is_empty())
            .then(|| Arc::new(AuthSecret::new(client(), id, self.clock.clone())) as Arc<_>)
    }

    /// Waiting for changes of requests.
    pub fn watch(&self) -> Arc<dyn Watch> {
        let (client, table) = (self.clients.dynamodb(), &self.config.aws.table);
        Arc::new(DynamoWatch::new(client, table, self.config.api.max_waiting))
    }

    /// What the API lists.
    pub fn listing(&self) -> Arc<dyn Listing> {
        self.requests()
    }

    fn requests(&self) -> Arc<DynamoRequests> {
        let (table, bucket) = (&self.config.aws.table, &self.config.aws.bucket);
        let (dynamodb, s3) = (self.clients.dynamodb(), self.clients.s3());
        let requests = DynamoRequests::new(dynamodb, table, s3, bucket);
        Arc::new(match self.config.announces() {
            true => requests.announcing(),
            false => requests,
        })
    }

    fn queue(&self) -> Arc<dyn Queue> {
        let urls = QueueUrls {
            pin: self.config.aws.pin_queue_url.clone(),
            mutate: self.config.aws.mutate_queue_url.clone(),
            push: self.config.aws.push_queue_url.clone(),
        };
        Arc::new(SqsQueue::new(self.clients.sqs(), urls))
    }

    fn logs(&self) -> Arc<dyn Logs> {
        let (table, clock) = (&self.config.aws.table, self.clock.clone());
        Arc::new(DynamoLogs::new(self.clients.dynamodb(), table, clock))
    }

    fn lines(&self) -> Arc<dyn Lines> {
        let table = &self.config.aws.table;
        Arc::new(DynamoLines::new(self.clients.dynamodb(), table))
    }

    fn artifacts(&self) -> Arc<dyn Artifacts> {
        let bucket = &self.config.aws.bucket;
        Arc::new(S3Artifacts::new(self.clients.s3(), bucket))
    }

    fn secrets(&self) -> Arc<dyn Secrets> {
        let aws = &self.config.aws;
        let (kms, dynamodb) = (self.clients.kms(), self.clients.dynamodb());
        let (key, clock) = (&aws.secret_key, self.clock.clone());
        Arc::new(KmsSecrets::new(kms, dynamodb, key, &aws.table, clock))
    }

    /// A folder of this process in that of the settings, or on the one disk a function has; and what is kept unpacked there
    /// for as long as the function is warm.
    fn scratch(&self) -> Result<(Scratch, Unpacked), CloudError> {
        let path = match self.config.scratch.as_os_str().is_empty() {
            true => Path::new("/tmp"),
            false => &self.config.scratch,
        };
        let failed = |source| CloudError::Scratch {
            path: path.to_owned(),
            source,
        };
        let scratch = Scratch::below(path).map_err(failed)?;
        let unpacked = Unpacked::in_folder(scratch.path(), self.config.work.max_unpacked_bytes);
        Ok((scratch, unpacked.map_err(failed)?))
    }
}
