//! Where users find the service.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::is_host;

/// The absolute address of the service without its API's path: scheme, host, perhaps a port and a
/// path, such as `https://iib.example.com/prod`. What URLs in answers begin with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BaseUrl(String);

/// A text is no [`BaseUrl`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoBaseUrl {
    /// Another form.
    #[error(
        "`{0}` is no address of a service: write it as https://host, https://host:port or with a path behind, and nothing more"
    )]
    Form(String),
    /// The path of the API stands in it, which is put behind it.
    #[error("`{0}` has {API} in it, which is put behind it: leave that away, and what follows")]
    ApiPath(String),
}

/// The path of the API on a service.
const API: &str = "/api/v1";
/// Longest address, bytes: what is longer was not meant to be read.
const LONGEST: usize = 512;

impl FromStr for BaseUrl {
    type Err = NoBaseUrl;

    fn from_str(text: &str) -> Result<Self, NoBaseUrl> {
        let refused = || NoBaseUrl::Form(text.to_owned());
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .ok_or_else(refused)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let of_path = |b: u8| b.is_ascii_alphanumeric() || b"-_.~/".contains(&b);
        if !is_host(host)
            || !path.bytes().all(of_path)
            || !path.split('/').skip(1).all(is_segment)
            || text.len() > LONGEST
        {
            return Err(refused());
        }
        if format!("{path}/").contains(&format!("{API}/")) {
            return Err(NoBaseUrl::ApiPath(text.to_owned()));
        }
        Ok(Self(text.strip_suffix('/').unwrap_or(text).to_owned()))
    }
}

/// Whether a part of a path is there, and leads nowhere else.
fn is_segment(part: &str) -> bool {
    !matches!(part, "" | "." | "..")
}

impl TryFrom<String> for BaseUrl {
    type Error = NoBaseUrl;

    fn try_from(text: String) -> Result<Self, NoBaseUrl> {
        text.parse()
    }
}

impl From<BaseUrl> for String {
    fn from(url: BaseUrl) -> Self {
        url.0
    }
}

impl BaseUrl {
    /// Host and, if it is written, port.
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split_once('/').map_or(rest, |(host, _)| host)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_perhaps_a_path() {
        for (text, shown, host) in [
            ("https://iib.example", "https://iib.example", "iib.example"),
            ("https://iib.example/", "https://iib.example", "iib.example"),
            ("http://[::1]:8080", "http://[::1]:8080", "[::1]:8080"),
            (
                "https://iib.example:1/prod/v1/",
                "https://iib.example:1/prod/v1",
                "iib.example:1",
            ),
        ] {
            let url: BaseUrl = text.parse().unwrap();
            assert_eq!((url.to_string().as_str(), url.host()), (shown, host));
        }
        for text in [
            "",
            "iib.example",
            "ftp://iib.example",
            "https://",
            "https:///prod",
            "https://ann@iib.example",
            "https://iib.example/?a",
            "https://iib.example/a b",
            "https://iib.example//a",
            "https://iib.example//",
            "https://iib.example/../a",
            "https://iib.example/a/.",
            "https://iib.example#a",
            "https://iib.example?a",
            "https://iib..example",
            "https://iib.example:0",
            "https://[::1",
            "https://1.2.3",
            "HTTPS://iib.example",
        ] {
            let refused = text.parse::<BaseUrl>().unwrap_err();
            assert_eq!(refused, NoBaseUrl::Form(text.to_owned()));
        }
    }

    #[test]
    fn the_path_of_the_api_is_not_part_of_an_address() {
        for text in [
            "https://iib.example/api/v1",
            "https://iib.example/api/v1/",
            "https://iib.example/prod/api/v1/builds",
        ] {
            let refused = text.parse::<BaseUrl>().unwrap_err();
            assert_eq!(refused, NoBaseUrl::ApiPath(text.to_owned()));
            assert!(refused.to_string().contains("leave that away"), "{refused}");
        }
        for text in ["https://iib.example/api/v12", "https://iib.example/api"] {
            assert!(text.parse::<BaseUrl>().is_ok(), "{text}");
        }
    }
}
