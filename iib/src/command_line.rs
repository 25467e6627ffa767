//! The command line of this process.

use clap::builder::Resettable;
use clap::{Arg, CommandFactory as _, FromArgMatches as _};
use iib_edge::config::{Environment, environment};

use crate::cli::Cli;

/// Reads the command line. Where words are missing, variables stand for them; one that is empty is not
/// set, as among the settings. Ends the process where the words cannot be understood, or ask for help.
pub fn command_line() -> Cli {
    let command = without_empty(Cli::command(), &environment());
    let read = Cli::from_arg_matches(&command.get_matches());
    read.unwrap_or_else(|error| error.exit())
}

/// The command, which looks at no variable that is empty.
fn without_empty(command: clap::Command, environment: &Environment) -> clap::Command {
    let is_empty = |arg: &Arg| {
        let name = arg.get_env().and_then(std::ffi::OsStr::to_str);
        let text = name.and_then(|name| environment.get(name));
        text.is_some_and(String::is_empty)
    };
    command
        .mut_args(|arg| match is_empty(&arg) {
            true => arg.env(Resettable::Reset),
            false => arg,
        })
        .mut_subcommands(|command| without_empty(command, environment))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The variables that a command and those below it look at.
    fn looked_at(command: &clap::Command, names: &mut Vec<String>) {
        let own = command.get_arguments().filter_map(Arg::get_env);
        names.extend(own.map(|name| name.to_string_lossy().into_owned()));
        for command in command.get_subcommands() {
            looked_at(command, names);
        }
    }

    #[test]
    fn a_variable_that_is_empty_stands_for_no_word() {
        let (mut all, mut others) = (Vec::new(), Vec::new());
        looked_at(&Cli::command(), &mut all);
        let set = [("IIB_URL", ""), ("IIB_TOKEN", "t")];
        let environment = set.map(|(name, text)| (name.to_owned(), text.to_owned()));
        looked_at(
            &without_empty(Cli::command(), &environment.into()),
            &mut others,
        );
        assert!(all.iter().any(|name| name == "IIB_URL"), "{all:?}");
        all.retain(|name| name != "IIB_URL");
        assert_eq!(others, all);
    }
}
