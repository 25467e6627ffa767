//! How a command ends.

use std::process::ExitCode;

use crate::say;

/// How a command ended, as its exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: the request failed.
    RequestFailed,
    /// 1: what was compared differs.
    Different,
    /// 2: wrong use, or the command itself could not do its work.
    Usage,
    /// 3: the request was not done in time; it goes on.
    TimedOut,
    /// 141: whoever read the output is gone, as shells tell of a command that ends of it. What it
    /// found, or did, was not told to its end.
    NobodyReads,
    /// 130: stopped by Ctrl-C, as shells tell it; the request goes on.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::RequestFailed | Exit::Different => 1,
            Exit::Usage => 2,
            Exit::TimedOut => 3,
            Exit::Interrupted => 130,
            Exit::NobodyReads => 141,
        })
    }
}

/// Prints an error and its causes, each thing once.
pub(crate) fn complain(error: &anyhow::Error) {
    say::aside(format_args!("error: {error}"));
    for cause in iib_ports::causes(error.as_ref()) {
        say::aside(format_args!("  because: {cause}"));
    }
}
