//! A connection to a broker, its session, and a link for each address.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::error::Error;
use std::net::Shutdown;

use fe2o3_amqp::connection::{ConnectionHandle, OpenError};
use fe2o3_amqp::sasl_profile::SaslProfile;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::types::messaging::{AmqpValue, Message, Outcome};
use fe2o3_amqp::{Sender, Session};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use url::Url;

use crate::BrokerSettings;

type Failed = Box<dyn Error + Send + Sync>;

/// Ports of the two schemes (AMQP 1.0, part 2 and 5).
const PORT: u16 = 5672;
const TLS_PORT: u16 = 5671;

pub(crate) struct Connection {
    /// Links end with it.
    session: SessionHandle<()>,
    senders: BTreeMap<String, Sender>,
    connection: ConnectionHandle<()>,
    /// The socket once more: whatever waits for a broker that says nothing ends with it.
    socket: std::net::TcpStream,
    /// When it last confirmed something.
    pub(crate) used_at: Instant,
}

/// What was sent came back.
#[derive(Debug, thiserror::Error)]
#[error("the broker answered {0}")]
struct Refused(String);

/// A message that the broker does not have.
pub(crate) enum NotSent {
    /// It does not want it.
    Refused(Failed),
    /// The connection is gone.
    Broken(Failed),
}

/// No connection came about.
enum NotOpen {
    /// Nobody speaks there.
    Silent(Failed),
    /// Who speaks there does not let us in like this.
    Refused(OpenError),
}

impl From<OpenError> for NotOpen {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Io(error) => Self::Silent(error.into()),
            error => Self::Refused(error),
        }
    }
}

impl Connection {
    /// Opens one, and logs in with what there is: a user, else a certificate, else as nobody. Brokers
    /// differ in how nobody says so.
    pub(crate) async fn open(
        url: &Url,
        settings: &BrokerSettings,
        tls: Option<&TlsConnector>,
    ) -> Result<Self, Failed> {
        let tls = tls.filter(|_| url.scheme() == "amqps");
        let mut failed = None;
        for profile in profiles(settings, tls.is_some()) {
            let shows_certificate = matches!(profile, Some(SaslProfile::External));
            match Self::open_as(url, profile, tls).await {
                Ok(open) => return Ok(open),
                Err(NotOpen::Silent(error)) => return Err(error),
                Err(NotOpen::Refused(error)) => {
                    // Whose certificate is not accepted does not go on as nobody.
                    let is_final =
                        shows_certificate && matches!(error, OpenError::SaslError { .. });
                    // The first one is what was meant.
                    failed = failed.or(Some(error));
                    if is_final {
                        break;
                    }
                }
            }
        }
        Err(failed.map_or_else(|| "there is no way to log in".into(), explained))
    }

    async fn open_as(
        url: &Url,
        profile: Option<SaslProfile>,
        tls: Option<&TlsConnector>,
    ) -> Result<Self, NotOpen> {
        let silent = |error: Failed| NotOpen::Silent(error);
        let host = url.host_str().unwrap_or_default();
        // An IPv6 address stands in brackets there.
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let port = url
            .port()
            .unwrap_or(if tls.is_some() { TLS_PORT } else { PORT });
        let stream = TcpStream::connect((name, port)).await;
        let stream = stream.and_then(|stream| {
            stream.set_nodelay(true)?;
            let stream = stream.into_std()?;
            Ok((stream.try_clone()?, TcpStream::from_std(stream)?))
        });
        let (socket, stream) = stream.map_err(|error| silent(error.into()))?;
        let mut builder = fe2o3_amqp::Connection::builder()
            // Brokers let each name be connected once.
            .container_id(format!("iib-{:016x}", fastrand::u64(..)))
            .hostname(host)
            .sasl_hostname(host)
            // TLS is established here, before a word of AMQP.
            .scheme("amqp");
        if let Some(profile) = profile {
            builder = builder.sasl_profile(profile);
        }
        let mut connection = match tls {
            Some(tls) => {
                let name = ServerName::try_from(name.to_owned());
                let name = name.map_err(|error| silent(error.into()))?;
                let stream = tls.connect(name, stream).await;
                let stream = stream.map_err(|error| silent(error.into()))?;
                builder.open_with_stream(stream).await?
            }
            None => builder.open_with_stream(stream).await?,
        };
        let session = Session::begin(&mut connection).await;
        Ok(Self {
            session: session.map_err(|error| silent(error.into()))?,
            senders: BTreeMap::new(),
            connection,
            socket,
            used_at: Instant::now(),
        })
    }

    /// Whether the broker has ended it.
    pub(crate) fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    /// Ends it without a word.
    pub(crate) fn abandon(&self) {
        // What is gone already is what is wanted.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Opens a link to this address, unless there is one.
    pub(crate) async fn attach(&mut self, to: &str) -> Result<(), Failed> {
        if let Entry::Vacant(none) = self.senders.entry(to.to_owned()) {
            let attaching = Sender::attach(&mut self.session, to, to);
            none.insert(tokio::select! {
                attached = attaching => attached?,
                ended = self.connection.on_close() => return Err(ending(ended)),
            });
        }
        Ok(())
    }

    /// Sends a message over a link that is there, and waits until the broker has it.
    pub(crate) async fn send(
        &mut self,
        to: &str,
        message: Message<AmqpValue<String>>,
    ) -> Result<(), NotSent> {
        let sender = self.senders.get_mut(to);
        let sender = sender.ok_or_else(|| NotSent::Broken("the link is gone".into()))?;
        // Nothing else says that the connection has ended while a confirmation is awaited.
        let outcome = tokio::select! {
            outcome = sender.send(message) => outcome.map_err(|error| NotSent::Broken(error.into()))?,
            ended = self.connection.on_close() => return Err(NotSent::Broken(ending(ended))),
        };
        match outcome {
            Outcome::Accepted(_) => {
                self.used_at = Instant::now();
                Ok(())
            }
            other => Err(NotSent::Refused(Refused(format!("{other:?}")).into())),
        }
    }
}

fn ending(ended: Result<(), fe2o3_amqp::connection::Error>) -> Failed {
    match ended {
        Ok(()) => "the broker has closed it".into(),
        Err(error) => error.into(),
    }
}

/// What brokers do not say themselves.
fn explained(error: OpenError) -> Failed {
    match error {
        OpenError::SaslError { code, .. } => {
            format!("it does not let this user or certificate in (SASL: {code:?})").into()
        }
        OpenError::ProtocolHeaderMismatch(header) => format!(
            "it does not speak AMQP 1.0, or not without another login; it began with `{}`",
            header.escape_ascii()
        )
        .into(),
        error => error.into(),
    }
}

/// The ways in which it can say who it is, the best first.
fn profiles(settings: &BrokerSettings, over_tls: bool) -> Vec<Option<SaslProfile>> {
    if let Some(login) = &settings.login {
        return vec![Some(SaslProfile::Plain {
            username: login.user.clone(),
            password: login.password.expose().to_owned(),
        })];
    }
    let external = (over_tls && settings.has_certificate()).then_some(SaslProfile::External);
    let nobody = [Some(SaslProfile::Anonymous), None];
    external.map(Some).into_iter().chain(nobody).collect()
}
