//! The distribution registry as a process, for tests that want the real thing.
//!
//! It needs `docker-registry`, `htpasswd` for [`Access::Password`] and `openssl` for
//! [`Access::Tls`]; a test that uses it is `#[ignore = "needs docker-registry"]`. A missing program
//! fails the test.

#![expect(clippy::panic, reason = "a test that cannot be set up has failed")]

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::program::{Program, Start};

const NAME: &str = "docker-registry";

const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";
/// The name that the certificate of a registry over TLS is for as well, beside its address: nobody knows that name, but for a
/// proxy of the test's.
pub const NAME_OF_TLS: &str = "registry.example";

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
    fn address(self) -> Ipv4Addr {
        match self {
            Self::Anonymous | Self::Password { .. } | Self::NothingRemoved => Ipv4Addr::LOCALHOST,
            // Set apart from the address that programs take for a registry without TLS.
            Self::Tls => Ipv4Addr::new(127, 0, 0, 2),
        }
    }
}

/// A running `docker-registry` on a loopback port; it ends, and its storage goes, when dropped.
#[derive(Debug)]
pub struct DockerRegistry {
    program: Program,
    /// Holds configuration and storage.
    folder: TempDir,
}

impl DockerRegistry {
    /// Starts an empty registry and waits until it listens, which it does once it is set up.
    ///
    /// # Panics
    /// If a program is missing or the registry does not come up in time.
    pub async fn start(access: Access) -> Self {
        let folder =
            tempfile::tempdir().unwrap_or_else(|error| panic!("temporary folder: {error}"));
        let how = Start {
            name: NAME,
            address: access.address(),
            health: None,
        };
        let program = Program::start(how, |at| {
            let config = folder.path().join("config.yml");
            write(
                &config,
                &configuration(folder.path(), &at.to_string(), access),
            );
            let mut command = Command::new(NAME);
            command.arg("serve").arg(&config);
            command
        })
        .await;
        Self { program, folder }
    }

    /// Address and port, as in pull specs.
    pub fn host(&self) -> &str {
        self.program.host()
    }

    /// The certificate of a registry with [`Access::Tls`], which is its own root.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join(CERTIFICATE)
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
fn make_certificate(address: Ipv4Addr, certificate: &Path, key: &Path) {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"])
        .args(["-subj", "/CN=registry", "-addext"])
        .arg("basicConstraints=critical,CA:FALSE")
        .arg("-addext")
        .arg(format!("subjectAltName=IP:{address},DNS:{NAME_OF_TLS}"))
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
