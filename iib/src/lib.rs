#![doc = include_str!("../README.md")]

mod auth;
mod bench;
mod bundle;
mod catalog;
mod catalog_filter;
mod catalog_image;
pub mod cli;
mod client;
mod command_line;
mod dead_letters;
mod demo;
mod doctor;
mod exit;
mod flags;
mod follow;
mod image_target;
mod index;
mod index_target;
mod itself;
mod metrics;
mod one_heap;
mod output;
mod requests;
mod say;
mod schedule;
mod serve;
pub mod service;
mod shown;
mod signature;
mod source;
mod submit;
mod tell;
mod wait;
mod watch;

pub use command_line::command_line;
pub use exit::Exit;
pub use itself::commands_page;

use cli::Command;
use iib_edge::config::{environment, unknown_variables};

/// Runs a command and says how it ended.
pub async fn run(command: Command) -> Exit {
    if let Command::Serve(_) = command {
        one_heap::share();
    }
    // Who looks for faults tells of them.
    if !matches!(command, Command::Doctor(_)) {
        note_unknown_variables();
    }
    let result = match command {
        Command::Demo(options) => demo::run(&options).await,
        Command::Serve(options) => serve::run(&options).await,
        Command::Add(options) => submit::add(&options).await,
        Command::Rm(options) => submit::rm(&options).await,
        Command::Merge(options) => submit::merge(&options).await,
        Command::Fbc(options) => submit::fbc(&options).await,
        Command::Deprecations(options) => submit::deprecations(&options).await,
        Command::CreateEmptyIndex(options) => submit::create_empty_index(&options).await,
        Command::Regenerate(options) => submit::regenerate(&options).await,
        Command::Related(options) => submit::related(&options).await,
        Command::Batch(options) => submit::batch(&options).await,
        Command::Rollback(options) => submit::rollback(&options).await,
        Command::List(options) => requests::list(&options).await,
        Command::Show(options) => requests::show(&options).await,
        Command::Logs(options) => requests::logs(&options).await,
        Command::Wait(options) => follow::run(&options).await,
        Command::Cancel(options) => submit::cancel(&options).await,
        Command::Open(options) => requests::open(&options).await,
        Command::Auth(command) => auth::run(&command).await,
        Command::Index(command) => index::run(command).await,
        Command::Catalog(command) => catalog::run(command).await,
        Command::Bundle(command) => bundle::run(command).await,
        Command::Bench(options) => bench::run(&options).await,
        Command::Doctor(options) => doctor::run(&options).await,
        Command::Completions(options) => itself::completions(&options),
        Command::Man(options) => itself::man(&options),
        Command::BenchStage(options) => bench::run_stage(&options).await,
    };
    result.unwrap_or_else(|error| {
        if say::nobody_reads(&error) {
            return Exit::NobodyReads;
        }
        exit::complain(&error);
        Exit::Usage
    })
}

/// What was set in vain is told, whatever the command: it may be why it does not do as it should.
fn note_unknown_variables() {
    for told in unknown_variables(&environment()) {
        say::aside(format_args!("note: {told}"));
    }
}
