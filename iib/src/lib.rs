#![doc = include_str!("../README.md")]

mod add;
mod bench;
mod catalog;
pub mod cli;
mod client;
mod dead_letters;
mod demo;
mod exit;
mod index;
mod index_target;
mod schedule;
mod serve;
pub mod service;
mod source;
mod wait;
mod watch;

pub use exit::Exit;

use cli::Command;

/// Runs a command and says how it ended.
pub async fn run(command: Command) -> Exit {
    let result = match command {
        Command::Demo(options) => demo::run(&options).await,
        Command::Serve(options) => serve::run(&options).await,
        Command::Add(options) => add::run(&options).await,
        Command::Index(command) => index::run(command).await,
        Command::Catalog(command) => catalog::run(command).await,
        Command::Bench(options) => bench::run(&options).await,
        Command::BenchStage(options) => bench::run_stage(&options).await,
    };
    result.unwrap_or_else(|error| {
        exit::complain(&error);
        Exit::Usage
    })
}
