//! How registries are spoken to.

use std::collections::BTreeSet;
use std::path::PathBuf;

use iib_oci::hosts::{Addresses, HostNameError, HostPattern, HostRules, HostSettings};
use serde::Deserialize;

use super::Config;
use super::origin::Faults;

/// How registries are spoken to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registries {
    /// Hosts that are spoken to, be it because a request names them or because a registry leads
    /// there, as [`HostPattern`]s; empty: all.
    pub allowed: BTreeSet<String>,
    /// Hosts (with port) that are spoken to over plain HTTP.
    pub insecure: BTreeSet<String>,
    /// Auth files, first match wins.
    pub auth_files: Vec<PathBuf>,
}

pub(super) fn check(registries: &Registries, faults: &mut Faults) {
    for name in &registries.allowed {
        if let Err(error) = name.parse::<HostPattern>() {
            faults.of_value("registries.allowed", error);
        }
    }
    check_hosts("registries.insecure", &registries.insecure, faults);
}

/// Whether each entry of a setting is a host as it stands in pull specs.
pub(super) fn check_hosts(place: &str, names: &BTreeSet<String>, faults: &mut Faults) {
    for name in names {
        let settings = HostSettings {
            plain: BTreeSet::from([name.clone()]),
            ..HostSettings::default()
        };
        match HostRules::new(&settings) {
            _ if name.is_empty() => faults.of_value(place, "has an entry that is empty"),
            Ok(_) => {}
            Err(error) => faults.of_value(place, error),
        }
    }
}

impl Config {
    /// Which hosts are spoken to.
    ///
    /// # Errors
    /// [`HostNameError`] for settings that were not checked.
    pub fn host_rules(&self, addresses: Addresses) -> Result<HostRules, HostNameError> {
        HostRules::new(&HostSettings {
            allowed: self.registries.allowed.clone(),
            plain: self.registries.insecure.clone(),
            own: self.result_registries(),
            addresses,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_checked, vars};
    use super::*;

    #[test]
    fn hosts_that_are_spoken_to_are_named_as_in_pull_specs_or_by_domain() {
        let environment = vars(&[("IIB_ALLOWED_REGISTRIES", "*, *.r.example, 10.0.0.1:5000")]);
        let config = Config::load(None, &environment).unwrap();
        assert_eq!(config.registries.allowed.len(), 3);
        let environment = vars(&[(
            "IIB_ALLOWED_REGISTRIES",
            "https://r.example, r.example/x, ok.example",
        )]);
        let text = Config::load(None, &environment).unwrap_err().to_string();
        for part in ["registries.allowed", "`https://r.example`", "`r.example/x`"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("ok.example"), "{text}");
    }

    #[test]
    fn hosts_of_plain_http_are_named_as_in_pull_specs() {
        const NAME: &str = "IIB_INSECURE_REGISTRIES";
        assert_checked(&[
            (NAME, "r.example, localhost:5000", None),
            (
                NAME,
                "http://r.example",
                Some("`http://r.example` is not a host or host:port"),
            ),
            (
                NAME,
                "r.example/team",
                Some("`r.example/team` is not a host"),
            ),
            (NAME, "devbox", Some("`devbox` is not a host")),
            (NAME, "*.r.example", Some("`*.r.example` is not a host")),
            // A name for pull specs, but none that can be looked up.
            (NAME, "1.2.3.4.5", Some("`1.2.3.4.5` is not a host")),
        ]);
    }
}
