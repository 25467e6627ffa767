//! The broker is told what the reference tells: held against a real one.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use fe2o3_amqp::types::messaging::{AmqpValue, Message as Document, MessageId};
use fe2o3_amqp::types::primitives::{SimpleValue, Symbol};
use iib_amqp::{Broker, BrokerInitError, BrokerLogin, BrokerSettings, Listeners, TlsFiles};
use iib_ports::{AnnounceError, Announcer as _, Secret, chain};
use iib_request::{About, BatchId, Destination, Message, RequestId, State};
use iib_testkit::rabbitmq::{BrokerCertificates, Listener, RabbitMq};
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

const BUILDS: &str = "/topic/VirtualTopic.eng.iib.build.state";
const BATCHES: &str = "/topic/VirtualTopic.eng.iib.batch.state";

fn settings(urls: &[String]) -> BrokerSettings {
    BrokerSettings {
        urls: urls.iter().map(|url| url.parse().unwrap()).collect(),
        requests_to: Some(BUILDS.to_owned()),
        batches_to: Some(BATCHES.to_owned()),
        durable: true,
        timeout: Duration::from_secs(20),
        tls: TlsFiles::default(),
        login: Some(BrokerLogin {
            user: "guest".to_owned(),
            password: Secret::new("guest"),
        }),
    }
}

/// Both kinds of listeners of a broker.
struct Told(Vec<Listeners>);

fn told(settings: BrokerSettings) -> Result<Told, BrokerInitError> {
    Broker::new(settings).map(|broker| Told(broker.listeners()))
}

impl Told {
    async fn announce(&self, messages: &[Message]) -> Result<(), AnnounceError> {
        for listeners in &self.0 {
            listeners.announce(messages).await?;
        }
        Ok(())
    }

    async fn reach(&self) -> Result<(), AnnounceError> {
        for listeners in &self.0 {
            listeners.reach().await?;
        }
        Ok(())
    }
}

fn of_request(version: u64, state: State) -> Message {
    let id = RequestId(7);
    Message {
        event_id: format!("7-{version}"),
        about: About::Request { id, kind: "add" },
        batch: BatchId(5),
        state,
        user: None,
        updated: Timestamp::UNIX_EPOCH,
        body: json!({"id": 7, "state": state, "version": version, "ünd": null}),
    }
}

fn of_batch() -> Message {
    Message {
        event_id: "batch-5-created".to_owned(),
        about: About::Batch,
        user: Some("ann".to_owned()),
        body: json!({"batch": 5}),
        ..of_request(1, State::InProgress)
    }
}

fn body(document: &Document<AmqpValue<String>>) -> Value {
    serde_json::from_str(&document.body.0).unwrap()
}

fn beside(document: &Document<AmqpValue<String>>) -> Vec<(String, SimpleValue)> {
    let beside = document.application_properties.as_ref().unwrap();
    beside
        .0
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq-server"]
async fn messages_arrive_in_order_as_the_reference_sends_them() {
    let rabbit = RabbitMq::start().await;
    let (mut builds, mut batches) = (
        Listener::at(&rabbit, BUILDS).await,
        Listener::at(&rabbit, BATCHES).await,
    );
    let broker = told(settings(&[format!("amqp://{}", rabbit.address())])).unwrap();
    broker.reach().await.unwrap();
    let mut messages = vec![of_request(1, State::InProgress), of_batch()];
    messages.extend((2..200).map(|version| of_request(version, State::InProgress)));
    messages.push(of_request(200, State::Complete));
    broker.announce(&messages).await.unwrap();
    for version in 1..=200 {
        let document = builds.next().await;
        let expected = messages
            .iter()
            .find(|message| message.event_id == format!("7-{version}"));
        assert_eq!(body(&document), expected.unwrap().body);
        if version == 200 {
            let state = SimpleValue::String("complete".to_owned());
            assert_eq!(
                beside(&document),
                [
                    ("batch".to_owned(), SimpleValue::Long(5)),
                    ("id".to_owned(), SimpleValue::Long(7)),
                    ("state".to_owned(), state),
                    ("user".to_owned(), SimpleValue::Null),
                ]
            );
            let properties = document.properties.as_ref().unwrap();
            let content_type = properties.content_type.as_ref().map(Symbol::as_str);
            assert_eq!(content_type, Some("application/json"));
            let Some(MessageId::String(name)) = &properties.correlation_id else {
                panic!("{properties:?}");
            };
            uuid::Uuid::parse_str(name).unwrap();
            assert!(document.header.unwrap().durable);
        }
    }
    let document = batches.next().await;
    assert_eq!(body(&document), json!({"batch": 5}));
    let names: Vec<_> = beside(&document)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["batch", "state", "user"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq-server"]
async fn a_broker_that_was_away_is_told_again_and_only_what_has_an_address() {
    let mut rabbit = RabbitMq::start().await;
    let nobody = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap()
    };
    let urls = [
        format!("amqp://{nobody}"),
        format!("amqp://{}", rabbit.address()),
    ];
    let broker = told(BrokerSettings {
        batches_to: None,
        ..settings(&urls)
    });
    let broker = broker.unwrap();
    broker
        .announce(&[of_request(1, State::InProgress), of_batch()])
        .await
        .unwrap();
    rabbit.stop();
    let failed = broker
        .announce(&[of_request(2, State::InProgress)])
        .await
        .unwrap_err();
    let told = chain(&failed);
    assert!(
        told.contains("the message broker's address for requests could not be told"),
        "{told}"
    );
    // What has no address is not sent, so nobody has to be reached for it.
    broker.announce(&[of_batch()]).await.unwrap();
    broker.reach().await.unwrap_err();
    let failed = broker
        .announce(&[of_request(2, State::InProgress)])
        .await
        .unwrap_err();
    assert!(
        chain(&failed).contains("not tried again so soon"),
        "{}",
        chain(&failed)
    );
    rabbit.start_again().await;
    let mut builds = Listener::at(&rabbit, BUILDS).await;
    broker.reach().await.unwrap();
    broker
        .announce(&[of_request(2, State::InProgress)])
        .await
        .unwrap();
    assert_eq!(body(&builds.next().await)["version"], 2);
    // A connection that broke meanwhile is made anew at once.
    rabbit.stop();
    rabbit.start_again().await;
    let mut builds = Listener::at(&rabbit, BUILDS).await;
    broker
        .announce(&[of_request(3, State::Complete)])
        .await
        .unwrap();
    assert_eq!(body(&builds.next().await)["version"], 3);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq-server"]
async fn an_address_that_the_broker_does_not_take_is_told() {
    let rabbit = RabbitMq::start().await;
    let broker = told(BrokerSettings {
        requests_to: Some("/no/such".to_owned()),
        ..settings(&[format!("amqp://{}", rabbit.address())])
    });
    let failed = broker
        .unwrap()
        .announce(&[of_request(1, State::InProgress)])
        .await;
    let told = chain(&failed.unwrap_err());
    assert!(told.contains("/no/such takes no messages"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq-server"]
async fn who_listens_elsewhere_hears_all_of_it_once_when_one_address_is_refused() {
    let rabbit = RabbitMq::start().await;
    let mut builds = Listener::at(&rabbit, BUILDS).await;
    let broker = Broker::new(BrokerSettings {
        batches_to: Some("/no/such".to_owned()),
        ..settings(&[format!("amqp://{}", rabbit.address())])
    });
    let listeners = broker.unwrap().listeners();
    let [requests, batches] = &listeners[..] else {
        panic!("{}", listeners.len());
    };
    assert_eq!(
        (requests.destination(), batches.destination()),
        (Destination::BrokerRequests, Destination::BrokerBatches)
    );
    for version in 1..=3 {
        let messages = [of_request(version, State::InProgress), of_batch()];
        let (requests, batches) =
            tokio::join!(requests.announce(&messages), batches.announce(&messages));
        requests.unwrap();
        let failed = batches.unwrap_err();
        // It is asked once, and not again for each message.
        assert_eq!(failed.is_known, version > 1, "{}", chain(&failed));
        assert!(chain(&failed).contains("/no/such takes no messages"));
        assert_eq!(body(&builds.next().await)["version"], version);
    }
    requests.reach().await.unwrap();
    let failed = batches.reach().await.unwrap_err();
    assert!(!failed.is_known, "{}", chain(&failed));
}

#[tokio::test]
async fn who_says_nothing_or_hangs_up_is_told_so() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    // It takes each connection, and keeps the first one open.
    let serving = tokio::spawn(async move {
        let kept = listener.accept().await;
        while let Ok((mut other, _)) = listener.accept().await {
            tokio::io::AsyncWriteExt::write_all(&mut other, b"AMQP\0\0\x09\x01")
                .await
                .unwrap();
        }
        drop(kept);
    });
    let broker = told(BrokerSettings {
        timeout: Duration::from_secs(3),
        ..settings(&[format!("amqp://{at}")])
    })
    .unwrap();
    let message = [of_request(1, State::InProgress)];
    let failed = broker.announce(&message).await.unwrap_err();
    assert!(chain(&failed).contains("deadline"), "{}", chain(&failed));
    let failed = broker.announce(&message).await.unwrap_err();
    assert!(failed.is_known && chain(&failed).contains("not tried again so soon"));
    let failed = broker.reach().await.unwrap_err();
    assert!(
        chain(&failed).contains("it does not speak AMQP 1.0"),
        "{}",
        chain(&failed)
    );
    serving.abort();
}

/// Certificates of an authority of our own.
struct Certificates {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Certificates {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "test authority");
        let ca = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        Self {
            folder,
            issuer: Issuer::new(params, key),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate and its key, for this user or machine.
    fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = (
            self.path(&format!("{name}.pem")),
            self.path(&format!("{name}.key")),
        );
        std::fs::write(&files.0, certificate.pem()).unwrap();
        std::fs::write(&files.1, key.serialize_pem()).unwrap();
        files
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq-server"]
async fn over_tls_only_those_are_told_who_are_trusted() {
    let certificates = Certificates::new();
    let (certificate, key) = certificates.issue("broker");
    let ca = certificates.path("ca.pem");
    let rabbit = RabbitMq::start_tls(BrokerCertificates {
        ca: &ca,
        certificate: &certificate,
        key: &key,
    });
    let rabbit = rabbit.await;
    let (certificate, key) = certificates.issue("guest");
    let tls = TlsFiles {
        ca: Some(read(&certificates.path("ca.pem"))),
        certificate: Some(read(&certificate)),
        key: Some(Secret::new(String::from_utf8(read(&key)).unwrap())),
    };
    let url = format!("amqps://{}", rabbit.address());
    let good = || BrokerSettings {
        tls: tls.clone(),
        login: None,
        ..settings(std::slice::from_ref(&url))
    };
    let message = [of_request(1, State::InProgress)];
    told(good()).unwrap().announce(&message).await.unwrap();
    let with_user = BrokerSettings {
        tls: tls.clone(),
        ..settings(std::slice::from_ref(&url))
    };
    let with_user = told(with_user).unwrap();
    with_user.announce(&message).await.unwrap();
    // Somebody whom the broker does not know, nobody, and a broker whom we do not know.
    let other = Certificates::new();
    let (certificate, key) = other.issue("mallory");
    let mallory = TlsFiles {
        certificate: Some(read(&certificate)),
        key: Some(Secret::new(String::from_utf8(read(&key)).unwrap())),
        ..tls.clone()
    };
    let nobody = TlsFiles {
        certificate: None,
        key: None,
        ..tls.clone()
    };
    let stranger = TlsFiles {
        ca: Some(read(&other.path("ca.pem"))),
        ..tls.clone()
    };
    for (who, tls) in [
        ("mallory", mallory),
        ("nobody", nobody),
        ("stranger", stranger),
    ] {
        let broker = told(BrokerSettings { tls, ..good() }).unwrap();
        let failed = broker.announce(&message).await;
        let told = chain(&failed.expect_err(who));
        assert!(told.contains(&url), "{who}: {told}");
    }
}

#[test]
fn certificates_that_are_none_are_told_at_the_start() {
    let url = ["amqps://broker.example:5671".to_owned()];
    let certificates = Certificates::new();
    let (certificate, key) = certificates.issue("guest");
    let (certificate, key) = (
        read(&certificate),
        Secret::new(String::from_utf8(read(&key)).unwrap()),
    );
    for (tls, expected) in [
        (
            TlsFiles {
                ca: Some(b"no".to_vec()),
                ..TlsFiles::default()
            },
            "the certificates of authorities for the message broker is no PEM",
        ),
        (
            TlsFiles {
                certificate: Some(certificate.clone()),
                ..TlsFiles::default()
            },
            "go together",
        ),
        (
            TlsFiles {
                certificate: Some(certificate),
                key: Some(Secret::new("no")),
                ..TlsFiles::default()
            },
            "the key for the message broker",
        ),
        (
            TlsFiles {
                certificate: Some(b"no".to_vec()),
                key: Some(key),
                ..TlsFiles::default()
            },
            "the certificate for the message broker",
        ),
    ] {
        let failed = told(BrokerSettings {
            tls,
            ..settings(&url)
        });
        let told = failed.err().unwrap().to_string();
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn passwords_and_certificates_are_for_tls() {
    let login = |user: &str, password: &str| {
        Some(BrokerLogin {
            user: user.to_owned(),
            password: Secret::new(password),
        })
    };
    let ca = || TlsFiles {
        ca: Some(read(&Certificates::new().path("ca.pem"))),
        ..TlsFiles::default()
    };
    let (outside, inside) = ("amqp://broker.example", "amqp://127.0.0.1:5672");
    let (safe, ip6) = ("amqps://broker.example", "amqp://[::1]");
    let none = TlsFiles::default;
    let cases = [
        (
            vec![safe, outside],
            login("ann", "pw"),
            none(),
            "amqp://broker.example would get the password in clear",
        ),
        (vec![safe], login("", "pw"), none(), "a user and a password"),
        (
            vec![safe],
            login("ann", ""),
            none(),
            "a user and a password",
        ),
        (vec![inside], None, ca(), "certificates are for amqps"),
    ];
    for (urls, login, tls, expected) in cases {
        let urls: Vec<String> = urls.into_iter().map(str::to_owned).collect();
        let failed = told(BrokerSettings {
            login,
            tls,
            ..settings(&urls)
        });
        let text = failed.err().unwrap().to_string();
        assert!(text.contains(expected), "{text}");
    }
    for (urls, login, tls) in [
        ([inside, ip6], login("ann", "pw"), none()),
        ([outside, inside], None, none()),
        ([safe, outside], None, ca()),
    ] {
        let urls = urls.map(str::to_owned);
        let made = told(BrokerSettings {
            login,
            tls,
            ..settings(&urls)
        });
        assert!(made.is_ok(), "{urls:?}");
    }
}
