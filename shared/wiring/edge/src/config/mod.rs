//! Settings: defaults, overridden by a file, overridden by the environment.
//!
//! - `defaults.toml` (beside this folder): every setting with its default and what it does;
//! - `variables`: the one table of variables and settings; `unknown`: names that are in none;
//! - `layers`: how they are put over one another; `origin`: where each comes from, and what is wrong;
//! - `folders`, `api`, `requests`, `work`, `results`, `git`, `registries`, `messaging`, `telemetry`, `aws`: what each group may hold;
//! - `auth_files`, `environment`: what podman, docker and the process say;
//! - `reference`: `docs/SETTINGS.md`, the page for people.

mod api;
mod auth_files;
mod aws;
mod environment;
mod folders;
mod git;
mod layers;
mod messaging;
mod origin;
mod reference;
mod registries;
mod requests;
mod results;
mod telemetry;
mod unknown;
mod variables;
mod work;

use std::path::{Path, PathBuf};

use iib_outward::{Outward, OutwardError};
use iib_request::{ApiSettings, RequestSettings, WorkSettings};
use serde::Deserialize;

pub use self::aws::Aws;
pub use self::environment::{Environment, environment};
pub use self::messaging::Messaging;
pub use self::origin::ConfigError;
pub use self::reference::reference_page;
pub use self::registries::Registries;
pub use self::telemetry::Telemetry;
pub use self::unknown::unknown_variables;

use self::environment::set;
use self::origin::Faults;

/// The defaults, commented; also the reference of all settings.
pub const DEFAULTS: &str = include_str!("../defaults.toml");

/// Every setting of a process.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder of the local stores.
    pub data_folder: PathBuf,
    /// Folder for files of a running stage; empty: `scratch` in the data folder.
    pub scratch: PathBuf,
    /// File with certificates of authorities that are trusted beside those that the system trusts; empty: none.
    pub ca_file: PathBuf,
    /// Settings of the API.
    pub api: ApiSettings,
    /// Settings of the requests themselves.
    pub requests: RequestSettings,
    /// Settings of the work.
    pub work: WorkSettings,
    /// How registries are spoken to.
    pub registries: Registries,
    /// Who is told of requests.
    pub messaging: Messaging,
    /// Log lines and traces.
    pub telemetry: Telemetry,
    /// Names of what the functions use on AWS.
    pub aws: Aws,
}

impl Config {
    /// Settings of this process: defaults, the file named by `IIB_CONFIG`, the environment.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault at once; the process should end.
    pub fn from_env() -> Result<Self, ConfigError> {
        let environment = environment();
        Self::load(named_file(&environment), &environment)
    }

    /// The way to other hosts.
    ///
    /// # Errors
    /// [`OutwardError`]: proxies, or the file with certificates.
    pub fn outward(&self) -> Result<Outward, OutwardError> {
        let file = &self.ca_file;
        Outward::new((!file.as_os_str().is_empty()).then_some(file))
    }

    /// Settings of a function on AWS: what local mode has defaults for must be set there.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault at once.
    pub fn for_aws() -> Result<Self, ConfigError> {
        Self::load_for_aws(&environment())
    }

    fn load_for_aws(environment: &Environment) -> Result<Self, ConfigError> {
        let (config, mut faults) = Self::checked(named_file(environment), environment)?;
        aws::check_required(&config, &mut faults);
        faults.or(config)
    }

    /// Settings from a file and an environment. Of the environment, `IIB_CONFIG` does not count here.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault at once.
    pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        let (config, faults) = Self::checked(file, environment)?;
        faults.or(config)
    }

    fn checked(
        file: Option<&Path>,
        environment: &Environment,
    ) -> Result<(Self, Faults), ConfigError> {
        let (mut config, mut faults) = layers::read(file, environment)?;
        folders::check(&config, &mut faults);
        api::check(&config.api, &mut faults);
        requests::check(&config.requests, &mut faults);
        work::check(&config.work, &mut faults);
        registries::check(&config.registries, &mut faults);
        git::check(&config, &mut faults);
        messaging::check(&config.messaging, &mut faults);
        telemetry::check(&config.telemetry, &mut faults);
        aws::check(&config.aws, &mut faults);
        if config.registries.auth_files.is_empty() {
            config.registries.auth_files = auth_files::usual(environment, auth_files::user());
        }
        Ok((config, faults))
    }
}

/// The settings file that the environment names.
fn named_file(environment: &Environment) -> Option<&Path> {
    set(environment, "IIB_CONFIG").map(Path::new)
}

#[cfg(test)]
mod tests;
