//! What the command says of itself: `iib completions`, `iib man`, and the page with all commands.

use std::fmt::Write as _;
use std::fs;

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::Exit;
use crate::cli::{Cli, CompletionsOptions, ManOptions};
use crate::say;

/// Prints what a shell completes words with.
pub(crate) fn completions(options: &CompletionsOptions) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "iib", &mut script);
    say::text(String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// Prints the manual page, or writes those of all commands into a folder.
pub(crate) fn man(options: &ManOptions) -> anyhow::Result<Exit> {
    let Some(folder) = &options.folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        say::text(String::from_utf8_lossy(&page))?;
        return Ok(Exit::Done);
    };
    let shown = folder.display();
    fs::create_dir_all(folder).with_context(|| format!("the folder {shown} cannot be made"))?;
    clap_mangen::generate_to(Cli::command(), folder)
        .with_context(|| format!("the pages cannot be written into {shown}"))?;
    Ok(Exit::Done)
}

/// All commands with their words, as `docs/COMMANDS.md` has them.
pub fn commands_page() -> String {
    let mut page = "# Commands\n\nEach as `--help` tells it. `cargo run -p iib --example commands` writes this page.\n".to_owned();
    let mut command = without_values(Cli::command().disable_help_subcommand(true).term_width(100));
    command.build();
    tell(&mut page, "", &mut command);
    page
}

/// Help that does not show what variables have in them here.
fn without_values(command: clap::Command) -> clap::Command {
    command
        .mut_args(|arg| arg.hide_env_values(true))
        .mut_subcommands(without_values)
}

fn tell(page: &mut String, above: &str, command: &mut clap::Command) {
    let name = match above {
        "" => command.get_name().to_owned(),
        above => format!("{above} {}", command.get_name()),
    };
    let help = command.render_long_help().to_string();
    let lines = help.lines().map(str::trim_end);
    let help = lines.collect::<Vec<_>>().join("\n");
    // Writing to a String cannot fail.
    let _ = write!(page, "\n## {name}\n\n```text\n{}\n```\n", help.trim());
    for below in command
        .get_subcommands_mut()
        .filter(|below| !below.is_hide_set())
    {
        tell(page, &name, below);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../docs/COMMANDS.md");

    #[test]
    fn the_page_has_the_commands_as_they_are() {
        assert!(
            commands_page() == PAGE,
            "docs/COMMANDS.md is another: run `cargo run -p iib --example commands`"
        );
    }
}
