//! A connection to a broker, its session, and a link for each address.

use std::collections::BTreeMap;
use std::error::Error;

use fe2o3_amqp::connection::ConnectionHandle;
use fe2o3_amqp::sasl_profile::SaslProfile;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::types::messaging::{AmqpValue, Message, Outcome};
use fe2o3_amqp::{Sender, Session};
use tokio::net::TcpStream;
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
    _connection: ConnectionHandle<()>,
}

/// What was sent came back.
#[derive(Debug, thiserror::Error)]
#[error("the broker answered {0}")]
struct Refused(String);

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
            match Self::open_as(url, profile, tls).await {
                Ok(open) => return Ok(open),
                // The first one is what was meant.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or_else(|| "there is no way to log in".into()))
    }

    async fn open_as(
        url: &Url,
        profile: Option<SaslProfile>,
        tls: Option<&TlsConnector>,
    ) -> Result<Self, Failed> {
        let host = url.host_str().unwrap_or_default();
        // An IPv6 address stands in brackets there.
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let port = url
            .port()
            .unwrap_or(if tls.is_some() { TLS_PORT } else { PORT });
        let stream = TcpStream::connect((name, port)).await?;
        stream.set_nodelay(true)?;
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
                let name = ServerName::try_from(name.to_owned())?;
                let stream = tls.connect(name, stream).await?;
                builder.open_with_stream(stream).await?
            }
            None => builder.open_with_stream(stream).await?,
        };
        let session = Session::begin(&mut connection).await?;
        Ok(Self {
            session,
            senders: BTreeMap::new(),
            _connection: connection,
        })
    }

    /// Sends a message, and waits until the broker has it.
    pub(crate) async fn send(
        &mut self,
        to: &str,
        message: Message<AmqpValue<String>>,
    ) -> Result<(), Failed> {
        if !self.senders.contains_key(to) {
            let sender = Sender::attach(&mut self.session, to, to).await?;
            self.senders.insert(to.to_owned(), sender);
        }
        let sender = self.senders.get_mut(to).ok_or("the link is gone")?;
        match sender.send(message).await? {
            Outcome::Accepted(_) => Ok(()),
            other => Err(Refused(format!("{other:?}")).into()),
        }
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
