//! Who stands in front of the service and is believed.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Addresses of proxies whose word for who calls is taken: one address, or a network such as
/// `10.2.0.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustedProxies(IpNet);

/// A text is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an address, such as 127.0.0.1, nor a network, such as 10.2.0.0/24")]
pub struct NoNetwork(String);

impl TrustedProxies {
    /// Whether a call from this address comes from one of them.
    pub fn contain(&self, peer: IpAddr) -> bool {
        self.0.contains(&peer.to_canonical())
    }
}

impl FromStr for TrustedProxies {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let one = || {
            text.parse()
                .map(|address: IpAddr| address.to_canonical().into())
        };
        let net = one().or_else(|_| text.parse());
        net.map(Self).map_err(|_| NoNetwork(text.to_owned()))
    }
}

impl TryFrom<String> for TrustedProxies {
    type Error = NoNetwork;

    fn try_from(text: String) -> Result<Self, NoNetwork> {
        text.parse()
    }
}

impl From<TrustedProxies> for String {
    fn from(proxies: TrustedProxies) -> Self {
        proxies.to_string()
    }
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_network_of_one() {
        for (text, inside, outside) in [
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("127.0.0.1", "::ffff:127.0.0.1", "::1"),
            ("::ffff:127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("10.2.0.0/24", "10.2.0.255", "10.2.1.0"),
            ("::1", "::1", "127.0.0.1"),
        ] {
            let proxies: TrustedProxies = text.parse().unwrap();
            let contain = |peer: &str| proxies.contain(peer.parse().unwrap());
            assert!(contain(inside) && !contain(outside), "{text}");
        }
        for text in [
            "",
            "localhost",
            "10.2.0.0/33",
            "10.2.0",
            "*",
            "127.0.0.1:80",
        ] {
            assert!(text.parse::<TrustedProxies>().is_err(), "{text}");
        }
    }
}
