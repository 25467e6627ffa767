#![doc = include_str!("../README.md")]

mod connection;
mod message;
mod settings;

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use iib_ports::{AnnounceError, Announcer};
use iib_request::{About, Destination, Message};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::warn;

use self::connection::Connection;

pub use self::settings::{BrokerInitError, BrokerLogin, BrokerSettings, TlsFiles};

/// How long a broker that could not be reached is not called again: whoever has something to tell finds
/// that out at once, instead of waiting for it.
const PAUSE: Duration = Duration::from_secs(10);

/// A broker. Its connection comes about when it is first used.
#[expect(missing_debug_implementations, reason = "it holds a login")]
pub struct Broker {
    settings: BrokerSettings,
    tls: Option<tokio_rustls::TlsConnector>,
    /// Messages of one request must not overtake each other, so one is sent after the other.
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    open: Option<Connection>,
    /// Until when it counts as out of reach.
    down: Option<Instant>,
}

/// Why a broker was not told.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it could not be reached a moment ago, and is called again soon")]
    Down,
    #[error("none of its addresses could be reached: {}", told(.0))]
    Unreachable(Vec<(String, Box<dyn Error + Send + Sync>)>),
    #[error("{to} did not confirm a message within {} seconds", limit.as_secs())]
    Late { to: String, limit: Duration },
    #[error("{0} did not take a message")]
    NotTaken(String, #[source] Box<dyn Error + Send + Sync>),
}

fn told(failures: &[(String, Box<dyn Error + Send + Sync>)]) -> String {
    let each = failures
        .iter()
        .map(|(url, error)| format!("{url}: {}", iib_ports::chain(&**error)));
    each.collect::<Vec<_>>().join("; ")
}

impl Broker {
    /// The broker of these settings.
    ///
    /// # Errors
    /// [`BrokerInitError`] if a certificate or a key cannot be read.
    pub fn new(settings: BrokerSettings) -> Result<Self, BrokerInitError> {
        let tls = settings.tls_connector()?;
        Ok(Self {
            settings,
            tls,
            line: Mutex::default(),
        })
    }

    /// Where messages about this go; nowhere, if the settings name no address.
    fn address(&self, about: About) -> Option<&str> {
        match about {
            About::Request { .. } => self.settings.requests_to.as_deref(),
            About::Batch => self.settings.batches_to.as_deref(),
        }
    }

    /// The connection, a new one if there is none.
    async fn connect<'a>(&self, line: &'a mut Line) -> Result<&'a mut Connection, Failure> {
        if line.open.is_none() {
            if line.down.is_some_and(|until| Instant::now() < until) {
                return Err(Failure::Down);
            }
            let mut failures = Vec::new();
            for url in &self.settings.urls {
                let opening = Connection::open(url, &self.settings, self.tls.as_ref());
                match timeout(self.settings.timeout, opening).await {
                    Ok(Ok(open)) => {
                        line.open = Some(open);
                        break;
                    }
                    Ok(Err(error)) => failures.push((url.to_string(), error)),
                    Err(error) => failures.push((url.to_string(), error.into())),
                }
            }
            line.down = line.open.is_none().then(|| Instant::now() + PAUSE);
            if line.open.is_none() {
                return Err(Failure::Unreachable(failures));
            }
        }
        line.open.as_mut().ok_or(Failure::Down)
    }

    async fn send(&self, line: &mut Line, message: &Message, to: &str) -> Result<(), Failure> {
        let document = message::document(message, self.settings.durable);
        let open = self.connect(line).await?;
        let sent = match timeout(self.settings.timeout, open.send(to, document)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => Failure::NotTaken(to.to_owned(), error),
            Err(_) => Failure::Late {
                to: to.to_owned(),
                limit: self.settings.timeout,
            },
        };
        // Whatever it was, what the broker and we think of the connection may differ.
        line.open = None;
        Err(sent)
    }
}

#[async_trait]
impl Announcer for Broker {
    fn destination(&self) -> Destination {
        Destination::Broker
    }

    async fn reach(&self) -> Result<(), AnnounceError> {
        let mut line = self.line.lock().await;
        // Whoever asks comes once a minute.
        line.down = None;
        self.connect(&mut line).await.map(drop).map_err(failed)
    }

    async fn announce(&self, messages: &[Message]) -> Result<(), AnnounceError> {
        let mut line = self.line.lock().await;
        for message in messages {
            let Some(to) = self.address(message.about) else {
                continue;
            };
            let was_open = line.open.is_some();
            let mut sent = self.send(&mut line, message, to).await;
            // An old connection may be one that the broker has given up long since.
            if let (Err(error), true) = (&sent, was_open) {
                warn!(
                    error = iib_ports::chain(error),
                    "the broker is connected to anew"
                );
                sent = self.send(&mut line, message, to).await;
            }
            sent.map_err(failed)?;
        }
        Ok(())
    }
}

fn failed(source: Failure) -> AnnounceError {
    AnnounceError {
        destination: Destination::Broker,
        source: source.into(),
    }
}
