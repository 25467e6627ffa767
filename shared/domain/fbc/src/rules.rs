//! By which rules a catalog is read and checked, and the form its bundles have.

use std::fmt;
use std::str::FromStr;

/// By which rules a catalog is read and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// Those of version 1.26.4 of the reference (spec index-database §13).
    Opm126,
    /// Those of its newest version (newest-opm §4).
    OpmNewest,
    /// Those of the newest version, and what Konflux asks of a catalog: a file of its own for each
    /// package, and bundles in the form of the platform, where that is known (newest-opm §2).
    Konflux(Option<BundleForm>),
}

/// No name of rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there are no rules {0:?}: name opm-1.26, opm-newest or konflux")]
pub struct UnknownRules(String);

impl Rules {
    /// Whether those of the newest version hold, alone or among others.
    pub(crate) fn are_newest(self) -> bool {
        self != Self::Opm126
    }

    /// The same for a platform of which this is the version, such as `v4.17`. Only the rules of Konflux
    /// differ by it.
    ///
    /// # Errors
    /// It is no version of a platform.
    pub fn for_platform(self, version: &str) -> Result<Self, NoPlatform> {
        let form = BundleForm::for_platform(version)?;
        Ok(match self {
            Self::Konflux(_) => Self::Konflux(Some(form)),
            alike => alike,
        })
    }
}

impl FromStr for Rules {
    type Err = UnknownRules;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "opm-1.26" => Ok(Self::Opm126),
            "opm-newest" => Ok(Self::OpmNewest),
            "konflux" => Ok(Self::Konflux(None)),
            other => Err(UnknownRules(other.to_owned())),
        }
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Opm126 => "opm-1.26",
            Self::OpmNewest => "opm-newest",
            Self::Konflux(_) => "konflux",
        })
    }
}

/// Where a catalog has what the CSV of a bundle says (newest-opm §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BundleForm {
    /// In `olm.bundle.object`, a property for each object of the bundle.
    #[default]
    Objects,
    /// In the one property `olm.csv.metadata`.
    CsvMetadata,
}

/// A text that is no version of a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no version of OpenShift: write it like v4.17")]
pub struct NoPlatform(String);

/// The first version of the platform whose catalogs have `olm.csv.metadata`.
const CSV_METADATA_FROM: (u32, u32) = (4, 17);

impl BundleForm {
    /// The form in catalogs for a version of the platform, such as `v4.17`; what is behind the second
    /// number plays no part.
    ///
    /// # Errors
    /// It is no version of a platform.
    pub fn for_platform(version: &str) -> Result<Self, NoPlatform> {
        let mut numbers = version.strip_prefix('v').unwrap_or(version).split('.');
        let mut number = || numbers.next()?.parse().ok();
        match (number(), number()) {
            (Some(major), Some(minor)) if (major, minor) < CSV_METADATA_FROM => Ok(Self::Objects),
            (Some(_), Some(_)) => Ok(Self::CsvMetadata),
            _ => Err(NoPlatform(version.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BundleForm, Rules};

    #[test]
    fn rules_have_names() {
        for name in ["opm-1.26", "opm-newest", "konflux"] {
            assert_eq!(name.parse::<Rules>().unwrap().to_string(), name);
        }
        for name in ["", "opm", "Konflux", "opm-1.26 "] {
            name.parse::<Rules>().unwrap_err();
        }
    }

    #[test]
    fn the_version_of_the_platform_decides_on_the_form() {
        for (version, form) in [
            ("v4.6", BundleForm::Objects),
            ("4.16", BundleForm::Objects),
            ("v4.17", BundleForm::CsvMetadata),
            ("v4.17.3", BundleForm::CsvMetadata),
            ("v5.0", BundleForm::CsvMetadata),
        ] {
            assert_eq!(BundleForm::for_platform(version), Ok(form), "{version}");
            let rules = Rules::Konflux(None).for_platform(version);
            assert_eq!(rules, Ok(Rules::Konflux(Some(form))), "{version}");
        }
        for text in ["", "latest", "v4", "vv4.17", "4.x", "v4.99999999999"] {
            BundleForm::for_platform(text).unwrap_err();
        }
        let newest = Rules::OpmNewest.for_platform("v4.17");
        assert_eq!(newest, Ok(Rules::OpmNewest));
    }
}
