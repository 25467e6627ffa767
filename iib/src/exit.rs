//! How a command ends.

use std::process::ExitCode;

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
        })
    }
}

/// Prints an error and its causes.
#[expect(clippy::print_stderr, reason = "a command speaks to its user")]
pub(crate) fn complain(error: &anyhow::Error) {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
}
