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

use self::connection::{Connection, NotSent};

pub use self::settings::{BrokerInitError, BrokerLogin, BrokerSettings, TlsFiles};

/// How long a broker that could not be reached, or did not answer, is not called again: whoever has something to tell
/// finds that out at once, instead of waiting for it. Each failure in a row doubles it.
const PAUSE: Duration = Duration::from_secs(10);
/// Its longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// How long a connection that nothing is sent on is believed in.
const IDLE: Duration = Duration::from_secs(60);

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
    /// Failures since it last confirmed something or was connected to.
    failures: u32,
}

impl Line {
    /// The connection, if there is one that is likely to work.
    fn working(&mut self) -> bool {
        self.open = self.open.take().filter(|open| {
            let works = !open.is_closed() && open.used_at.elapsed() < IDLE;
            if !works {
                open.abandon();
            }
            works
        });
        self.open.is_some()
    }

    /// Whatever it was, what the broker and we think of the connection may differ.
    fn is_lost(&mut self) {
        if let Some(open) = self.open.take() {
            open.abandon();
        }
    }

    fn is_down(&mut self) {
        self.is_lost();
        let pause = PAUSE.saturating_mul(2_u32.saturating_pow(self.failures));
        self.down = Some(Instant::now() + pause.min(LONGEST_PAUSE));
        self.failures = self.failures.saturating_add(1);
    }

    fn is_well(&mut self) {
        (self.down, self.failures) = (None, 0);
    }
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
    #[error("the connection ended before {0} had a message")]
    Broken(String, #[source] Box<dyn Error + Send + Sync>),
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

    /// The connection, a new one if there is none. All addresses of the broker share the time for one.
    async fn connect<'a>(&self, line: &'a mut Line) -> Result<&'a mut Connection, Failure> {
        if !line.working() {
            if line.down.is_some_and(|until| Instant::now() < until) {
                return Err(Failure::Down);
            }
            let urls = u32::try_from(self.settings.urls.len()).unwrap_or(u32::MAX);
            let each = self.settings.timeout / urls.max(1);
            let mut failures = Vec::new();
            for url in &self.settings.urls {
                let opening = Connection::open(url, &self.settings, self.tls.as_ref());
                match timeout(each, opening).await {
                    Ok(Ok(open)) => {
                        line.open = Some(open);
                        break;
                    }
                    Ok(Err(error)) => failures.push((url.to_string(), error)),
                    Err(error) => failures.push((url.to_string(), error.into())),
                }
            }
            if line.open.is_none() {
                line.is_down();
                return Err(Failure::Unreachable(failures));
            }
        }
        line.open.as_mut().ok_or(Failure::Down)
    }

    async fn send(&self, line: &mut Line, message: &Message, to: &str) -> Result<(), Failure> {
        let document = message::document(message, self.settings.durable);
        let open = self.connect(line).await?;
        match timeout(self.settings.timeout, open.send(to, document)).await {
            Ok(Ok(())) => {
                line.is_well();
                Ok(())
            }
            // It has answered: it works.
            Ok(Err(NotSent::Refused(error))) => {
                line.is_well();
                Err(Failure::NotTaken(to.to_owned(), error))
            }
            Ok(Err(NotSent::NoLink(error))) => {
                line.is_lost();
                Err(Failure::NotTaken(to.to_owned(), error))
            }
            Ok(Err(NotSent::Broken(error))) => {
                line.is_lost();
                Err(Failure::Broken(to.to_owned(), error))
            }
            Err(_) => {
                line.is_down();
                Err(Failure::Late {
                    to: to.to_owned(),
                    limit: self.settings.timeout,
                })
            }
        }
    }
}

#[async_trait]
impl Announcer for Broker {
    fn destination(&self) -> Destination {
        Destination::Broker
    }

    async fn reach(&self) -> Result<(), AnnounceError> {
        let mut line = self.line.lock().await;
        // Whoever asks comes once a minute. Nothing but a new connection says how it is now.
        line.down = None;
        line.is_lost();
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
            if let (Err(error @ Failure::Broken(..)), true) = (&sent, was_open) {
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
