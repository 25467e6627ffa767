//! Emulators of single services, for a second opinion on what a test over ministack shows:
//! `dynoxide` (DynamoDB) and `s3s-fs` (S3). Neither is part of an ordinary machine; a test that
//! uses them is `#[ignore = "needs dynoxide and s3s-fs"]`.

#![expect(clippy::panic, reason = "a test that cannot be set up has failed")]

use std::net::Ipv4Addr;
use std::process::Command;

use tempfile::TempDir;

use crate::program::{Program, Start};

/// Access key and secret of [`S3sFs`], which checks signatures.
pub const CREDENTIALS: (&str, &str) = ("test", "test");

const DYNOXIDE: Start = Start {
    name: "dynoxide",
    address: Ipv4Addr::LOCALHOST,
    health: None,
};

const S3S_FS: Start = Start {
    name: "s3s-fs",
    address: Ipv4Addr::LOCALHOST,
    health: None,
};

/// A running `dynoxide` with nothing in it, killed when dropped.
#[derive(Debug)]
pub struct Dynoxide {
    program: Program,
}

impl Dynoxide {
    /// Starts one and waits until it listens.
    ///
    /// # Panics
    /// If the program is not installed or does not come up.
    pub async fn start() -> Self {
        let program = Program::start(DYNOXIDE, |at| {
            let mut command = Command::new(DYNOXIDE.name);
            command
                .args(["serve", "--host", &at.ip().to_string()])
                .args(["-p", &at.port().to_string()]);
            command
        });
        Self {
            program: program.await,
        }
    }

    /// Its address.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.program.host())
    }
}

/// A running `s3s-fs` with nothing in it; it ends, and what it holds goes, when dropped.
#[derive(Debug)]
pub struct S3sFs {
    program: Program,
    _folder: TempDir,
}

impl S3sFs {
    /// Starts one and waits until it listens.
    ///
    /// # Panics
    /// If the program is not installed or does not come up.
    pub async fn start() -> Self {
        let folder =
            tempfile::tempdir().unwrap_or_else(|error| panic!("temporary folder: {error}"));
        let program = Program::start(S3S_FS, |at| {
            let (key, secret) = CREDENTIALS;
            let mut command = Command::new(S3S_FS.name);
            command
                .args(["--host", &at.ip().to_string()])
                .args(["--port", &at.port().to_string()])
                .args(["--access-key", key, "--secret-key", secret])
                .arg(folder.path());
            command
        })
        .await;
        Self {
            program,
            _folder: folder,
        }
    }

    /// Its address.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.program.host())
    }
}
