//! Addresses that lead inside, or nowhere.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is none that everybody reaches (IANA's registries of special-purpose addresses).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Inside {
    /// This machine.
    Loopback,
    /// A network of its own (RFC 1918).
    Private,
    /// The same cable (RFC 3927, RFC 4291); where clouds keep the credentials of machines.
    LinkLocal,
    /// A network of its own (RFC 4193, and site-local before that).
    UniqueLocal,
    /// Behind the provider (RFC 6598).
    CarrierGrade,
    /// Many machines.
    Multicast,
    /// Not given to anybody to be reached at, or read as another address by some gateway.
    Reserved,
}

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::UniqueLocal => "a unique-local address",
            Self::CarrierGrade => "an address of carrier-grade NAT",
            Self::Multicast => "a multicast address",
            Self::Reserved => "a reserved address",
        })
    }
}

impl Inside {
    /// What is wrong with an address; `None` for one that everybody reaches. An address of
    /// version 6 that stands for one of version 4 is what that one is.
    pub fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }
}

fn of_v4(address: Ipv4Addr) -> Option<Inside> {
    match address.octets() {
        // What begins with 0 is this machine to the kernel.
        [0 | 127, ..] => Some(Inside::Loopback),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some(Inside::Private),
        [169, 254, ..] => Some(Inside::LinkLocal),
        [100, 64..=127, ..] => Some(Inside::CarrierGrade),
        // Protocol assignments, documentation, relays to version 6, benchmarks.
        [192, 0, 0 | 2, _]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..] => Some(Inside::Reserved),
        [224..=239, ..] => Some(Inside::Multicast),
        [240..=255, ..] => Some(Inside::Reserved),
        _ => None,
    }
}

fn of_v6(address: Ipv6Addr) -> Option<Inside> {
    if address.is_loopback() || address.is_unspecified() {
        return Some(Inside::Loopback);
    }
    match address.segments() {
        // Mapped (RFC 4291), and what NAT64 makes of version 4 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            of_v4(v4(high, low))
        }
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => of_v4(v4(high, low)),
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Some(Inside::UniqueLocal),
        [0xfe80..=0xfebf, ..] => Some(Inside::LinkLocal),
        [0xff00..=0xffff, ..] => Some(Inside::Multicast),
        // Protocol assignments with Teredo, and documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => {
            Some(Inside::Reserved)
        }
        // What is given out to be reached at (RFC 4291, "global unicast").
        [0x2000..=0x3fff, ..] => None,
        _ => Some(Inside::Reserved),
    }
}

fn v4(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_everybody_reaches_are_not_inside() {
        for (address, inside) in [
            ("127.0.0.1", Some(Inside::Loopback)),
            ("127.9.9.9", Some(Inside::Loopback)),
            ("0.0.0.0", Some(Inside::Loopback)),
            ("0.1.2.3", Some(Inside::Loopback)),
            ("10.0.0.1", Some(Inside::Private)),
            ("172.15.255.255", None),
            ("172.16.0.0", Some(Inside::Private)),
            ("172.31.255.255", Some(Inside::Private)),
            ("172.32.0.0", None),
            ("192.168.1.1", Some(Inside::Private)),
            ("169.254.169.254", Some(Inside::LinkLocal)),
            ("100.63.255.255", None),
            ("100.64.0.1", Some(Inside::CarrierGrade)),
            ("100.127.255.255", Some(Inside::CarrierGrade)),
            ("100.128.0.0", None),
            ("192.0.0.1", Some(Inside::Reserved)),
            ("192.0.2.1", Some(Inside::Reserved)),
            ("198.18.0.1", Some(Inside::Reserved)),
            ("198.20.0.1", None),
            ("198.51.100.1", Some(Inside::Reserved)),
            ("203.0.113.1", Some(Inside::Reserved)),
            ("224.0.0.1", Some(Inside::Multicast)),
            ("240.0.0.1", Some(Inside::Reserved)),
            ("255.255.255.255", Some(Inside::Reserved)),
            ("1.1.1.1", None),
            ("223.255.255.255", None),
            ("::", Some(Inside::Loopback)),
            ("::1", Some(Inside::Loopback)),
            ("::2", Some(Inside::Reserved)),
            ("::127.0.0.1", Some(Inside::Reserved)),
            ("::ffff:127.0.0.1", Some(Inside::Loopback)),
            ("::ffff:10.0.0.1", Some(Inside::Private)),
            ("::ffff:1.1.1.1", None),
            ("64:ff9b::169.254.169.254", Some(Inside::LinkLocal)),
            ("64:ff9b::1.1.1.1", None),
            ("64:ff9b:1::1.1.1.1", Some(Inside::Reserved)),
            ("2002:a00:1::1", Some(Inside::Private)),
            ("2002:101:101::1", None),
            ("2001::1", Some(Inside::Reserved)),
            ("2001:db8::1", Some(Inside::Reserved)),
            ("3fff::1", Some(Inside::Reserved)),
            ("fc00::1", Some(Inside::UniqueLocal)),
            ("fd00::1", Some(Inside::UniqueLocal)),
            ("fec0::1", Some(Inside::UniqueLocal)),
            ("fe80::1", Some(Inside::LinkLocal)),
            ("ff02::1", Some(Inside::Multicast)),
            ("100::1", Some(Inside::Reserved)),
            ("4000::1", Some(Inside::Reserved)),
            ("2606:4700::1", None),
        ] {
            assert_eq!(Inside::of(address.parse().unwrap()), inside, "{address}");
        }
    }
}
