//! Where registries may be.
//!
//! Which hosts a service speaks to, decided from what is written: names, and addresses that stand in
//! a place of their own. What a name leads to is only known when a connection is made; whoever makes
//! it asks [`HostRules::minds_address`] and [`check_address`].

mod address;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

pub use self::address::Inside;
use crate::Repository;
use crate::pull_spec::{DOCKER_HUB, is_registry};

/// The ports that hosts have which are named without one.
const USUAL_PORTS: [u16; 2] = [443, 80];

/// Whether hosts are spoken to whose addresses only this network reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Addresses {
    /// All of them: whoever asks can reach them anyway.
    #[default]
    Any,
    /// Only if the host is named: others ask, and may be kept out of this network.
    OnlyOutside,
}

/// What [`HostRules`] are made from.
#[derive(Debug, Clone, Default)]
pub struct HostSettings {
    /// Hosts that are spoken to, as [`HostPattern`]s; empty: all. The setting `registries.allowed`.
    pub allowed: BTreeSet<String>,
    /// Hosts that are spoken to over plain HTTP, as they stand in pull specs. The setting
    /// `registries.insecure`.
    pub plain: BTreeSet<String>,
    /// The service's own registry, and those that results go to; as they stand in pull specs.
    pub own: BTreeSet<String>,
    /// Whether addresses count.
    pub addresses: Addresses,
}

/// Which hosts are spoken to, and how. Every host of [`HostSettings`] is named.
#[derive(Debug, Clone, Default)]
pub struct HostRules {
    /// Whether only hosts that are named are spoken to.
    only_named: bool,
    named: Vec<HostPattern>,
    plain: Vec<HostPattern>,
    addresses: Addresses,
}

/// Hosts in a setting: `host` (on the ports 443 and 80), `host:port`, `*.domain` and `*.domain:port`
/// for everything below a domain, and `*` for every host. The last one names nobody: it lets a list
/// of hosts inside stand beside all hosts outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    hosts: Hosts,
    /// `None` for the usual ones.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    Every,
    One(Host),
    Below(String),
}

/// A setting names hosts in a way that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a host or host:port{}: write it as it stands in pull specs, without scheme and path", if *.patterns { ", nor *.domain or *" } else { "" })]
pub struct HostNameError {
    /// The name as it stands in the setting.
    pub name: String,
    /// Whether patterns may stand there.
    patterns: bool,
}

/// A host is not spoken to. The texts name it, and the setting that decides.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostRefusal {
    /// Other hosts are named, and it is not.
    #[error(
        "{host} is not among the hosts this service speaks to; if it should be, its operators name it in registries.allowed (IIB_ALLOWED_REGISTRIES)"
    )]
    NotNamed {
        /// The host.
        host: String,
    },
    /// Its address is one of this network.
    #[error(
        "{host} is at {inside}, where this service speaks only to hosts that its operators name in registries.allowed (IIB_ALLOWED_REGISTRIES)"
    )]
    Inside {
        /// The host.
        host: String,
        /// What is wrong with its address. The address itself is not told: whoever asks may not
        /// know how names are resolved in here.
        inside: Inside,
    },
    /// It would be spoken to over plain HTTP.
    #[error(
        "{host} would be spoken to over plain HTTP; if that is meant, the service's operators name it in registries.insecure (IIB_INSECURE_REGISTRIES)"
    )]
    PlainHttp {
        /// The host.
        host: String,
    },
    /// It would be spoken to in another way.
    #[error("an address that begins with {scheme}: is neither HTTPS nor HTTP")]
    Scheme {
        /// The way.
        scheme: String,
    },
}

impl HostRules {
    /// Rules for these settings.
    ///
    /// # Errors
    /// [`HostNameError`] for a name that cannot be read; empty ones among the service's own are
    /// passed over.
    pub fn new(settings: &HostSettings) -> Result<Self, HostNameError> {
        let hosts = |names: &BTreeSet<String>| {
            let names = names.iter().filter(|name| !name.is_empty());
            names
                .map(|name| registry(name))
                .collect::<Result<Vec<_>, _>>()
        };
        let allowed = settings.allowed.iter().map(|name| name.parse());
        let allowed = allowed.collect::<Result<Vec<HostPattern>, _>>()?;
        let every = allowed.iter().any(|host| host.hosts == Hosts::Every);
        let plain = hosts(&settings.plain)?;
        let mut named = hosts(&settings.own)?;
        named.extend(plain.iter().cloned());
        let only_named = !allowed.is_empty() && !every;
        let patterns = allowed.into_iter();
        named.extend(patterns.filter(|host| host.hosts != Hosts::Every));
        Ok(Self {
            only_named,
            named,
            plain,
            addresses: settings.addresses,
        })
    }

    /// Whether something may be asked of a URL, wherever it comes from. What its name leads to is
    /// left to [`HostRules::minds_address`].
    ///
    /// # Errors
    /// [`HostRefusal`].
    pub fn check(&self, url: &Url) -> Result<(), HostRefusal> {
        let (scheme, host) = (url.scheme(), url.host());
        let Some(host) = host.filter(|_| matches!(scheme, "http" | "https")) else {
            return Err(HostRefusal::Scheme {
                scheme: scheme.to_owned(),
            });
        };
        let host = canonical(host.to_owned());
        let ports = [url.port_or_known_default().unwrap_or_default()];
        let plain_port = |pattern: &HostPattern| pattern.port.unwrap_or(80);
        if scheme == "http"
            && !self
                .plain
                .iter()
                .any(|named| named.hosts.hold(&host) && ports == [plain_port(named)])
        {
            return Err(HostRefusal::PlainHttp {
                host: with_port(url),
            });
        }
        self.check_host(&host, &ports, || with_port(url))
    }

    /// The same for a repository of a pull spec, before anything is asked of it. A registry that can
    /// be no host at all passes: nothing can be asked of it, and it has nothing.
    ///
    /// # Errors
    /// [`HostRefusal::NotNamed`] and [`HostRefusal::Inside`].
    pub fn check_repository(&self, repository: &Repository) -> Result<(), HostRefusal> {
        let Some((host, port)) = parse(repository.registry()) else {
            return Ok(());
        };
        let host_text = || repository.registry().to_owned();
        match port {
            Some(port) => self.check_host(&host, &[port], host_text),
            None => self.check_host(&host, &USUAL_PORTS, host_text),
        }
    }

    /// Whether plain HTTP is meant for a registry, named as in pull specs.
    pub fn is_plain(&self, registry: &str) -> bool {
        parse(registry).is_some_and(|(host, port)| {
            let named = |pattern: &HostPattern| pattern.hosts.hold(&host) && pattern.port == port;
            self.plain.iter().any(named)
        })
    }

    /// Whether the addresses that a URL's name leads to have to pass [`check_address`].
    pub fn minds_address(&self, url: &Url) -> bool {
        let port = url.port_or_known_default().unwrap_or_default();
        let host = url.host().map(|host| canonical(host.to_owned()));
        self.addresses == Addresses::OnlyOutside
            && !host.is_some_and(|host| self.is_named(&host, &[port]))
    }

    fn check_host(
        &self,
        host: &Host,
        ports: &[u16],
        text: impl Fn() -> String,
    ) -> Result<(), HostRefusal> {
        if self.is_named(host, ports) {
            return Ok(());
        }
        if self.only_named {
            return Err(HostRefusal::NotNamed { host: text() });
        }
        match (self.addresses, inside(host)) {
            (Addresses::OnlyOutside, Some(inside)) => Err(HostRefusal::Inside {
                host: text(),
                inside,
            }),
            (Addresses::OnlyOutside, None) | (Addresses::Any, _) => Ok(()),
        }
    }

    fn is_named(&self, host: &Host, ports: &[u16]) -> bool {
        self.named.iter().any(|named| {
            let port = match named.port {
                Some(port) => ports.contains(&port),
                None => ports.iter().any(|port| USUAL_PORTS.contains(port)),
            };
            port && named.hosts.hold(host)
        })
    }
}

/// Whether a connection may go to an address that the name of a host which is not named led to.
///
/// # Errors
/// [`HostRefusal::Inside`].
pub fn check_address(host: &str, address: IpAddr) -> Result<(), HostRefusal> {
    match Inside::of(address) {
        None => Ok(()),
        Some(inside) => Err(HostRefusal::Inside {
            host: host.to_owned(),
            inside,
        }),
    }
}

/// What is wrong with a host that is an address, or whose name stands for one (RFC 6761).
fn inside(host: &Host) -> Option<Inside> {
    match host {
        Host::Ipv4(address) => Inside::of(IpAddr::V4(*address)),
        Host::Ipv6(address) => Inside::of(IpAddr::V6(*address)),
        Host::Domain(name) => {
            (name == "localhost" || name.ends_with(".localhost")).then_some(Inside::Loopback)
        }
    }
}

/// Host and port, if there is one, in the form of the URL parser: `0x7f.1` is 127.0.0.1.
fn parse(text: &str) -> Option<(Host, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (text, None),
    };
    Some((canonical(Host::parse(host).ok()?), port))
}

/// One spelling for each host. A dot at the end only says that a name is whole; the Docker Hub goes
/// by two names.
fn canonical(host: Host) -> Host {
    let [hub, ..] = DOCKER_HUB;
    match host {
        Host::Domain(name) => Host::Domain(match name.strip_suffix('.').unwrap_or(&name) {
            name if DOCKER_HUB.contains(&name) => hub.to_owned(),
            name => name.to_owned(),
        }),
        address => address,
    }
}

fn with_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// A host as it stands in pull specs.
fn registry(name: &str) -> Result<HostPattern, HostNameError> {
    let parsed = is_registry(name).then(|| parse(name)).flatten();
    let (host, port) = parsed.ok_or_else(|| HostNameError {
        name: name.to_owned(),
        patterns: false,
    })?;
    Ok(HostPattern {
        hosts: Hosts::One(host),
        port,
    })
}

impl Hosts {
    fn hold(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Every, _) => true,
            (Self::One(own), host) => own == host,
            (Self::Below(domain), Host::Domain(name)) => name
                .strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.ends_with('.')),
            (Self::Below(_), _) => false,
        }
    }
}

impl FromStr for HostPattern {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || HostNameError {
            name: text.to_owned(),
            patterns: true,
        };
        if text == "*" {
            return Ok(Self {
                hosts: Hosts::Every,
                port: None,
            });
        }
        let (rest, below) = match text.strip_prefix("*.") {
            Some(domain) => (domain, true),
            None => (text, false),
        };
        // The URL parser reads more than a host has: percent signs, other alphabets.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        let parsed = rest.chars().all(plain).then(|| parse(rest)).flatten();
        let (host, port) = parsed.ok_or_else(refused)?;
        let hosts = match (below, host) {
            (false, host) => Hosts::One(host),
            (true, Host::Domain(domain)) => Hosts::Below(domain),
            (true, _) => return Err(refused()),
        };
        Ok(Self { hosts, port })
    }
}

#[cfg(test)]
mod tests;
