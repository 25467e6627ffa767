//! Settings: defaults, overridden by a file, overridden by the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use iib_oci::hosts::{Addresses, HostNameError, HostPattern, HostRules, HostSettings};
use iib_oci::{PullSpec, Repository};
use iib_request::{ApiSettings, BaseUrl, WorkSettings};
use serde::Deserialize;

/// The defaults, commented; also the reference of all settings.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// Every setting of a process.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder of the local stores.
    pub data_folder: PathBuf,
    /// Folder for files of a running stage; empty: `scratch` in the data folder.
    pub scratch: PathBuf,
    /// Settings of the API.
    pub api: ApiSettings,
    /// Settings of the work.
    pub work: WorkSettings,
    /// How registries are spoken to.
    pub registries: Registries,
    /// Names of what the functions use on AWS.
    pub aws: Aws,
}

/// Names of what the functions use on AWS. The template sets them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aws {
    /// The DynamoDB table.
    pub table: String,
    /// The S3 bucket.
    pub bucket: String,
    /// URL of the queue of pin.
    pub pin_queue_url: String,
    /// URL of the queue of mutate.
    pub mutate_queue_url: String,
    /// URL of the queue of push.
    pub push_queue_url: String,
    /// The KMS key for secrets of requests: id, ARN or alias.
    pub secret_key: String,
    /// The secret of Secrets Manager with logins of registries that are no ECR: name or ARN; empty
    /// for none.
    pub registry_auth_secret: String,
    /// Registries that are ECR although their names do not say so: an emulator's.
    pub ecr_registries: BTreeSet<String>,
    /// Whether a missing repository of ECR is created when something is pushed to it.
    pub ecr_create_repositories: bool,
}

impl Aws {
    /// What has to be set on AWS, with the variable that sets it.
    fn required(&self) -> [(&'static str, &str); 6] {
        [
            ("IIB_TABLE", &self.table),
            ("IIB_BUCKET", &self.bucket),
            ("IIB_PIN_QUEUE_URL", &self.pin_queue_url),
            ("IIB_MUTATE_QUEUE_URL", &self.mutate_queue_url),
            ("IIB_PUSH_QUEUE_URL", &self.push_queue_url),
            ("IIB_SECRET_KEY", &self.secret_key),
        ]
    }
}

/// How registries are spoken to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registries {
    /// Hosts that are spoken to, be it because a request names them or because a registry leads
    /// there, as [`HostPattern`]s; empty: all.
    pub allowed: BTreeSet<String>,
    /// Hosts (with port) that are spoken to over plain HTTP.
    pub insecure: BTreeSet<String>,
    /// Auth files, first match wins.
    pub auth_files: Vec<PathBuf>,
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The settings file cannot be read.
    #[error("the settings file {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A settings document cannot be understood.
    #[error("the settings in {origin} cannot be understood")]
    Parse {
        /// Where they come from.
        origin: String,
        /// What the parser said.
        source: toml::de::Error,
    },
    /// Settings that cannot work, all of them.
    #[error("these settings cannot be used:\n  {}", .0.join("\n  "))]
    Faults(Vec<String>),
}

/// The environment as it was when the process started.
pub type Environment = BTreeMap<String, String>;

/// The process's environment; variables that are not UTF-8 are not ours and are left out.
pub fn environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

impl Config {
    /// Settings of this process: defaults, the file named by `IIB_CONFIG`, the environment.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault at once; the process should end.
    pub fn from_env() -> Result<Self, ConfigError> {
        let environment = environment();
        let file = environment.get("IIB_CONFIG").map(PathBuf::from);
        Self::load(file.as_deref(), &environment)
    }

    /// Settings of a function on AWS: what local mode has defaults for must be set there.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault at once.
    pub fn for_aws() -> Result<Self, ConfigError> {
        for told in unknown_variables(&environment()) {
            tracing::warn!("{told}");
        }
        Self::from_env()?.checked_for_aws()
    }

    fn checked_for_aws(self) -> Result<Self, ConfigError> {
        let required = self.aws.required().into_iter();
        let required = required.chain([("IIB_REGISTRY", self.work.registry.as_str())]);
        let missing: Vec<String> = required
            .filter(|(_, value)| value.is_empty())
            .map(|(name, _)| format!("{name} is not set; on AWS it must be"))
            .collect();
        if missing.is_empty() {
            Ok(self)
        } else {
            Err(ConfigError::Faults(missing))
        }
    }

    /// Settings from a file and an environment.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        let defaults = parse("the defaults", DEFAULTS)?;
        let mut settings = defaults.clone();
        let mut faults = Vec::new();
        if let Some(path) = file {
            let origin = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
                path: path.to_owned(),
                source,
            })?;
            for (place, setting) in single_settings(parse(&origin, &text)?) {
                let mut one = defaults.clone();
                merge(&mut one, setting.clone());
                match typed(&origin, one) {
                    Ok(_) => merge(&mut settings, setting),
                    Err(error) => faults.push(format!("{origin}: {place}: {}", said(&error))),
                }
            }
        }
        let mut config = typed("the defaults", settings)?;
        let mut vars = Vars::new(environment);
        config.override_from(&mut vars);
        faults.extend(vars.faults);
        config.check(&mut faults);
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError::Faults(faults))
        }
    }

    fn override_from(&mut self, vars: &mut Vars<'_>) {
        let work = &mut self.work;
        vars.parsed("IIB_DATA_FOLDER", &mut self.data_folder);
        vars.parsed("IIB_SCRATCH", &mut self.scratch);
        vars.parsed("IIB_LOGIN_DISABLED", &mut self.api.login_disabled);
        vars.parsed("IIB_MAX_PER_PAGE", &mut self.api.max_per_page);
        vars.parsed(
            "IIB_REQUEST_DATA_DAYS_TO_LIVE",
            &mut self.api.data_days_to_live,
        );
        vars.parsed("IIB_MAX_BUNDLES", &mut self.api.max_bundles);
        vars.list("IIB_GRAPH_MODE_OPTIONS", &mut self.api.graph_mode_options);
        vars.list(
            "IIB_GRAPH_MODE_INDEX_ALLOW_LIST",
            &mut self.api.graph_mode_index_allow_list,
        );
        vars.parsed("IIB_INBOX_OVERWRITES", &mut self.api.inbox_overwrites);
        match vars.get("IIB_PUBLIC_URL").map(str::parse::<BaseUrl>) {
            Some(Ok(url)) => self.api.public_url = Some(url),
            Some(Err(error)) => vars.faults.push(format!("IIB_PUBLIC_URL: {error}")),
            None => {}
        }
        vars.list("IIB_HOSTS", &mut self.api.hosts);
        vars.parsed("IIB_REGISTRY", &mut work.registry);
        vars.parsed("IIB_IMAGE_PUSH_TEMPLATE", &mut work.image_push_template);
        vars.parsed("IIB_MAX_ATTEMPTS", &mut work.max_attempts);
        vars.parsed("IIB_STAGE_TIMEOUT_SECONDS", &mut work.stage_timeout_seconds);
        vars.parsed("IIB_MAX_INDEX_BYTES", &mut work.max_index_bytes);
        vars.parsed("IIB_MAX_BUNDLE_BYTES", &mut work.max_bundle_bytes);
        if let Some(text) = vars.get("IIB_INDEX_IMAGE_OUTPUT_REGISTRY") {
            work.index_image_output_registry = Some(text.to_owned());
        }
        if let Some(text) = vars.get("IIB_BINARY_IMAGE_CONFIG") {
            match serde_json::from_str(text) {
                Ok(images) => work.binary_images = images,
                Err(error) => vars
                    .faults
                    .push(format!("IIB_BINARY_IMAGE_CONFIG: {error}")),
            }
        }
        let aws = &mut self.aws;
        vars.parsed("IIB_TABLE", &mut aws.table);
        vars.parsed("IIB_BUCKET", &mut aws.bucket);
        vars.parsed("IIB_REGISTRY_AUTH_SECRET", &mut aws.registry_auth_secret);
        vars.parsed("IIB_PIN_QUEUE_URL", &mut aws.pin_queue_url);
        vars.parsed("IIB_MUTATE_QUEUE_URL", &mut aws.mutate_queue_url);
        vars.parsed("IIB_PUSH_QUEUE_URL", &mut aws.push_queue_url);
        vars.parsed("IIB_SECRET_KEY", &mut aws.secret_key);
        vars.list("IIB_ECR_REGISTRIES", &mut aws.ecr_registries);
        vars.parsed(
            "IIB_ECR_CREATE_REPOSITORIES",
            &mut aws.ecr_create_repositories,
        );
        vars.list("IIB_ALLOWED_REGISTRIES", &mut self.registries.allowed);
        vars.list("IIB_INSECURE_REGISTRIES", &mut self.registries.insecure);
        if let Some(path) = vars.get("IIB_AUTH_FILE") {
            self.registries.auth_files = vec![path.into()];
        }
        if self.registries.auth_files.is_empty() {
            self.registries.auth_files = usual_auth_files(vars.environment, user());
        }
    }

    /// Collects settings that cannot work.
    fn check(&self, faults: &mut Vec<String>) {
        self.check_template(faults);
        for (name, value) in [
            ("work.max_attempts", self.work.max_attempts),
            (
                "work.stage_timeout_seconds",
                self.work.stage_timeout_seconds,
            ),
            ("api.max_per_page", self.api.max_per_page),
            ("api.max_bundles", self.api.max_bundles),
        ] {
            if value == 0 {
                faults.push(format!("{name} is 0; it must be at least 1"));
            }
        }
        for name in &self.registries.allowed {
            if let Err(error) = name.parse::<HostPattern>() {
                faults.push(format!(
                    "registries.allowed (IIB_ALLOWED_REGISTRIES): {error}"
                ));
            }
        }
        for name in &self.registries.insecure {
            // The path of a repository is immaterial here; the type checks the host.
            if Repository::new(name, "x").is_err() {
                faults.push(format!(
                    "registries.insecure (IIB_INSECURE_REGISTRIES) has `{name}`, which is not a host or host:port: write it as it stands in pull specs"
                ));
            }
        }
        for scope in self.work.binary_images.keys() {
            if iib_request::Scope::parse(scope).is_none() {
                faults.push(format!(
                    "work.binary_images has the scope `{scope}`; use prod, stage or dev"
                ));
            }
        }
    }
}

impl Config {
    /// The registries that results go to: what the settings name, and what the name of a result
    /// begins with. Empty, where that is the small one and has not begun yet.
    pub fn result_registries(&self) -> BTreeSet<String> {
        let registry = self.work.registry.as_str();
        if registry.is_empty() {
            return BTreeSet::new();
        }
        let result = self
            .work
            .image_push_template
            .replace("{registry}", registry);
        let result = result.replace("{request_id}", "1").parse::<PullSpec>();
        let named = result.map(|result| result.repository().registry().to_owned());
        let all = named.into_iter().chain([registry.to_owned()]);
        // A template need not use the setting, so that may be anything.
        all.filter(|name| Repository::new(name, "x").is_ok())
            .collect()
    }

    /// Which hosts are spoken to.
    ///
    /// # Errors
    /// [`HostNameError`] for settings that were not checked.
    pub fn host_rules(&self, addresses: Addresses) -> Result<HostRules, HostNameError> {
        HostRules::new(&HostSettings {
            allowed: self.registries.allowed.clone(),
            plain: self.registries.insecure.clone(),
            own: self.result_registries(),
            addresses,
        })
    }

    /// The name of a result has to be a pull spec whose tag is told by the request, whatever the
    /// request; that is seen here and not after a request's work is done.
    fn check_template(&self, faults: &mut Vec<String>) {
        let template = &self.work.image_push_template;
        // Without a registry in the settings, the small one of local mode is used.
        let registry = match self.work.registry.as_str() {
            "" => "localhost:1",
            registry => registry,
        };
        let name = |id: &str| {
            template
                .replace("{registry}", registry)
                .replace("{request_id}", id)
                .parse::<PullSpec>()
        };
        match (name("1"), name("2")) {
            (Ok(one), Ok(two))
                if one.repository() == two.repository() && one.reference() != two.reference() => {}
            (Ok(_), Ok(_)) => faults.push(format!(
                "work.image_push_template is `{template}`; its tag must contain {{request_id}}, and nothing else may"
            )),
            (Err(error), _) | (_, Err(error)) => faults.push(format!(
                "work.image_push_template is `{template}` and work.registry `{registry}`: {error}"
            )),
        }
    }
}

/// Where podman and docker keep logins, in their order (containers-auth.json(5); the places of
/// variables that are not set are those of the XDG base directory specification and of podman).
fn usual_auth_files(environment: &Environment, user: Option<u32>) -> Vec<PathBuf> {
    let at = |name: &str, rest: &str| {
        environment
            .get(name)
            .filter(|value| !value.is_empty())
            .map(|v| Path::new(v).join(rest))
    };
    // Relative places are to be ignored (XDG base directory specification).
    let absolute = |path: &PathBuf| path.is_absolute();
    let of_user = || user.map(|id| PathBuf::from(format!("/run/containers/{id}/auth.json")));
    [
        environment
            .get("REGISTRY_AUTH_FILE")
            .filter(|v| !v.is_empty())
            .map(PathBuf::from),
        at("XDG_RUNTIME_DIR", "containers/auth.json")
            .filter(absolute)
            .or_else(of_user),
        at("XDG_CONFIG_HOME", "containers/auth.json")
            .filter(absolute)
            .or_else(|| at("HOME", ".config/containers/auth.json")),
        at("DOCKER_CONFIG", "config.json").or_else(|| at("HOME", ".docker/config.json")),
        at("HOME", ".dockercfg"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The user this process runs as, where the system tells.
fn user() -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    Some(std::fs::metadata("/proc/self").ok()?.uid())
}

fn parse(origin: &str, text: &str) -> Result<toml::Table, ConfigError> {
    text.parse().map_err(|source| ConfigError::Parse {
        origin: origin.to_owned(),
        source,
    })
}

fn typed(origin: &str, settings: toml::Table) -> Result<Config, ConfigError> {
    settings.try_into().map_err(|source| ConfigError::Parse {
        origin: origin.to_owned(),
        source,
    })
}

/// What the parser said, on one line.
fn said(error: &ConfigError) -> String {
    let text = match error {
        ConfigError::Parse { source, .. } => source.message().to_owned(),
        other => other.to_string(),
    };
    let text = match text.split_once("expected struct ") {
        Some((found, _)) => format!("{found}expected a table"),
        None => text,
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Each setting of a file as a table of its own, with its name: the parser stops at the first
/// that is wrong, and a person wants to know all of them.
fn single_settings(settings: toml::Table) -> Vec<(String, toml::Table)> {
    let mut single = Vec::new();
    for (section, value) in settings {
        match value {
            toml::Value::Table(members) => {
                for (name, value) in members {
                    let place = format!("{section}.{name}");
                    let member = toml::Table::from_iter([(name, value)]);
                    let table = toml::Table::from_iter([(section.clone(), member.into())]);
                    single.push((place, table));
                }
            }
            value => {
                let place = section.clone();
                single.push((place, toml::Table::from_iter([(section, value)])));
            }
        }
    }
    single
}

/// Variables of the command, which are no settings of the service.
const OF_THE_COMMAND: [&str; 4] = ["IIB_CONFIG", "IIB_URL", "IIB_TOKEN", "IIB_REGISTRY_LOGIN"];

/// Beginnings of variables of this project's own tools, see CONTRIBUTING.md.
const OF_TOOLS: [&str; 8] = [
    "IIB_BINARIES",
    "IIB_KILL_POINTS",
    "IIB_SHARED",
    "IIB_STACK_",
    "IIB_PROFILE",
    "IIB_FUZZ_",
    "IIB_SECOND_OPINIONS",
    "IIB_SAM_VENV",
];

/// A sentence for each variable that begins with `IIB_` and means nothing here: a mistyped one
/// would be passed over in silence, and the setting with it.
pub fn unknown_variables(environment: &Environment) -> Vec<String> {
    let nothing = Environment::new();
    let mut vars = Vars::new(&nothing);
    let mut known: Vec<&str> = match typed("the defaults", parse("", DEFAULTS).unwrap_or_default())
    {
        Ok(mut config) => {
            config.override_from(&mut vars);
            vars.names
        }
        // The defaults are tested.
        Err(_) => return Vec::new(),
    };
    known.extend(OF_THE_COMMAND);
    let unknown = environment.keys().filter(|name| {
        name.starts_with("IIB_")
            && !known.contains(&name.as_str())
            && !OF_TOOLS.iter().any(|tool| name.starts_with(tool))
    });
    unknown
        .map(|name| match similar(name, &known) {
            Some(meant) => format!("{name} is set and means nothing here: is {meant} meant?"),
            None => format!(
                "{name} is set and means nothing here: `iib serve --print-settings` names all variables"
            ),
        })
        .collect()
}

/// The known name that is most like this one, if it is like it at all.
fn similar<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let bare = |name: &'a str| name.trim_start_matches("IIB_");
    let own = name.trim_start_matches("IIB_");
    let likeness = |known: &'a str| strsim::normalized_damerau_levenshtein(own, bare(known));
    let with_likeness = known.iter().map(|known| (*known, likeness(known)));
    let (best, alike) = with_likeness.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    (alike > 0.7).then_some(best)
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(into)), toml::Value::Table(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// Variables that override settings, and what is wrong with them.
struct Vars<'a> {
    environment: &'a Environment,
    faults: Vec<String>,
    /// All that were asked for.
    names: Vec<&'static str>,
}

impl<'a> Vars<'a> {
    fn new(environment: &'a Environment) -> Self {
        Self {
            environment,
            faults: Vec::new(),
            names: Vec::new(),
        }
    }

    fn get(&mut self, name: &'static str) -> Option<&'a str> {
        self.names.push(name);
        self.environment.get(name).map(String::as_str)
    }

    fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
        &mut self,
        name: &'static str,
        into: &mut T,
    ) {
        match self.get(name).map(str::parse) {
            Some(Ok(value)) => *into = value,
            Some(Err(error)) => self.faults.push(format!("{name}: {error}")),
            None => {}
        }
    }

    fn list<C: FromIterator<String>>(&mut self, name: &'static str, into: &mut C) {
        if let Some(text) = self.get(name) {
            *into = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(ToOwned::to_owned)
                .collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> Environment {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn the_defaults_are_valid_and_equal_those_of_the_rules() {
        let config = Config::load(None, &Environment::new()).unwrap();
        assert_eq!(config.api, ApiSettings::default());
        assert_eq!(config.work, WorkSettings::default());
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "[work]\nregistry = \"a.example\"\nmax_attempts = 7\n[registries]\ninsecure = [\"x:1\"]\n",
        )
        .unwrap();
        let environment = vars(&[
            ("IIB_REGISTRY", "b.example"),
            (
                "IIB_BINARY_IMAGE_CONFIG",
                r#"{"prod": {"v4.6": "r.example/b:1"}}"#,
            ),
            ("HOME", "/home/u"),
            ("XDG_RUNTIME_DIR", "/run/user/1"),
        ]);
        let config = Config::load(Some(file.path()), &environment).unwrap();
        assert_eq!(config.work.registry, "b.example");
        assert_eq!(config.work.max_attempts, 7);
        assert_eq!(config.work.binary_images["prod"]["v4.6"], "r.example/b:1");
        assert!(config.registries.insecure.contains("x:1"));
    }

    #[test]
    fn logins_are_where_podman_and_docker_keep_them() {
        let files = |pairs: &[(&str, &str)]| {
            let found = usual_auth_files(&vars(pairs), Some(7));
            let shown = found.iter().map(|path| path.display().to_string());
            shown.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            files(&[("HOME", "/h")]),
            "/run/containers/7/auth.json /h/.config/containers/auth.json \
             /h/.docker/config.json /h/.dockercfg"
        );
        assert_eq!(
            files(&[
                ("HOME", "/h"),
                ("XDG_RUNTIME_DIR", "/run/user/7"),
                ("XDG_CONFIG_HOME", "/c"),
                ("DOCKER_CONFIG", "/d"),
                ("REGISTRY_AUTH_FILE", "/a.json"),
            ]),
            "/a.json /run/user/7/containers/auth.json /c/containers/auth.json \
             /d/config.json /h/.dockercfg"
        );
        // What is set to nothing is not set.
        assert_eq!(
            files(&[
                ("XDG_CONFIG_HOME", ""),
                ("HOME", "/h"),
                ("XDG_RUNTIME_DIR", "/r")
            ]),
            "/r/containers/auth.json /h/.config/containers/auth.json \
             /h/.docker/config.json /h/.dockercfg"
        );
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let environment = vars(&[
            ("IIB_MAX_ATTEMPTS", "none"),
            ("IIB_IMAGE_PUSH_TEMPLATE", "x"),
            ("IIB_STAGE_TIMEOUT_SECONDS", "0"),
            ("IIB_BINARY_IMAGE_CONFIG", "{"),
        ]);
        let text = Config::load(None, &environment).unwrap_err().to_string();
        for part in [
            "IIB_MAX_ATTEMPTS",
            "image_push_template",
            "stage_timeout",
            "BINARY_IMAGE",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn hosts_that_are_spoken_to_are_named_as_in_pull_specs_or_by_domain() {
        let environment = vars(&[("IIB_ALLOWED_REGISTRIES", "*, *.r.example, 10.0.0.1:5000")]);
        let config = Config::load(None, &environment).unwrap();
        assert_eq!(config.registries.allowed.len(), 3);
        let environment = vars(&[(
            "IIB_ALLOWED_REGISTRIES",
            "https://r.example, r.example/x, ok.example",
        )]);
        let text = Config::load(None, &environment).unwrap_err().to_string();
        for part in ["registries.allowed", "`https://r.example`", "`r.example/x`"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("ok.example"), "{text}");
    }

    #[test]
    fn results_go_to_what_the_settings_and_the_names_of_results_say() {
        for (registry, template, expected) in [
            ("", "{registry}/iib-build:{request_id}", vec![]),
            (
                "r.example",
                "{registry}/iib-build:{request_id}",
                vec!["r.example"],
            ),
            (
                "r.example",
                "s.example/iib-build:{request_id}",
                vec!["r.example", "s.example"],
            ),
            (
                "unused",
                "s.example/iib-build:{request_id}",
                vec!["s.example"],
            ),
        ] {
            let vars = vars(&[
                ("IIB_REGISTRY", registry),
                ("IIB_IMAGE_PUSH_TEMPLATE", template),
            ]);
            let found = Config::load(None, &vars).unwrap().result_registries();
            assert_eq!(Vec::from_iter(found), expected);
        }
    }

    #[test]
    fn a_name_of_results_that_cannot_work_is_refused() {
        for (registry, template) in [
            ("r.example", "{registry}/iib-build"),
            ("r.example", "{registry}/iib-build:latest"),
            ("r.example", "{registry}/iib/{request_id}:latest"),
            ("r.example", "{registry}/{request_id}:{request_id}"),
            ("not a registry", "{registry}/iib-build:{request_id}"),
        ] {
            let vars = vars(&[
                ("IIB_REGISTRY", registry),
                ("IIB_IMAGE_PUSH_TEMPLATE", template),
            ]);
            let text = Config::load(None, &vars).unwrap_err().to_string();
            assert!(text.contains("image_push_template"), "{text}");
        }
    }

    #[test]
    fn on_aws_everything_the_template_sets_has_to_be_set() {
        let config = Config::load(None, &Environment::new()).unwrap();
        let text = config.checked_for_aws().unwrap_err().to_string();
        for name in [
            "IIB_TABLE",
            "IIB_BUCKET",
            "IIB_PUSH_QUEUE_URL",
            "IIB_REGISTRY",
        ] {
            assert!(text.contains(name), "{name} in {text}");
        }
    }

    #[test]
    fn unknown_settings_are_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[work]\nregistri = \"a\"\n").unwrap();
        let error = Config::load(Some(file.path()), &Environment::new()).unwrap_err();
        assert!(error.to_string().contains("work.registri"), "{error}");
    }

    #[test]
    fn all_faults_of_a_file_are_told_at_once_with_those_of_the_environment() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "data_folders = \"x\"\nwork = 3\n[api]\nmax_per_page = \"many\"\nno_such = 1\n\
                    [registries]\ninsecure = \"r.example\"\n[nothing]\nx = 1\n";
        std::fs::write(file.path(), text).unwrap();
        let environment = vars(&[("IIB_MAX_ATTEMPTS", "none")]);
        let error = Config::load(Some(file.path()), &environment).unwrap_err();
        let text = error.to_string();
        for part in [
            "data_folders: unknown field",
            "work: invalid type: integer `3`, expected a table",
            "api.max_per_page: invalid type",
            "api.no_such: unknown field",
            "registries.insecure: invalid type",
            "nothing.x: unknown field",
            "IIB_MAX_ATTEMPTS",
            file.path().to_str().unwrap(),
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(text.lines().count(), 8, "{text}");
    }

    #[test]
    fn text_that_is_no_toml_is_told_with_its_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[work]\nregistry = \n").unwrap();
        let error = Config::load(Some(file.path()), &Environment::new()).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("line 2"), "{source}");
    }

    #[test]
    fn a_mistyped_variable_is_named_with_the_one_that_is_meant() {
        let environment = vars(&[
            ("IIB_INSECURE_REGISTRY", "x"),
            ("IIB_MAX_ATEMPTS", "3"),
            ("IIB_COLOUR", "blue"),
            ("IIB_REGISTRY", "r.example"),
            ("IIB_TOKEN", "t"),
            ("IIB_SHARED", "/s"),
            ("IIB_STACK_REGISTRY", "r"),
            ("OTHER", "x"),
        ]);
        let told = unknown_variables(&environment);
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].starts_with("IIB_COLOUR is set") && told[0].contains("--print-settings"));
        assert!(
            told[1].contains("is IIB_INSECURE_REGISTRIES meant"),
            "{told:?}"
        );
        assert!(told[2].contains("is IIB_MAX_ATTEMPTS meant"), "{told:?}");
        // Their values are nobody's business.
        assert!(!told.concat().contains("blue"));
    }
}
