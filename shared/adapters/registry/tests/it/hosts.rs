//! Which hosts are spoken to: in a pull spec, and where a registry leads.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::http::Method;
use iib_oci::hosts::{Addresses, HostRefusal, Inside};
use iib_outward::{Outward, Proxies};
use iib_ports::{Class, Classify as _, Registry as _, RegistryError};
use iib_registry::{Fault, RegistryClient, RegistryConfig, Resolver};
use iib_testkit::Pull as _;
use iib_testkit::scripted_registry::{Answer, Login, ScriptedRegistry};

use crate::setup::{Content, config, descriptor, image, repository};

/// Where a call is led astray.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    PullSpec,
    Realm,
    Upload,
    Redirect,
}

/// More than a call is tried.
const TRIES: usize = 9;

const EVERY_WAY: [By; 4] = [By::PullSpec, By::Realm, By::Upload, By::Redirect];

/// What is known of names: answers one after another, the last of which stays.
#[derive(Default)]
struct Script {
    answers: Mutex<BTreeMap<String, VecDeque<io::Result<SocketAddr>>>>,
    asked: Mutex<Vec<String>>,
}

impl Script {
    fn new(name: &str, answers: impl IntoIterator<Item = io::Result<&'static str>>) -> Arc<Self> {
        let parse = |address: &str| SocketAddr::new(address.parse().unwrap(), 0);
        let answers = answers.into_iter().map(|answer| answer.map(parse));
        Arc::new(Self {
            answers: Mutex::new(BTreeMap::from([(name.to_owned(), answers.collect())])),
            asked: Mutex::default(),
        })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Resolver for Script {
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        self.asked.lock().unwrap().push(name.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let answers = answers.get_mut(name).unwrap();
        match answers.len() {
            1 => Ok(vec![*answers[0].as_ref().unwrap()]),
            _ => answers.pop_front().unwrap().map(|address| vec![address]),
        }
    }
}

/// A client for others: this registry is named, and what the test adds.
fn careful(host: &str) -> RegistryConfig {
    RegistryConfig {
        addresses: Addresses::OnlyOutside,
        ..config(host)
    }
}

/// Calls a registry that leads to `victim`, or the victim itself, and returns how that ends.
async fn led(by: By, victim: &str, config: impl Fn(&str) -> RegistryConfig) -> RegistryError {
    let login = match by {
        By::Realm => Login::anonymous_tokens(),
        By::PullSpec | By::Upload | By::Redirect => Login::Open,
    };
    let registry = ScriptedRegistry::with_login(login).await;
    let host = registry.host();
    let client = RegistryClient::new(config(&host)).unwrap();
    let place = format!("https://{victim}/v2/x?y=z");
    let location = |status| {
        let answer = Answer::Reply(status, vec![("location", place.clone())], Vec::new());
        std::iter::repeat_n(answer, TRIES)
    };
    let here = repository(&host, "a");
    let content = Content::new("content");
    let ended = match by {
        By::PullSpec => client.pull(&image(victim, "a:v1")).await.map(drop),
        By::Realm => {
            registry.set_realm(&place);
            client.pull(&image(&host, "a:v1")).await.map(drop)
        }
        By::Upload => {
            registry.on(Method::POST, "/blobs/uploads/", location(202));
            let descriptor = descriptor(&content.bytes);
            client.push_blob(&here, &descriptor, &content).await
        }
        By::Redirect => {
            registry.on(Method::GET, "/blobs/", location(307));
            client.blob(&here, &descriptor(b"x")).await.map(drop)
        }
    };
    ended.unwrap_err()
}

fn refusal(error: &RegistryError) -> &HostRefusal {
    assert_eq!(error.class(), Class::Reject);
    assert!(
        matches!(error, RegistryError::HostRefused { .. }),
        "{error}: {:?}",
        error.source()
    );
    error.source().unwrap().downcast_ref().unwrap()
}

/// It was spoken to: a registry without TLS, over TLS.
fn was_reached(error: &RegistryError) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref());
    matches!(source, Some(Fault::PlainHttp { .. }))
}

#[tokio::test]
async fn nothing_leads_inside_by_an_address() {
    let victim = ScriptedRegistry::start().await;
    let port = victim.host().rsplit_once(':').unwrap().1.to_owned();
    for (address, shown, inside) in [
        ("127.0.0.1", "127.0.0.1", Inside::Loopback),
        ("0x7f.1", "127.0.0.1", Inside::Loopback),
        ("0.0.0.0", "0.0.0.0", Inside::Loopback),
        ("localhost", "localhost", Inside::Loopback),
        ("10.0.0.1", "10.0.0.1", Inside::Private),
        ("169.254.169.254", "169.254.169.254", Inside::LinkLocal),
        ("100.64.0.1", "100.64.0.1", Inside::CarrierGrade),
        ("[::1]", "[::1]", Inside::Loopback),
        ("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", Inside::Loopback),
        ("[fd00::1]", "[fd00::1]", Inside::UniqueLocal),
    ] {
        for by in EVERY_WAY {
            if by == By::PullSpec && address.starts_with('[') {
                // Not to be written in a pull spec.
                continue;
            }
            let error = led(by, &format!("{address}:{port}"), careful).await;
            let refused = refusal(&error);
            let expected = HostRefusal::Inside {
                host: format!("{shown}:{port}"),
                inside,
            };
            assert_eq!(*refused, expected, "{by:?}");
            assert!(refused.to_string().contains("registries.allowed"));
        }
    }
    assert!(victim.seen().is_empty());
}

#[tokio::test]
async fn nothing_leads_inside_by_a_name() {
    let victim = ScriptedRegistry::start().await;
    let port = victim.host().rsplit_once(':').unwrap().1.to_owned();
    for (address, inside) in [
        ("127.0.0.1", Inside::Loopback),
        ("::1", Inside::Loopback),
        ("::ffff:127.0.0.1", Inside::Loopback),
        ("10.0.0.1", Inside::Private),
        ("169.254.169.254", Inside::LinkLocal),
        ("fd00::1", Inside::UniqueLocal),
        ("100.64.0.1", Inside::CarrierGrade),
    ] {
        for by in EVERY_WAY {
            let script = Script::new("inner.test", [Ok(address)]);
            let error = led(by, &format!("inner.test:{port}"), |host| RegistryConfig {
                resolver: Some(script.clone()),
                ..careful(host)
            })
            .await;
            let host = "inner.test".to_owned();
            let expected = HostRefusal::Inside { host, inside };
            assert_eq!(*refusal(&error), expected, "{by:?} {address}");
            assert_eq!(script.asked(), ["inner.test"]);
        }
    }
    assert!(victim.seen().is_empty());
}

#[tokio::test]
async fn a_name_that_resolves_anew_is_looked_at_anew() {
    for by in EVERY_WAY {
        let cannot_tell = io::Error::other("temporary failure in name resolution");
        let script = Script::new("fickle.test", [Err(cannot_tell), Ok("127.0.0.1")]);
        let error = led(by, "fickle.test:5000", |host| RegistryConfig {
            resolver: Some(script.clone()),
            ..careful(host)
        });
        let error = error.await;
        assert_eq!(script.asked().len(), 2);
        assert!(matches!(refusal(&error), HostRefusal::Inside { .. }));
    }
}

#[tokio::test]
async fn what_is_named_is_reached_wherever_it_is() {
    for by in EVERY_WAY {
        for name in ["127.0.0.1", "inner.test"] {
            let victim = ScriptedRegistry::start().await;
            let port = victim.host().rsplit_once(':').unwrap().1.to_owned();
            let script = || Script::new("inner.test", [Ok("127.0.0.1")]);
            let place = format!("{name}:{port}");
            let named = |setting: &str| {
                let places = [place.clone()].into();
                let setting = setting.to_owned();
                move |host: &str| {
                    let config = RegistryConfig {
                        resolver: Some(script()),
                        ..careful(host)
                    };
                    match setting.as_str() {
                        "allowed" => RegistryConfig {
                            allowed_registries: std::collections::BTreeSet::clone(&places),
                            ..config
                        },
                        "own" => RegistryConfig {
                            own_registries: places.clone(),
                            ..config
                        },
                        _ => RegistryConfig {
                            addresses: Addresses::Any,
                            ..config
                        },
                    }
                }
            };
            for setting in ["allowed", "own", "any"] {
                let error = led(by, &place, named(setting)).await;
                assert!(was_reached(&error), "{by:?} {setting}: {error}");
            }
            // Another port of the host is not named.
            let error = led(by, &format!("{name}:1"), named("own")).await;
            assert!(matches!(refusal(&error), HostRefusal::Inside { .. }));
        }
    }
}

#[tokio::test]
async fn with_a_list_nothing_leads_to_hosts_that_are_not_in_it() {
    let victim = ScriptedRegistry::start().await;
    for by in EVERY_WAY {
        let error = led(by, &victim.host(), |host| RegistryConfig {
            allowed_registries: ["r.example".to_owned(), "*.s.example".to_owned()].into(),
            ..config(host)
        })
        .await;
        let host = victim.host();
        let expected = HostRefusal::NotNamed { host };
        assert_eq!(*refusal(&error), expected, "{by:?}");
    }
    assert!(victim.seen().is_empty());
}

#[tokio::test]
async fn behind_a_proxy_names_are_the_proxys_and_addresses_are_ours() {
    let proxies =
        Proxies::from_variables(|name| (name == "HTTPS_PROXY").then_some("http://proxy.test:1"));
    let proxies = proxies.unwrap();
    for by in EVERY_WAY {
        let script = Script::new("proxy.test", [Ok("127.0.0.1")]);
        let behind = |host: &str| RegistryConfig {
            outward: Some(Outward::through(proxies.clone())),
            resolver: Some(script.clone()),
            attempts: 1,
            ..careful(host)
        };
        let error = led(by, "inner.test", behind).await;
        assert!(
            matches!(error, RegistryError::Unavailable { .. }),
            "{error}"
        );
        assert_eq!(script.asked(), ["proxy.test"]);
        let error = led(by, "10.0.0.1", behind).await;
        assert!(matches!(refusal(&error), HostRefusal::Inside { .. }));
        assert_eq!(script.asked(), ["proxy.test"]);
    }
}
