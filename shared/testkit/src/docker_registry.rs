//! The distribution registry as a process, for tests that want the real thing.
//!
//! It needs `docker-registry`, `htpasswd` for [`Access::Password`] and `openssl` for
//! [`Access::Tls`]; a test that uses it is `#[ignore = "needs docker-registry"]`. A missing program
//! fails the test.

#![expect(clippy::panic, reason = "a test that cannot be set up has failed")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long it may take to start; it takes half a second on an idle machine.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// How many ports are tried.
const PORTS_TRIED: u32 = 3;

const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";

/// Who may use the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Anonymous,
    /// One user, with this name and password.
    Password {
        /// The name.
        user: &'static str,
        /// The password.
        password: &'static str,
    },
    /// Everybody who trusts [`DockerRegistry::certificate`]; over TLS, at 127.0.0.2.
    Tls,
    /// Everybody, and nobody can remove anything: how distribution comes out of the box.
    NothingRemoved,
}

impl Access {
    fn address(self) -> &'static str {
        match self {
            Self::Anonymous | Self::Password { .. } | Self::NothingRemoved => "127.0.0.1",
            // Set apart from the address that programs take for a registry without TLS.
            Self::Tls => "127.0.0.2",
        }
    }
}

/// A running `docker-registry` on a loopback port; it ends, and its storage goes, when dropped.
#[derive(Debug)]
pub struct DockerRegistry {
    process: Child,
    host: String,
    /// Holds configuration and storage.
    folder: TempDir,
}

impl DockerRegistry {
    /// Starts an empty registry and waits until it answers.
    ///
    /// # Panics
    /// If a program is missing or the registry does not come up in time.
    pub async fn start(access: Access) -> Self {
        // Between looking for a free port and listening on it, somebody else may take it.
        for _ in 0..PORTS_TRIED {
            let mut registry = Self::spawn(access);
            if registry.is_ready().await {
                return registry;
            }
        }
        panic!("docker-registry ended at once, {PORTS_TRIED} times: run it by hand to see why");
    }

    fn spawn(access: Access) -> Self {
        let folder =
            tempfile::tempdir().unwrap_or_else(|error| panic!("temporary folder: {error}"));
        let address = access.address();
        let host = format!("{address}:{}", free_port(address));
        let config = folder.path().join("config.yml");
        write(&config, &configuration(folder.path(), &host, access));
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("docker-registry does not start, install it: {error}"));
        Self {
            process,
            host,
            folder,
        }
    }

    /// Address and port, as in pull specs.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The certificate of a registry with [`Access::Tls`], which is its own root.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join(CERTIFICATE)
    }

    /// `false` if the process ended. A connection that is accepted is enough: the registry
    /// listens once it is set up.
    async fn is_ready(&mut self) -> bool {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                return false;
            }
            if tokio::net::TcpStream::connect(&self.host).await.is_ok() {
                return true;
            }
            assert!(
                Instant::now() < deadline,
                "docker-registry did not listen on {} in time",
                self.host
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn configuration(folder: &Path, host: &str, access: Access) -> String {
    let storage = folder.join("storage");
    let mut http = format!("addr: '{host}'");
    let mut auth = String::new();
    let removes = access != Access::NothingRemoved;
    match access {
        Access::Anonymous | Access::NothingRemoved => {}
        Access::Password { user, password } => {
            let passwords = folder.join("htpasswd");
            write(&passwords, &password_line(user, password));
            let passwords = passwords.display();
            auth = format!("auth: {{htpasswd: {{realm: test, path: {passwords}}}}}\n");
        }
        Access::Tls => {
            let (certificate, key) = (folder.join(CERTIFICATE), folder.join(KEY));
            make_certificate(access.address(), &certificate, &key);
            let (certificate, key) = (certificate.display(), key.display());
            http = format!("{http}, tls: {{certificate: {certificate}, key: {key}}}");
        }
    }
    format!(
        "version: 0.1\n\
         log: {{level: error, accesslog: {{disabled: true}}}}\n\
         storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: {removes}}}}}\n\
         http: {{{http}}}\n{auth}",
        storage.display()
    )
}

/// A certificate for an address, signed with its own key and good for a day.
fn make_certificate(address: &str, certificate: &Path, key: &Path) {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"])
        .args(["-subj", "/CN=registry", "-addext"])
        .arg("basicConstraints=critical,CA:FALSE")
        .arg("-addext")
        .arg(format!("subjectAltName=IP:{address}"))
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .output()
        .unwrap_or_else(|error| panic!("openssl does not start, install it: {error}"));
    assert!(output.status.success(), "openssl failed: {output:?}");
}

fn password_line(user: &str, password: &str) -> String {
    let output = Command::new("htpasswd")
        .args(["-Bbn", user, password])
        .output()
        .unwrap_or_else(|error| panic!("htpasswd does not start, install it: {error}"));
    assert!(output.status.success(), "htpasswd failed: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// A port nobody listens on just now.
fn free_port(address: &str) -> u16 {
    TcpListener::bind((address, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .unwrap_or_else(|error| panic!("no loopback port: {error}"))
}
