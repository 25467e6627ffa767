//! Programs that a test starts and talks to on a loopback port.

#![expect(clippy::panic, reason = "a test that cannot be set up has failed")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long one may take to answer. The slowest imports much Python first.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How many ports are tried. Somebody else may take one between the look and the use.
const PORTS_TRIED: usize = 5;

/// How to start a program, and to know that it is ready.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    /// Its name, for whoever has to install it.
    pub(crate) name: &'static str,
    /// The loopback address.
    pub(crate) address: Ipv4Addr,
    /// A path that is answered with 200 when it is ready; for one without, a connection that is
    /// accepted is enough.
    pub(crate) health: Option<&'static str>,
}

/// A running program, killed when dropped.
#[derive(Debug)]
pub(crate) struct Program {
    process: Child,
    host: String,
}

impl Program {
    /// Starts it on a free port and waits until it is ready. The command is made for an address
    /// and a port.
    ///
    /// # Panics
    /// If it is not installed or does not come up in time.
    pub(crate) async fn start(how: Start, mut command: impl FnMut(SocketAddr) -> Command) -> Self {
        for _ in 0..PORTS_TRIED {
            let at = free_port(how.address);
            let process = command(at)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| panic!("{} does not start, install it: {error}", how.name));
            let host = at.to_string();
            let mut program = Self { process, host };
            if program.is_ready(how).await {
                return program;
            }
        }
        panic!(
            "{} ended at once, {PORTS_TRIED} times: run it by hand to see why",
            how.name
        );
    }

    /// Address and port.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// `false` if the process ended.
    async fn is_ready(&mut self, how: Start) -> bool {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                return false;
            }
            if self.answers(how.health).await {
                return true;
            }
            assert!(
                Instant::now() < deadline,
                "{} did not answer at {} in time",
                how.name,
                self.host
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn answers(&self, health: Option<&str>) -> bool {
        let Ok(mut stream) = TcpStream::connect(&self.host).await else {
            return false;
        };
        let Some(path) = health else { return true };
        let call = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        let mut answer = Vec::new();
        stream.write_all(call.as_bytes()).await.is_ok()
            && stream.read_to_end(&mut answer).await.is_ok()
            && answer.starts_with(b"HTTP/1")
            && String::from_utf8_lossy(&answer).contains(" 200 ")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port nobody listens on just now.
fn free_port(address: Ipv4Addr) -> SocketAddr {
    TcpListener::bind((address, 0))
        .and_then(|listener| listener.local_addr())
        .unwrap_or_else(|error| panic!("no loopback port: {error}"))
}
