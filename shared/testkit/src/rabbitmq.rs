//! The `rabbitmq-server` program with its AMQP 1.0 plugin, started for a test (Debian:
//! `apt-get install --no-install-recommends rabbitmq-server`).

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fe2o3_amqp::connection::ConnectionHandle;
use fe2o3_amqp::sasl_profile::SaslProfile;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::types::messaging::{AmqpValue, Message};
use fe2o3_amqp::{Connection, Receiver, Session};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Debian's own name of it; the one on the PATH becomes another user first.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// It is slow on a machine that has much else to do.
const START_TIMEOUT: Duration = Duration::from_secs(180);

/// A broker on loopback. `guest` may log in with the password `guest`.
#[derive(Debug)]
pub struct RabbitMq {
    folder: TempDir,
    process: Option<Child>,
    at: SocketAddr,
    /// Between its own nodes.
    dist: u16,
    settings: String,
}

/// Files of a broker that speaks TLS only, and to those only who show a certificate of its authority.
#[derive(Debug)]
pub struct BrokerCertificates<'a> {
    /// The authority.
    pub ca: &'a Path,
    /// The broker's certificate.
    pub certificate: &'a Path,
    /// Its key.
    pub key: &'a Path,
}

impl RabbitMq {
    /// Starts one that speaks plainly, and waits until it takes connections.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    pub async fn start() -> Self {
        Self::with(|at| format!("listeners.tcp.1 = {at}\n")).await
    }

    /// The same over TLS. Whoever names no user there is `guest`.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    pub async fn start_tls(files: BrokerCertificates<'_>) -> Self {
        let BrokerCertificates {
            ca,
            certificate,
            key,
        } = files;
        Self::with(|at| {
            format!(
                "listeners.tcp = none\nlisteners.ssl.1 = {at}\n\
                 ssl_options.cacertfile = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n\
                 ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n\
",
                ca.display(),
                certificate.display(),
                key.display(),
            )
        })
        .await
    }

    async fn with(listeners: impl FnOnce(SocketAddr) -> String) -> Self {
        let free = || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            listener.local_addr().unwrap()
        };
        let (at, dist) = (free(), free().port());
        let settings = format!("{}amqp1_0.default_vhost = /\n", listeners(at));
        let mut broker = Self {
            folder: TempDir::new().unwrap(),
            process: None,
            at,
            dist,
            settings,
        };
        broker.start_again().await;
        broker
    }

    /// Where it is: host and port.
    pub fn address(&self) -> SocketAddr {
        self.at
    }

    /// Starts it after it was stopped; what it had to keep it has kept.
    ///
    /// # Panics
    /// If it does not come up.
    pub async fn start_again(&mut self) {
        let folder = self.folder.path();
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let plugins = "[rabbitmq_amqp1_0].";
        let process = Command::new(SERVER)
            .env(
                "RABBITMQ_NODENAME",
                format!("iib{}@localhost", self.at.port()),
            )
            .env("RABBITMQ_MNESIA_BASE", folder.join("db"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_LOGS", "-")
            .env(
                "RABBITMQ_ENABLED_PLUGINS_FILE",
                file("enabled_plugins", plugins),
            )
            .env(
                "RABBITMQ_CONFIG_FILE",
                file("rabbitmq.conf", &self.settings),
            )
            .env("HOME", folder)
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_DIST_PORT", self.dist.to_string())
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1}",
            )
            // What it starts ends with it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{SERVER} does not start, install it: {error}"));
        self.process = Some(process);
        let deadline = Instant::now() + START_TIMEOUT;
        while !self.is_ready().await {
            assert!(
                Instant::now() < deadline,
                "{SERVER} does not listen at {}",
                self.at
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether all of it has started: its port is open before it knows its plugins. Over TLS only the
    /// port can be seen, and whoever connects has to be patient.
    async fn is_ready(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.at).await else {
            return false;
        };
        if self.settings.contains("ssl") {
            return true;
        }
        let mut answer = [0; 4];
        stream.write_all(b"AMQP\x03\x01\x00\x00").await.is_ok()
            && stream.read_exact(&mut answer).await.is_ok()
            && answer == *b"AMQP"
    }

    /// Kills it.
    ///
    /// # Panics
    /// If there is no `kill`.
    pub fn stop(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        let group = format!("-{}", process.id());
        Command::new("kill")
            .args(["-9", "--", &group])
            .status()
            .unwrap();
        process.wait().unwrap();
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A message, whose body is a text.
pub type Document = Message<AmqpValue<String>>;

/// Somebody who listens.
#[expect(
    missing_debug_implementations,
    reason = "its connection has nothing to show"
)]
pub struct Listener {
    receiver: Receiver,
    _session: SessionHandle<()>,
    _connection: ConnectionHandle<()>,
}

impl Listener {
    /// Listens at an address, as `guest`.
    ///
    /// # Panics
    /// If the broker does not let it.
    pub async fn at(broker: &RabbitMq, address: &str) -> Self {
        let mut connection = Connection::builder()
            .container_id(format!("listener{address}"))
            .sasl_profile(SaslProfile::Plain {
                username: "guest".to_owned(),
                password: "guest".to_owned(),
            })
            .open(format!("amqp://{}", broker.address()).as_str())
            .await
            .unwrap();
        let mut session = Session::begin(&mut connection).await.unwrap();
        let receiver = Receiver::attach(&mut session, "listener", address).await;
        Self {
            receiver: receiver.unwrap(),
            _session: session,
            _connection: connection,
        }
    }

    /// The next message.
    ///
    /// # Panics
    /// If the broker goes away.
    pub async fn next(&mut self) -> Document {
        let delivery = self.receiver.recv().await.unwrap();
        self.receiver.accept(&delivery).await.unwrap();
        delivery.into_message()
    }
}
