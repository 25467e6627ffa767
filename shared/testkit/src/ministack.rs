//! The `ministack` program, which stands in for AWS, started for a test.

#![expect(
    clippy::panic,
    reason = "an emulator that does not start fails the test"
)]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long it may take to listen; it imports much Python first.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How many ports are tried. Somebody else may take one between the look and the use.
const PORTS_TRIED: usize = 5;

/// A running emulator, killed when dropped.
#[derive(Debug)]
pub struct Ministack {
    process: Child,
    endpoint: String,
}

impl Ministack {
    /// Starts one on a free port of the loopback and waits until it answers.
    ///
    /// # Panics
    /// If the program is not installed or does not come up.
    pub async fn start() -> Self {
        for _ in 0..PORTS_TRIED {
            let mut emulator = Self::spawn();
            if emulator.is_ready().await {
                return emulator;
            }
        }
        panic!("ministack ended at once, {PORTS_TRIED} times: run it by hand to see why");
    }

    fn spawn() -> Self {
        let port = free_port();
        let endpoint = format!("http://127.0.0.1:{port}");
        let process = Command::new("ministack")
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("AWS_ENDPOINT_URL", &endpoint)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("ministack does not start, install it: {error}"));
        Self { process, endpoint }
    }

    /// Where it is, as `AWS_ENDPOINT_URL` has it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Host and port, as its registry has them in pull specs.
    pub fn host(&self) -> &str {
        self.endpoint.trim_start_matches("http://")
    }

    /// `false` if the process ended.
    async fn is_ready(&mut self) -> bool {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                return false;
            }
            if self.answers().await {
                return true;
            }
            assert!(
                Instant::now() < deadline,
                "ministack did not answer at {} in time",
                self.endpoint
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.host()).await else {
            return false;
        };
        let call = "GET /_ministack/health HTTP/1.0\r\nHost: localhost\r\n\r\n";
        let mut answer = Vec::new();
        stream.write_all(call.as_bytes()).await.is_ok()
            && stream.read_to_end(&mut answer).await.is_ok()
            && answer.starts_with(b"HTTP/1")
            && String::from_utf8_lossy(&answer).contains(" 200 ")
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port nobody listens on just now.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .unwrap_or_else(|error| panic!("no loopback port: {error}"))
}
