//! The words of the commands that look at the requests of a service, or stop one.

use clap::{Args, ValueEnum};

use super::ServiceAddress;

/// How what was found is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people
    Table,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// How what was found is printed.
#[derive(Debug, Args)]
pub struct Output {
    /// How it is printed
    #[arg(long, value_name = "FORM", default_value = "table")]
    pub output: Form,
    /// The same as --output json
    #[arg(long, conflicts_with = "output")]
    pub json: bool,
}

impl Output {
    /// The form that was asked for.
    pub fn form(&self) -> Form {
        match self.json {
            true => Form::Json,
            false => self.output,
        }
    }
}

/// Options of `iib list`.
#[derive(Debug, Args)]
pub struct ListOptions {
    /// Those in this state only: in_progress, complete or failed
    #[arg(long, value_name = "STATE")]
    pub state: Option<String>,
    /// Those of this type only, such as add
    #[arg(long = "type", value_name = "TYPE")]
    pub request_type: Option<String>,
    /// Those of this user only
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Those of this batch only
    #[arg(long, value_name = "NUMBER")]
    pub batch: Option<u64>,
    /// Those that start from this index only
    #[arg(long, value_name = "PULL_SPEC")]
    pub from_index: Option<String>,
    /// Dry runs, and nothing else
    #[arg(long)]
    pub dry_runs: bool,
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value = "20")]
    pub limit: usize,
    /// How they are printed.
    #[command(flatten)]
    pub output: Output,
    /// The service
    #[command(flatten)]
    pub service: ServiceAddress,
}

/// Options of `iib show`.
#[derive(Debug, Args)]
pub struct ShowOptions {
    /// The number of the request
    #[arg(value_name = "NUMBER")]
    pub request: u64,
    /// How it is printed.
    #[command(flatten)]
    pub output: Output,
    /// The service
    #[command(flatten)]
    pub service: ServiceAddress,
}

/// Options of `iib logs`.
#[derive(Debug, Args)]
pub struct LogsOptions {
    /// The number of the request
    #[arg(value_name = "NUMBER")]
    pub request: u64,
    /// Go on until the request has ended
    #[arg(long, short)]
    pub follow: bool,
    /// The service
    #[command(flatten)]
    pub service: ServiceAddress,
}

/// Options of `iib open`.
#[derive(Debug, Args)]
pub struct OpenOptions {
    /// The number of the request [default: the list of requests]
    #[arg(value_name = "NUMBER")]
    pub request: Option<u64>,
    /// Print the address and start no browser
    #[arg(long)]
    pub print: bool,
    /// The service
    #[command(flatten)]
    pub service: ServiceAddress,
}

/// Options of `iib cancel`.
#[derive(Debug, Args)]
pub struct CancelOptions {
    /// The number of the request
    #[arg(value_name = "NUMBER")]
    pub request: u64,
    /// The service
    #[command(flatten)]
    pub service: ServiceAddress,
    /// Print the request as JSON
    #[arg(long)]
    pub json: bool,
}
