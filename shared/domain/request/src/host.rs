//! What can stand for a host in a web address.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest name of a host (RFC 1035 §2.3.4), characters.
const LONGEST: usize = 253;
/// Longest part of one between two dots (the same), characters.
const LONGEST_PART: usize = 63;

/// Whether a text is a host, or a host and a port, as they stand in a web address and in the `Host` of
/// a call (RFC 3986 §3.2.2): a name, an IPv4 address, or an IPv6 address in brackets. Names may have
/// underscores, which people use. What ends in a number is read as an address by everybody (the URL
/// standard), and has to be one.
pub fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    port.is_none_or(is_port) && (is_address_in_brackets(host) || is_name(host))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_address_in_brackets(text: &str) -> bool {
    let literal = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    literal.is_some_and(|literal| literal.parse::<Ipv6Addr>().is_ok())
}

fn is_name(text: &str) -> bool {
    // A dot at the end only says that the name is whole.
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or_default();
    if is_number(last) {
        return name.parse::<Ipv4Addr>().is_ok();
    }
    name.len() <= LONGEST && name.split('.').all(is_part_of_name)
}

fn is_number(part: &str) -> bool {
    let hex = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()),
    }
}

fn is_part_of_name(part: &str) -> bool {
    let within = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !part.is_empty()
        && part.len() <= LONGEST_PART
        && part.bytes().all(within)
        && !part.starts_with('-')
        && !part.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_may_have_a_port() {
        for text in [
            "devbox",
            "iib.example",
            "IIB.example.",
            "a_b.example:8080",
            "x--1.example:65535",
            "127.0.0.1",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:8080",
        ] {
            assert!(is_host(text), "{text}");
        }
        let long = "a".repeat(64);
        let longer = vec!["a"; 128].join(".");
        for text in [
            "",
            ".",
            ":80",
            "iib.example:",
            "iib.example:0",
            "iib.example:65536",
            "iib.example:+80",
            "iib.example:http",
            "http://iib.example",
            "iib.example/prod",
            "ann@iib.example",
            "iib example",
            "iib..example",
            "-iib.example",
            "iib-.example",
            "*.example",
            "müller.example",
            "1.2.3",
            "1.2.3.4.5",
            "a.0x7f",
            "256.0.0.1",
            "::1",
            "[::1",
            "[1.2.3.4]",
            &long,
            &longer,
        ] {
            assert!(!is_host(text), "{text}");
        }
    }
}
