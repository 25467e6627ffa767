//! Whom the service tells of requests, besides those who ask.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::Config;
use super::origin::Faults;

/// The message broker, as today's service has it (spec rest-api §10, §12).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Messaging {
    /// Addresses, `amqps://host:port` or `amqp://host:port`, tried in this order; none: it is told nothing.
    pub urls: Vec<String>,
    /// Where messages about requests go; empty: none are sent.
    pub build_state_destination: String,
    /// Where messages about batches go; empty: none are sent.
    pub batch_state_destination: String,
    /// Whether the broker is to keep messages through a restart.
    pub durable: bool,
    /// Seconds that connecting, and each confirmation, may take.
    pub timeout_seconds: u32,
    /// File with the authorities that are trusted (PEM); empty: those of the system.
    pub ca: PathBuf,
    /// File with the client's certificate (PEM); empty for none.
    pub certificate: PathBuf,
    /// File with its key (PEM).
    pub key: PathBuf,
    /// File with `user:password`; empty for no login.
    pub login_file: PathBuf,
}

impl Messaging {
    /// Whether there is a broker, and something to tell it.
    pub fn is_on(&self) -> bool {
        let somewhere =
            !self.build_state_destination.is_empty() || !self.batch_state_destination.is_empty();
        !self.urls.is_empty() && somewhere
    }

    /// The addresses. Each was checked at the start.
    pub fn brokers(&self) -> Vec<Url> {
        self.urls
            .iter()
            .filter_map(|url| url.parse().ok())
            .collect()
    }

    /// Where messages about requests go, and where those about batches.
    pub fn destinations(&self) -> [Option<String>; 2] {
        let set = |address: &String| (!address.is_empty()).then(|| address.clone());
        [&self.build_state_destination, &self.batch_state_destination].map(set)
    }

    /// How long connecting, and each confirmation, may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.timeout_seconds))
    }
}

impl Config {
    /// Whether anybody is told of requests.
    pub fn announces(&self) -> bool {
        self.messaging.is_on() || !self.aws.event_bus.is_empty() || !self.aws.topic.is_empty()
    }
}

pub(super) fn check(messaging: &Messaging, faults: &mut Faults) {
    faults.of_zero("messaging.timeout_seconds", messaging.timeout_seconds);
    for url in &messaging.urls {
        if let Some(fault) = fault_of(url) {
            faults.of_value("messaging.urls", fault);
        }
    }
    if messaging.certificate.as_os_str().is_empty() != messaging.key.as_os_str().is_empty() {
        let text = "a certificate and its key go together: set both or none";
        faults.of_value("messaging.certificate", text);
    }
    for (place, address) in [
        (
            "messaging.build_state_destination",
            &messaging.build_state_destination,
        ),
        (
            "messaging.batch_state_destination",
            &messaging.batch_state_destination,
        ),
    ] {
        if address.chars().any(char::is_control) {
            faults.of_value(place, "has a control character in it");
        } else if address.trim() != address {
            faults.of_value(place, "has spaces around it");
        }
    }
}

/// What is wrong with the address of a broker. One with a password is not repeated.
fn fault_of(text: &str) -> Option<String> {
    const FORM: &str = "write amqps://host:port, or amqp://host:port for one without TLS";
    let Ok(url) = text.parse::<Url>() else {
        return Some(format!("an entry is no address of a broker: {FORM}"));
    };
    if !url.username().is_empty() || url.password().is_some() {
        let text = "a user and a password do not belong into an address: put `user:password` into the file of `messaging.login_file`";
        return Some(text.to_owned());
    }
    let is_plain = url.path().is_empty() || url.path() == "/";
    let is_good = matches!(url.scheme(), "amqp" | "amqps")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && is_plain
        && url.port() != Some(0)
        && url.query().is_none()
        && url.fragment().is_none();
    (!is_good).then(|| format!("`{text}` is no address of a broker: {FORM}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_checked, vars};
    use super::*;

    #[test]
    fn brokers_are_named_by_scheme_host_and_port() {
        const NAME: &str = "IIB_MESSAGING_URLS";
        assert_checked(&[
            (
                NAME,
                "amqps://broker-1.example.com:5671, amqp://[::1]/",
                None,
            ),
            (
                NAME,
                "https://broker.example.com",
                Some("is no address of a broker"),
            ),
            (
                NAME,
                "broker.example.com",
                Some("is no address of a broker"),
            ),
            (NAME, "amqps://", Some("is no address of a broker")),
            (
                NAME,
                "amqp://b.example:0",
                Some("is no address of a broker"),
            ),
            (
                NAME,
                "amqps://broker.example.com/queue",
                Some("is no address of a broker"),
            ),
            (
                NAME,
                "amqps://ann:secret@broker.example.com",
                Some("messaging.login_file"),
            ),
        ]);
        let secret = vars(&[(NAME, "amqps://ann:hunter2@broker.example.com")]);
        let text = Config::load(None, &secret).unwrap_err().to_string();
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn halves_are_told() {
        assert_checked(&[
            (
                "IIB_MESSAGING_CERT",
                "/etc/iib/messaging.crt",
                Some("go together"),
            ),
            (
                "IIB_MESSAGING_TIMEOUT",
                "0",
                Some("messaging.timeout_seconds"),
            ),
            (
                "IIB_MESSAGING_BUILD_STATE_DESTINATION",
                "a\nb",
                Some("control character"),
            ),
            (
                "IIB_MESSAGING_BATCH_STATE_DESTINATION",
                " ",
                Some("has spaces around it"),
            ),
        ]);
    }

    #[test]
    fn nobody_is_told_without_a_broker_and_an_address_there() {
        let on = |set: &[(&str, &str)]| Config::load(None, &vars(set)).unwrap().announces();
        let url = ("IIB_MESSAGING_URLS", "amqp://b.example");
        let address = ("IIB_MESSAGING_BATCH_STATE_DESTINATION", "topic://x");
        assert!(!on(&[]) && !on(&[url]) && !on(&[address]));
        assert!(on(&[url, address]) && on(&[("IIB_EVENT_BUS", "bus")]));
        assert!(on(&[("IIB_TOPIC_ARN", "arn:aws:sns:eu-central-1:1:t")]));
    }
}
