//! What can go wrong with a repository.

use std::io;
use std::time::Duration;

use iib_oci::hosts::HostRefusal;
use iib_ports::Class;

/// Why a repository could not be read, or not be written to. None has anything of a token: what a server says is shown
/// without it ([`crate::remote::Remote::told`]).
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The address is none.
    #[error(
        "that is no address of a Git repository: write it as https://host/path.git, without a login"
    )]
    Address,
    /// The settings do not allow to speak to it.
    #[error(transparent)]
    Host(#[from] HostRefusal),
    /// It could not be asked, or the answer broke off.
    #[error("it cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// It does not go on.
    #[error("it was silent for {} s", .0.as_secs())]
    Silent(Duration),
    /// The login is refused.
    #[error(
        "it refuses the token (status {0}): one that may read and write the repository is needed"
    )]
    Login(u16),
    /// Another answer than success.
    #[error("it answered with status {0}")]
    Status(u16),
    /// It leads elsewhere, where the token is not shown.
    #[error("it leads to {0}, where the token is not shown: name the repository's own address")]
    Redirect(String),
    /// The answer is none of Git's.
    #[error("it does not speak Git's protocol: {0}")]
    Protocol(&'static str),
    /// It has more than is read.
    #[error("it sends more than {0} bytes")]
    TooLarge(u64),
    /// It says itself that something is wrong.
    #[error("it says: {0}")]
    Said(String),
    /// It does not take a commit.
    #[error("it does not take the commit: {0}")]
    Refused(String),
    /// A stream broke off.
    #[error("its answer broke off")]
    Cut(#[source] io::Error),
    /// What it sends is no pack, or there is no room for it.
    #[error("its pack could not be taken in: is the disk full?")]
    Pack(#[source] io::Error),
    /// Objects that cannot be read or written.
    #[error("its objects cannot be used here")]
    Objects(#[from] git2::Error),
    /// A file of this machine.
    #[error("a scratch file could not be used: is the disk full?")]
    Scratch(#[source] io::Error),
    /// A thread broke off.
    #[error("a computation broke off")]
    BrokenOff(#[source] tokio::task::JoinError),
}

impl Fault {
    /// Whether it may pass.
    pub(crate) fn class(&self) -> Class {
        match self {
            Self::Status(408 | 429 | 500..) => Class::Retry,
            Self::Unreachable(_)
            | Self::Silent(_)
            | Self::Said(_)
            | Self::Cut(_)
            | Self::Pack(_)
            | Self::Objects(_)
            | Self::Scratch(_) => Class::Retry,
            Self::Address
            | Self::Host(_)
            | Self::Login(_)
            | Self::Status(_)
            | Self::Redirect(_)
            | Self::Protocol(_)
            | Self::TooLarge(_)
            | Self::Refused(_) => Class::Reject,
            Self::BrokenOff(_) => Class::Bug,
        }
    }

    /// A failure while a stream was read: what is inside, if it was ours.
    pub(crate) fn of_reading(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(fault) => fault,
            Err(error) => Self::Cut(error),
        }
    }
}
