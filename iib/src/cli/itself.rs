//! The words of the commands that are about the command itself.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use super::{Output, ServiceAddress};

/// Options of `iib completions`.
#[derive(Debug, Args)]
pub struct CompletionsOptions {
    /// The shell
    pub shell: Shell,
}

/// Options of `iib man`.
#[derive(Debug, Args)]
pub struct ManOptions {
    /// A folder that gets a page for each command [default: that of `iib` is printed]
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

/// Options of `iib doctor`.
#[derive(Debug, Args)]
pub struct DoctorOptions {
    /// Settings file, as for `iib serve`
    #[arg(long, env = "IIB_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder of requests, queues, artifacts, logs and the small registry, as for `iib serve`
    #[arg(long)]
    pub data_folder: Option<PathBuf>,
    /// An image that has to be readable; give it once for each
    #[arg(long = "image", value_name = "PULL_SPEC")]
    pub images: Vec<String>,
    /// How it is printed.
    #[command(flatten)]
    pub output: Output,
    /// The service
    #[command(flatten)]
    pub service: ServiceAddress,
}
