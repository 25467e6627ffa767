//! Settings that rules depend on. Where they come from is the edge's business.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use iib_oci::ImageFormat;
use serde::{Deserialize, Serialize};

use crate::{BaseUrl, GatingByQueue, GitRepositories, PlatformVersion, TrustedProxies, UserQueues};

/// Binary images by scope (`prod`, `stage`, `dev`) and index version (`v4.6`).
pub type BinaryImages = BTreeMap<String, BTreeMap<String, String>>;

/// Registries by the registries whose place they take, by user.
pub type RegistryReplacements = BTreeMap<String, BTreeMap<String, String>>;

/// What organizations want of the bundles that are made anew for them, step by step; the steps are read and
/// checked by whoever does them (spec regenerate-bundle §7).
pub type OrganizationCustomizations = BTreeMap<String, Vec<serde_json::Value>>;

/// Settings of the API (spec rest-api §12).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiSettings {
    /// Whether POST needs no user.
    pub login_disabled: bool,
    /// Whether GET needs a user where POST does.
    pub reads_need_login: bool,
    /// Largest page of the listing.
    pub max_per_page: u32,
    /// Days that logs are kept.
    pub data_days_to_live: u32,
    /// Most bundles of one request: more would not fit into a stage's time.
    pub max_bundles: u32,
    /// Most build requests of one batch.
    pub max_batch: u32,
    /// Users who may change requests from outside.
    pub worker_usernames: Vec<String>,
    /// Whether build logs are offered to those who read.
    pub offer_logs: bool,
    /// Whether the bundles that a regenerated bundle refers to are.
    pub offer_related_bundles: bool,
    /// Folder of the logs of requests that have ended, as `<id>.log`; none: they are with the other
    /// artifacts.
    pub logs_folder: Option<PathBuf>,
    /// Folder of related bundles, as `<id>_related_bundles.json`; likewise.
    pub related_bundles_folder: Option<PathBuf>,
    /// Folder of nested bundles, as `<id>_recursive_related_bundles.json`; likewise.
    pub nested_bundles_folder: Option<PathBuf>,
    /// Proxies in front of the service whose word for who calls is taken.
    pub trusted_proxies: Vec<TrustedProxies>,
    /// The header in which they say it.
    pub trusted_user_header: Option<String>,
    /// The issuer whose tokens name the caller, as it stands in them; none: tokens say nothing.
    pub jwt_issuer: Option<String>,
    /// Those whom such a token has to be for.
    pub jwt_audiences: Vec<String>,
    /// Scopes of which such a token has to have one; none: whatever it has will do.
    pub jwt_scopes: Vec<String>,
    /// Claims of a token, or fields of an authorizer, that name the caller; the first that is there counts.
    pub user_claims: Vec<String>,
    /// Queues of users.
    pub user_to_queue: UserQueues,
    /// What bundles have to pass, by queue.
    pub greenwave_config: GatingByQueue,
    /// Most requests of one user that may go on at once; 0: any number.
    pub max_live_requests: u32,
    /// Most calls that wait for a change of a request at once; others are answered at once. On AWS so many begin to
    /// in half a minute.
    pub max_waiting: u32,
    /// Values `graph_update_mode` may have.
    pub graph_mode_options: Vec<String>,
    /// Indexes that may be changed with a `graph_update_mode`.
    pub graph_mode_index_allow_list: Vec<String>,
    /// Whether documents in the inbox may ask for overwriting, of which nobody is known who asks.
    pub inbox_overwrites: bool,
    /// The address under which users know the service, such as `https://iib.example.com`; URLs in
    /// answers begin with it. None: they begin with what the client has called.
    pub public_url: Option<BaseUrl>,
    /// Names under which a service that listens on loopback may be called besides those of
    /// loopback and that of `public_url`: a host, or a host and a port.
    pub hosts: Vec<String>,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            login_disabled: true,
            reads_need_login: false,
            max_per_page: 20,
            data_days_to_live: 3,
            max_bundles: 500,
            max_batch: 500,
            user_to_queue: UserQueues::new(),
            greenwave_config: GatingByQueue::new(),
            max_live_requests: 0,
            max_waiting: 200,
            worker_usernames: Vec::new(),
            offer_logs: true,
            offer_related_bundles: true,
            logs_folder: None,
            related_bundles_folder: None,
            nested_bundles_folder: None,
            trusted_proxies: Vec::new(),
            trusted_user_header: None,
            jwt_issuer: None,
            jwt_audiences: Vec::new(),
            jwt_scopes: Vec::new(),
            user_claims: ["username", "cognito:username", "sub"]
                .map(Into::into)
                .into(),
            graph_mode_options: ["replaces", "semver", "semver-skippatch"]
                .map(Into::into)
                .into(),
            graph_mode_index_allow_list: Vec::new(),
            inbox_overwrites: false,
            public_url: None,
            hosts: Vec::new(),
        }
    }
}

/// Settings of the requests themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestSettings {
    /// No request gets a lower number.
    pub first_number: u64,
    /// Whether a request fails whose tag names something that it did not make.
    pub keep_others: bool,
}

impl Default for RequestSettings {
    fn default() -> Self {
        Self {
            first_number: 1,
            keep_others: true,
        }
    }
}

/// Settings of the work itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkSettings {
    /// The registry results are pushed to: host and, if needed, port.
    pub registry: String,
    /// Name of a result; `{registry}` and `{request_id}` are filled in.
    pub image_push_template: String,
    /// Which documents a result has whose request does not say it.
    pub output_format: ImageFormat,
    /// Shown in `index_image` instead of `registry`, if users see another name.
    pub index_image_output_registry: Option<String>,
    /// Binary images by scope and version; makes `binary_image` optional in requests.
    pub binary_images: BinaryImages,
    /// Beginnings of the pull specs of indexes, and users, whose merges may take in bundles that do not
    /// say what platform they are for.
    pub no_ocp_label_allow_list: Vec<String>,
    /// Where Greenwave is, which bundles have to pass where [`ApiSettings::greenwave_config`] says so.
    pub greenwave_url: Option<String>,
    /// Git repositories of indexes, to which overwriting one pushes the packages that changed.
    pub git_repositories: GitRepositories,
    /// The file with the tokens of those repositories, where none is in a secret.
    pub git_tokens_file: Option<PathBuf>,
    /// Labels that the bundles of an add request have to have.
    pub required_labels: BTreeMap<String, String>,
    /// For whom related images are looked for elsewhere: registries by registry, by user.
    pub related_image_registry_replacement: RegistryReplacements,
    /// How bundles are made anew, by organization.
    pub organization_customizations: OrganizationCustomizations,
    /// How many bundles may be found behind a bundle before the search is given up.
    pub max_recursive_related_bundles: u32,
    /// Whether a package in several fragments of a request is refused.
    pub one_fragment_per_package: bool,
    /// Path of the database behind a catalog, in the image.
    pub hidden_database: String,
    /// Folder of deprecations, in a catalog.
    pub deprecations_folder: String,
    /// From which version on the serve cache of a catalog has the newest form.
    pub newest_cache_from: PlatformVersion,
    /// From which version on a catalog is checked by the newest rules.
    pub newest_rules_from: PlatformVersion,
    /// From which version on bundles that come into a catalog have `olm.csv.metadata`.
    pub csv_metadata_from: PlatformVersion,
    /// Whether the reason of a request that failed has the words of the reference only; what else helps is in
    /// its log then.
    pub plain_reasons: bool,
    /// How often a stage is tried before the request fails.
    pub max_attempts: u32,
    /// Seconds a stage may take.
    pub stage_timeout_seconds: u32,
    /// Largest index layer read, bytes uncompressed.
    pub max_index_bytes: u64,
    /// Bytes of inputs that are kept unpacked on the scratch disk, at most; 0: none.
    pub max_unpacked_bytes: u64,
    /// Largest bundle read, bytes uncompressed over all layers.
    pub max_bundle_bytes: u64,
}

impl WorkSettings {
    /// How long the tries of one call to a registry go on. Together with the last of them, which
    /// may take as long again, it is half of a stage's time: a stage that meets a dead registry
    /// ends with a reason that names it.
    pub fn call_patience(&self) -> Duration {
        Duration::from_secs(u64::from(self.stage_timeout_seconds)) / 4
    }
}

impl Default for WorkSettings {
    fn default() -> Self {
        Self {
            registry: String::new(),
            image_push_template: "{registry}/iib-build:{request_id}".to_owned(),
            output_format: ImageFormat::Docker,
            index_image_output_registry: None,
            binary_images: BinaryImages::new(),
            no_ocp_label_allow_list: Vec::new(),
            greenwave_url: None,
            git_repositories: GitRepositories::new(),
            git_tokens_file: None,
            required_labels: BTreeMap::new(),
            related_image_registry_replacement: RegistryReplacements::new(),
            organization_customizations: OrganizationCustomizations::new(),
            max_recursive_related_bundles: 15,
            one_fragment_per_package: false,
            hidden_database: "/var/lib/iib/_hidden/do.not.edit.db".to_owned(),
            deprecations_folder: "_operator-deprecations-content".to_owned(),
            newest_cache_from: PlatformVersion::new(4, 16),
            newest_rules_from: PlatformVersion::new(4, 16),
            csv_metadata_from: PlatformVersion::new(4, 17),
            plain_reasons: false,
            max_attempts: 3,
            stage_timeout_seconds: 300,
            max_index_bytes: 4 * 1024 * 1024 * 1024,
            max_unpacked_bytes: 8 * 1024 * 1024 * 1024,
            max_bundle_bytes: 256 * 1024 * 1024,
        }
    }
}
