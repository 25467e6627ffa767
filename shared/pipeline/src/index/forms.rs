//! Which form things have by the version of the platform that an index is for.

use iib_fbc::{BundleForm, Rules, ServeForm};
use iib_request::WorkSettings;

/// The forms in an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forms {
    /// That of the serve cache.
    pub(crate) cache: ServeForm,
    /// By which rules the catalog is read and checked.
    pub(crate) rules: Rules,
    /// That of the bundles which come into the catalog.
    pub(crate) bundles: BundleForm,
}

impl Forms {
    /// Those of an index with this version label. One that is no version counts as the latest.
    pub(crate) fn of(version: &str, work: &WorkSettings) -> Self {
        Self {
            cache: match work.newest_cache_from.is_reached_by(version) {
                true => ServeForm::Newest,
                false => ServeForm::Opm126,
            },
            rules: match work.newest_rules_from.is_reached_by(version) {
                true => Rules::OpmNewest,
                false => Rules::Opm126,
            },
            bundles: match work.csv_metadata_from.is_reached_by(version) {
                true => BundleForm::CsvMetadata,
                false => BundleForm::Objects,
            },
        }
    }

    /// Whether deprecations of what is not there are refused.
    pub(crate) fn checks_deprecations(self) -> bool {
        self.rules != Rules::Opm126
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_platform_decides() {
        let settings = WorkSettings::default();
        let (old, new) = (ServeForm::Opm126, ServeForm::Newest);
        for (label, cache, rules, bundles) in [
            ("v4.15", old, Rules::Opm126, BundleForm::Objects),
            ("v4.16", new, Rules::OpmNewest, BundleForm::Objects),
            ("v4.17", new, Rules::OpmNewest, BundleForm::CsvMetadata),
        ] {
            let forms = Forms {
                cache,
                rules,
                bundles,
            };
            assert_eq!(Forms::of(label, &settings), forms, "{label}");
        }
        let settings = WorkSettings {
            newest_rules_from: "v4.20".parse().unwrap(),
            ..settings
        };
        let forms = Forms::of("v4.19", &settings);
        assert_eq!((forms.cache, forms.rules), (new, Rules::Opm126));
    }
}
