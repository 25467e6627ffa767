//! The `ministack` program, which stands in for AWS, started for a test.

use std::net::Ipv4Addr;
use std::process::Command;

use crate::program::{Program, Start};

const MINISTACK: Start = Start {
    name: "ministack",
    address: Ipv4Addr::LOCALHOST,
    health: Some("/_ministack/health"),
};

/// A running emulator, killed when dropped.
#[derive(Debug)]
pub struct Ministack {
    program: Program,
    endpoint: String,
}

impl Ministack {
    /// Starts one on a free port of the loopback and waits until it answers.
    ///
    /// # Panics
    /// If the program is not installed or does not come up.
    pub async fn start() -> Self {
        let program = Program::start(MINISTACK, |at| {
            let mut command = Command::new(MINISTACK.name);
            command
                .env("BIND_HOST", at.ip().to_string())
                .env("GATEWAY_PORT", at.port().to_string())
                .env("AWS_ENDPOINT_URL", format!("http://{at}"));
            command
        })
        .await;
        let endpoint = format!("http://{}", program.host());
        Self { program, endpoint }
    }

    /// Where it is, as `AWS_ENDPOINT_URL` has it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Host and port, as its registry has them in pull specs.
    pub fn host(&self) -> &str {
        self.program.host()
    }
}
