#![doc = include_str!("../README.md")]

mod connection;
mod message;
mod settings;

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
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

/// Those who listen at one of a broker's two addresses.
#[expect(missing_debug_implementations, reason = "it holds a login")]
pub struct Listeners {
    broker: Arc<Broker>,
    destination: Destination,
}

#[derive(Default)]
struct Line {
    open: Option<Connection>,
    /// While it counts as out of reach.
    pause: Pause,
    /// While addresses count as not taken.
    not_taken: BTreeMap<String, Pause>,
    /// The place of the address that was connected to last.
    last: usize,
}

/// A time in which something is not tried again.
#[derive(Default)]
struct Pause {
    until: Option<Instant>,
    /// Why.
    reason: String,
    /// Failures in a row.
    failures: u32,
}

impl Pause {
    fn check(&self) -> Result<(), Failure> {
        match self.until.is_some_and(|until| Instant::now() < until) {
            true => Err(Failure::Lately(self.reason.clone())),
            false => Ok(()),
        }
    }

    fn begin(&mut self, why: &Failure) {
        let pause = PAUSE.saturating_mul(2_u32.saturating_pow(self.failures));
        self.until = Some(Instant::now() + pause.min(LONGEST_PAUSE));
        self.failures = self.failures.saturating_add(1);
        self.reason = iib_ports::chain(why);
    }
}

impl Line {
    /// Whether there is a connection that is likely to work.
    fn works(&mut self) -> bool {
        let works = |open: &Connection| !open.is_closed() && open.used_at.elapsed() < IDLE;
        if !self.open.as_ref().is_some_and(works) {
            self.hang_up();
        }
        self.open.is_some()
    }

    fn hang_up(&mut self) {
        if let Some(open) = self.open.take() {
            open.abandon();
        }
    }
}

/// Why a broker was not told.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it is not tried again so soon; a moment ago: {0}")]
    Lately(String),
    #[error("none of its addresses could be reached: {}", told(.0))]
    Unreachable(Vec<(String, Box<dyn Error + Send + Sync>)>),
    #[error("{to} did not confirm a message within {} seconds", limit.as_secs())]
    Late { to: String, limit: Duration },
    #[error("{0} takes no messages")]
    NoLink(String, #[source] Box<dyn Error + Send + Sync>),
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
    /// [`BrokerInitError`] if a certificate or a key cannot be read, or settings do not go together.
    pub fn new(settings: BrokerSettings) -> Result<Self, BrokerInitError> {
        settings.check()?;
        let tls = settings.tls_connector()?;
        Ok(Self {
            settings,
            tls,
            line: Mutex::default(),
        })
    }

    /// Those who are told: one for each address that the settings name.
    pub fn listeners(self) -> Vec<Listeners> {
        let broker = Arc::new(self);
        let both = [Destination::BrokerRequests, Destination::BrokerBatches];
        let named = both.into_iter().filter(|to| broker.address(*to).is_some());
        named
            .map(|destination| Listeners {
                broker: broker.clone(),
                destination,
            })
            .collect()
    }

    /// Where messages for these listeners go; nowhere, if the settings name no address.
    fn address(&self, listeners: Destination) -> Option<&str> {
        match listeners {
            Destination::BrokerRequests => self.settings.requests_to.as_deref(),
            Destination::BrokerBatches => self.settings.batches_to.as_deref(),
            Destination::EventBus | Destination::Topic => None,
        }
    }

    /// The connection, a new one if there is none. All addresses of the broker share the time for one.
    async fn connect<'a>(&self, line: &'a mut Line) -> Result<&'a mut Connection, Failure> {
        if !line.works() {
            line.pause.check()?;
            let urls = &self.settings.urls;
            let each = u32::try_from(urls.len()).unwrap_or(u32::MAX).max(1);
            let each = self.settings.timeout / each;
            let mut failures = Vec::new();
            // The one that was there the last time comes first.
            for place in (line.last..urls.len()).chain(0..line.last) {
                let Some(url) = urls.get(place) else { continue };
                let opening = Connection::open(url, &self.settings, self.tls.as_ref());
                match timeout(each, opening).await {
                    Ok(Ok(open)) => {
                        (line.open, line.last) = (Some(open), place);
                        break;
                    }
                    Ok(Err(error)) => failures.push((url.to_string(), error)),
                    Err(error) => failures.push((url.to_string(), error.into())),
                }
            }
            if line.open.is_none() {
                let failure = Failure::Unreachable(failures);
                line.pause.begin(&failure);
                return Err(failure);
            }
        }
        let Line { open, pause, .. } = line;
        open.as_mut().ok_or(Failure::Lately(pause.reason.clone()))
    }

    async fn send(&self, line: &mut Line, message: &Message, to: &str) -> Result<(), Failure> {
        self.attach(line, to).await?;
        let document = message::document(message, self.settings.durable);
        self.connect(line).await?;
        // Whoever does not wait for the end of it leaves no connection behind on which half of a message stands.
        let Some(mut open) = line.open.take() else {
            return Err(Failure::Lately(line.pause.reason.clone()));
        };
        let sent = timeout(self.settings.timeout, open.send(to, document)).await;
        if matches!(&sent, Ok(Ok(()) | Err(NotSent::Refused(_)))) {
            // It has answered: it works.
            line.open = Some(open);
            line.pause = Pause::default();
        } else {
            open.abandon();
        }
        let failure = match sent {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(NotSent::Refused(error))) => Failure::NotTaken(to.to_owned(), error),
            Ok(Err(NotSent::Broken(error))) => Failure::Broken(to.to_owned(), error),
            Err(_) => {
                let limit = self.settings.timeout;
                let to = to.to_owned();
                let failure = Failure::Late { to, limit };
                line.pause.begin(&failure);
                failure
            }
        };
        Err(failure)
    }

    /// Opens a link to an address, unless there is one.
    async fn attach(&self, line: &mut Line, to: &str) -> Result<(), Failure> {
        if let Some(pause) = line.not_taken.get(to) {
            pause.check()?;
        }
        loop {
            let is_old = line.works();
            let open = self.connect(line).await?;
            let failure = match timeout(self.settings.timeout, open.attach(to)).await {
                Ok(Ok(())) => {
                    line.not_taken.remove(to);
                    return Ok(());
                }
                Ok(Err(error)) => Failure::NoLink(to.to_owned(), error),
                Err(error) => Failure::NoLink(to.to_owned(), error.into()),
            };
            // Some brokers end what a link was asked for in.
            line.hang_up();
            // An old connection may be one that the broker has given up long since.
            if !is_old {
                let pause = line.not_taken.entry(to.to_owned()).or_default();
                pause.begin(&failure);
                return Err(failure);
            }
        }
    }
}

impl Listeners {
    /// Where they listen, and the line to it.
    fn address(&self) -> Option<&str> {
        self.broker.address(self.destination)
    }

    fn failed(&self, source: Failure) -> AnnounceError {
        AnnounceError {
            destination: self.destination,
            is_known: matches!(source, Failure::Lately(_)),
            source: source.into(),
        }
    }

    fn hears(&self, message: &Message) -> bool {
        match (message.about, self.destination) {
            (About::Request { .. }, to) => to == Destination::BrokerRequests,
            (About::Batch, to) => to == Destination::BrokerBatches,
        }
    }
}

#[async_trait]
impl Announcer for Listeners {
    fn destination(&self) -> Destination {
        self.destination
    }

    async fn reach(&self) -> Result<(), AnnounceError> {
        let Some(to) = self.address() else {
            return Ok(());
        };
        let mut line = self.broker.line.lock().await;
        // Whoever asks comes once a minute. Nothing but a new connection says how it is now.
        line.pause.until = None;
        if let Some(pause) = line.not_taken.get_mut(to) {
            pause.until = None;
        }
        line.hang_up();
        let attached = self.broker.attach(&mut line, to).await;
        attached.map_err(|failure| self.failed(failure))
    }

    async fn announce(&self, messages: &[Message]) -> Result<(), AnnounceError> {
        let Some(to) = self.address() else {
            return Ok(());
        };
        let mut line = self.broker.line.lock().await;
        for message in messages.iter().filter(|message| self.hears(message)) {
            let was_open = line.open.is_some();
            let mut sent = self.broker.send(&mut line, message, to).await;
            // An old connection may be one that the broker has given up long since.
            if let (Err(error @ Failure::Broken(..)), true) = (&sent, was_open) {
                warn!(
                    error = iib_ports::chain(error),
                    "the broker is connected to anew"
                );
                sent = self.broker.send(&mut line, message, to).await;
            }
            sent.map_err(|failure| self.failed(failure))?;
        }
        Ok(())
    }
}
