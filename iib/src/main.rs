//! The `iib` command.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    iib::run(iib::command_line().command).await.into()
}
