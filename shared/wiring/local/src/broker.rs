//! The message broker of the settings.

use std::path::Path;
use std::sync::Arc;

use iib_amqp::{Broker, BrokerInitError, BrokerLogin, BrokerSettings, TlsFiles};
use iib_edge::Messaging;
use iib_ports::{Announcer, Secret};
use tracing::warn;

/// Those whom the settings name: the broker, or nobody.
pub(crate) fn announcers(
    messaging: &Messaging,
) -> Result<Vec<Arc<dyn Announcer>>, BrokerInitError> {
    if !messaging.is_on() {
        let half = messaging.urls.is_empty() != (messaging.destinations() == [None, None]);
        if half {
            warn!(
                "nobody is told of requests: messaging.urls and an address for requests or batches go together"
            );
        }
        return Ok(Vec::new());
    }
    let [requests_to, batches_to] = messaging.destinations();
    let broker = Broker::new(BrokerSettings {
        urls: messaging.brokers(),
        requests_to,
        batches_to,
        durable: messaging.durable,
        timeout: messaging.timeout(),
        tls: TlsFiles {
            ca: bytes(&messaging.ca)?,
            certificate: bytes(&messaging.certificate)?,
            key: text(&messaging.key)?.map(Secret::new),
        },
        login: text(&messaging.login_file)?
            .as_deref()
            .map(login)
            .transpose()?,
    })?;
    let listeners = broker.listeners().into_iter();
    Ok(listeners
        .map(|to| Arc::new(to) as Arc<dyn Announcer>)
        .collect())
}

/// The content of a file that the settings name.
fn bytes(path: &Path) -> Result<Option<Vec<u8>>, BrokerInitError> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let read = std::fs::read(path).map_err(|source| BrokerInitError::File {
        path: path.to_owned(),
        source,
    });
    read.map(Some)
}

fn text(path: &Path) -> Result<Option<String>, BrokerInitError> {
    // What is none is refused by whoever reads it.
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(bytes(path)?.map(text))
}

/// `user:password`, perhaps with the end of a line.
fn login(line: &str) -> Result<BrokerLogin, BrokerInitError> {
    let line = line.trim_end_matches(['\n', '\r']);
    let (user, password) = line.split_once(':').ok_or(BrokerInitError::Login)?;
    if user.is_empty() || password.is_empty() || line.contains(['\n', '\r', '\u{feff}']) {
        return Err(BrokerInitError::Login);
    }
    Ok(BrokerLogin {
        user: user.to_owned(),
        password: Secret::new(password),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_one_line_with_a_user_and_a_password() {
        for line in ["ann:p:w", "ann:p:w\n", "ann:p:w\r\n"] {
            let login = login(line).unwrap();
            assert_eq!((&*login.user, login.password.expose()), ("ann", "p:w"));
        }
        for line in ["", "ann", "ann:", ":pw", "ann:pw\nbob:pw", "\u{feff}ann:pw"] {
            let refused = login(line).err().unwrap();
            assert!(matches!(refused, BrokerInitError::Login), "{line:?}");
        }
    }
}
