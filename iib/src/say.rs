//! What commands print.

use std::fmt::Display;
use std::io::{self, Write};

/// Prints to standard output, as it is.
pub(crate) fn text(text: impl Display) -> io::Result<()> {
    write!(io::stdout(), "{text}")
}

/// Prints a line to standard output.
pub(crate) fn line(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// Prints a line to standard error: what is not the command's result. If nobody reads that, the
/// command goes on.
pub(crate) fn aside(text: impl Display) {
    let _nobody_reads = writeln!(io::stderr(), "{text}");
}

/// Whether a command ended because the reader of its output has enough, as `head` does. That is no
/// fault, so nothing is said of it. A connection that breaks is an error of its own type and
/// nothing of this.
pub(crate) fn nobody_reads(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn only_an_output_that_nobody_reads_ends_a_command_silently() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(nobody_reads(&broken().into()));
        let within = Err::<(), _>(broken()).context("the catalog was not read to its end");
        assert!(nobody_reads(&within.unwrap_err()));
        assert!(!nobody_reads(
            &io::Error::from(io::ErrorKind::NotFound).into()
        ));
        assert!(!nobody_reads(&anyhow!(
            "the connection broke: {}",
            broken()
        )));
    }
}
