//! Which hosts are reached through a proxy.
//!
//! The rules are those of Go's clients (podman, skopeo, docker and `opm` have them from
//! golang.org/x/net/http/httpproxy), so that an environment that works for those works here.
//! reqwest's own reading of the environment knows neither loopback nor ports.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

/// The proxies of an environment, and the hosts that are reached without them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    exempt: Vec<Exempt>,
}

/// A variable that names a proxy cannot be used. The value is not shown: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {problem}: write it as http://host:port")]
pub struct ProxyError {
    /// The variable as it is set.
    pub variable: &'static str,
    problem: &'static str,
}

/// An entry of `NO_PROXY`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Exempt {
    hosts: Hosts,
    /// `None` for every port.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    All,
    /// One address is a range of its own.
    Range(IpNet),
    /// The domain and what is below it.
    Domain(String),
    /// Only what is below the domain.
    Below(String),
}

impl Proxies {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, each in capitals or, where
    /// that is not set, in small letters.
    ///
    /// # Errors
    /// [`ProxyError`] for a proxy that is no URL, or one of a kind that is not spoken here.
    pub fn from_variables<'a>(
        variable: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Self, ProxyError> {
        let value = |names: [&'static str; 2]| {
            let set = |name| {
                variable(name)
                    .map(str::trim)
                    .filter(|text| !text.is_empty())
            };
            names.into_iter().find_map(|name| Some((name, set(name)?)))
        };
        let proxy = |names| {
            value(names)
                .map(|(name, text)| parse(name, text))
                .transpose()
        };
        let (http, https) = (
            proxy(["HTTP_PROXY", "http_proxy"])?,
            proxy(["HTTPS_PROXY", "https_proxy"])?,
        );
        // Go does not read it, and desktops name proxies of other kinds there: these are no fault.
        let all = value(["ALL_PROXY", "all_proxy"]);
        let all = all.filter(|(_, text)| !text.contains("://") || text.starts_with("http"));
        let all = match (&http, &https) {
            (Some(_), Some(_)) => None,
            _ => all.map(|(name, text)| parse(name, text)).transpose()?,
        };
        let (_, exempt) = value(["NO_PROXY", "no_proxy"]).unwrap_or_default();
        Ok(Self {
            http: http.or_else(|| all.clone()),
            https: https.or(all),
            exempt: exempt.split([',', ' ']).filter_map(Exempt::parse).collect(),
        })
    }

    /// The proxies of this process.
    ///
    /// # Errors
    /// As [`Proxies::from_variables`].
    pub fn of_environment() -> Result<Self, ProxyError> {
        let variables: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self::from_variables(|name| variables.get(name).map(String::as_str))
    }

    /// The proxy through which a URL is reached; `None` if it is reached directly. What is on
    /// loopback always is: a proxy's loopback is another machine.
    pub fn for_url(&self, url: &Url) -> Option<&Url> {
        let proxy = match url.scheme() {
            "http" => self.http.as_ref(),
            "https" => self.https.as_ref(),
            _ => None,
        }?;
        let host = url.host()?;
        let port = url.port_or_known_default();
        let direct = is_loopback(&host) || self.exempt.iter().any(|entry| entry.holds(&host, port));
        (!direct).then_some(proxy)
    }

    /// The same for reqwest, whose builder then reads no environment of its own.
    pub fn into_reqwest(self) -> reqwest::Proxy {
        reqwest::Proxy::custom(move |url| self.for_url(url).cloned())
    }
}

/// A proxy can have a password in its URL.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host =
            |proxy: &Option<Url>| proxy.as_ref().map(|url| url.host_str().map(str::to_owned));
        f.debug_struct("Proxies")
            .field("http", &host(&self.http))
            .field("https", &host(&self.https))
            .field("exempt", &self.exempt)
            .finish()
    }
}

/// `host:port` without a scheme is how many people write a proxy.
fn parse(variable: &'static str, text: &str) -> Result<Url, ProxyError> {
    let refused = |problem| ProxyError { variable, problem };
    let whole = match text.contains("://") {
        true => text.to_owned(),
        false => format!("http://{text}"),
    };
    let url = Url::parse(&whole).map_err(|_| refused("is not the URL of a proxy"))?;
    match (url.scheme(), url.host()) {
        ("http" | "https", Some(_)) => Ok(url),
        ("http" | "https", None) => Err(refused("is not the URL of a proxy")),
        _ => Err(refused("names a proxy that speaks no HTTP")),
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => without_dot(name) == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.to_canonical().is_loopback(),
    }
}

/// A dot at the end only says that the name is whole.
fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

impl Exempt {
    /// `None` for an entry that says nothing; Go passes it over, too.
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim().to_ascii_lowercase();
        if entry == "*" {
            return Some(Self {
                hosts: Hosts::All,
                port: None,
            });
        }
        // Before a port is looked for: addresses of version 6 have colons themselves.
        if let Some(range) = range(&entry) {
            return Some(Self {
                hosts: Hosts::Range(range),
                port: None,
            });
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (entry.as_str(), None),
        };
        let host = without_dot(
            host.strip_prefix('*')
                .filter(|rest| rest.starts_with('.'))
                .unwrap_or(host),
        );
        let hosts = match (range(host), host.strip_prefix('.')) {
            (Some(range), _) => Hosts::Range(range),
            (None, Some(domain)) => Hosts::Below(domain.to_owned()),
            (None, None) => Hosts::Domain(host.to_owned()),
        };
        let (Hosts::Domain(name) | Hosts::Below(name)) = &hosts else {
            return Some(Self { hosts, port });
        };
        (!name.is_empty()).then_some(Self { hosts, port })
    }

    fn holds(&self, host: &Host<&str>, port: Option<u16>) -> bool {
        let host_held = match (&self.hosts, host) {
            (Hosts::All, _) => true,
            (Hosts::Range(range), Host::Ipv4(address)) => range.contains(&IpAddr::V4(*address)),
            (Hosts::Range(range), Host::Ipv6(address)) => range.contains(&address.to_canonical()),
            (Hosts::Domain(domain), Host::Domain(name)) => {
                without_dot(name) == domain || is_below(without_dot(name), domain)
            }
            (Hosts::Below(domain), Host::Domain(name)) => is_below(without_dot(name), domain),
            _ => false,
        };
        host_held && (self.port.is_none() || self.port == port)
    }
}

/// An address or a range of addresses; one of version 6 may stand in brackets.
fn range(text: &str) -> Option<IpNet> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let text = bare.unwrap_or(text);
    let address = |text: &str| Some(IpNet::from(text.parse::<IpAddr>().ok()?));
    text.parse().ok().or_else(|| address(text))
}

fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain)
        .is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &'static str)]) -> Result<Proxies, ProxyError> {
        Proxies::from_variables(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| *value)
        })
    }

    fn through(variables: &[(&str, &'static str)], url: &str) -> Option<String> {
        let proxies = proxies(variables).unwrap();
        let url = url.parse().unwrap();
        proxies.for_url(&url).map(Url::to_string)
    }

    #[test]
    fn every_spelling_names_the_proxy() {
        for (variable, url, used) in [
            ("HTTP_PROXY", "http://r.example/", true),
            ("http_proxy", "http://r.example/", true),
            ("HTTP_PROXY", "https://r.example/", false),
            ("HTTPS_PROXY", "https://r.example/", true),
            ("https_proxy", "https://r.example/", true),
            ("https_proxy", "http://r.example/", false),
            ("ALL_PROXY", "http://r.example/", true),
            ("all_proxy", "https://r.example/", true),
        ] {
            for value in ["http://proxy.example:3128", "proxy.example:3128"] {
                let found = through(&[(variable, value)], url);
                let expected = used.then_some("http://proxy.example:3128/".to_owned());
                assert_eq!(found, expected, "{variable}={value} {url}");
            }
        }
    }

    #[test]
    fn capitals_go_before_small_letters_and_a_kind_before_all() {
        let both = [
            ("HTTP_PROXY", "http://a:1"),
            ("http_proxy", "http://b:1"),
            ("ALL_PROXY", "http://c:1"),
        ];
        assert_eq!(through(&both, "http://r.example/").unwrap(), "http://a:1/");
        assert_eq!(through(&both, "https://r.example/").unwrap(), "http://c:1/");
        // One that is set to nothing is not set.
        let empty = [("HTTP_PROXY", " "), ("http_proxy", "http://b:1")];
        assert_eq!(through(&empty, "http://r.example/").unwrap(), "http://b:1/");
    }

    #[test]
    fn loopback_is_never_asked_of_a_proxy() {
        for host in [
            "localhost",
            "localhost.",
            "LOCALHOST",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ] {
            let url = format!("http://{host}:5000/v2/");
            assert_eq!(
                through(&[("ALL_PROXY", "http://p:1")], &url),
                None,
                "{host}"
            );
        }
        for host in ["localhost.example", "notlocalhost", "128.0.0.1", "[::2]"] {
            let url = format!("http://{host}:5000/v2/");
            assert!(
                through(&[("ALL_PROXY", "http://p:1")], &url).is_some(),
                "{host}"
            );
        }
    }

    #[test]
    fn what_no_proxy_names_is_reached_directly() {
        for (entries, url, direct) in [
            ("*", "https://r.example/", true),
            ("r.example", "https://r.example/", true),
            ("R.Example", "https://r.example/", true),
            ("r.example.", "https://r.example/", true),
            ("r.example", "https://r.example./", true),
            ("r.example", "https://sub.r.example/", true),
            ("r.example", "https://other-r.example/", false),
            ("example", "https://r.example/", true),
            (".example", "https://r.example/", true),
            ("*.example", "https://r.example/", true),
            (".r.example", "https://r.example/", false),
            ("*.r.example", "https://r.example/", false),
            ("r.example:443", "https://r.example/", true),
            ("r.example:5000", "https://r.example:5000/", true),
            ("r.example:5000", "https://r.example/", false),
            (".example:5000", "https://r.example:5000/", true),
            ("10.1.2.3", "http://10.1.2.3:5000/", true),
            ("10.1.2.3:5000", "http://10.1.2.3:5000/", true),
            ("10.1.2.3:5000", "http://10.1.2.3/", false),
            ("10.1.0.0/16", "http://10.1.2.3:5000/", true),
            ("10.1.0.0/16", "http://10.2.0.1:5000/", false),
            ("fd00::/8", "http://[fd00::1]:5000/", true),
            ("fd00::1", "http://[fd00::1]:5000/", true),
            ("[fd00::1]:5000", "http://[fd00::1]:5000/", true),
            ("[fd00::1]:5000", "http://[fd00::1]/", false),
            (
                "a.example, r.example ,b.example",
                "https://r.example/",
                true,
            ),
            ("a.example r.example", "https://r.example/", true),
            (
                ",, :5000, r.example:x,.,*.",
                "https://r.example:5000/",
                false,
            ),
        ] {
            let found = through(&[("ALL_PROXY", "http://p:1"), ("no_proxy", entries)], url);
            assert_eq!(found.is_none(), direct, "{entries} {url}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_named_without_its_value() {
        for value in [
            "socks5://bob:hunter2@p:1080",
            "http://",
            "ftp://hunter2",
            "http://bob:hunter2@:x",
        ] {
            let error = proxies(&[("https_proxy", value)]).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("https_proxy"), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn a_proxy_of_another_kind_for_everything_else_is_no_fault() {
        for value in ["socks://p:1080", "socks5h://p:1080"] {
            assert_eq!(through(&[("all_proxy", value)], "http://r.example/"), None);
        }
        let unused = [
            ("HTTP_PROXY", "http://p:1"),
            ("HTTPS_PROXY", "http://p:1"),
            ("ALL_PROXY", "http://"),
        ];
        assert!(through(&unused, "http://r.example/").is_some());
        assert!(proxies(&[("ALL_PROXY", "http://")]).is_err());
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = format!(
            "{:?}",
            proxies(&[("ALL_PROXY", "http://bob:hunter2@p.example:1")]).unwrap()
        );
        assert!(
            shown.contains("p.example") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
