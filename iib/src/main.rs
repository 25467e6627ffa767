//! The `iib` command.

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = iib::cli::Cli::parse();
    iib::run(cli.command).await.into()
}
