//! Names of results, which are made of two settings, and the registries that they go to.

use std::collections::BTreeSet;

use iib_oci::{PullSpec, PullSpecError, Repository};
use iib_request::WorkSettings;

use super::Config;
use super::origin::Faults;
use super::work::is_place_of_repositories;

/// Stands for the small registry of local mode, which is used where the settings name none.
const SMALL_REGISTRY: &str = "localhost:1";

/// The name of a result has to be a pull spec whose tag is told by the request, whatever the
/// request; that is seen here and not after a request's work is done.
pub(super) fn check(work: &WorkSettings, faults: &mut Faults) {
    const PLACE: &str = "work.image_push_template";
    let template = &work.image_push_template;
    let registry = match work.registry.as_str() {
        "" => SMALL_REGISTRY,
        registry if template.contains("{registry}") && !is_place_of_repositories(registry) => {
            let text = format!("`{registry}` is not a host or host:port");
            faults.of_value("work.registry", text);
            SMALL_REGISTRY
        }
        registry => registry,
    };
    match (result(template, registry, "1"), result(template, registry, "2")) {
        (Ok(one), Ok(two))
            if one.repository() == two.repository() && one.reference() != two.reference() => {}
        (Ok(_), Ok(_)) => faults.of_value(
            PLACE,
            format!("`{template}`: its tag must contain {{request_id}}, and nothing else may"),
        ),
        // The setting that is wrong is the one that is named, if it can be told which.
        (Err(error), _) | (_, Err(error)) => match result(template, SMALL_REGISTRY, "1") {
            Ok(_) => faults.of_value(
                "work.registry",
                format!(
                    "`{registry}` is not a host or host:port, or makes no pull spec with work.image_push_template: {error}"
                ),
            ),
            Err(_) => faults.of_value(PLACE, format!("`{template}` makes no pull spec: {error}")),
        },
    }
}

fn result(template: &str, registry: &str, id: &str) -> Result<PullSpec, PullSpecError> {
    let named = template.replace("{registry}", registry);
    named.replace("{request_id}", id).parse()
}

impl Config {
    /// The registries that results go to: what the settings name, and what the name of a result
    /// begins with. Empty, where that is the small one and has not begun yet.
    pub fn result_registries(&self) -> BTreeSet<String> {
        let registry = self.work.registry.as_str();
        if registry.is_empty() {
            return BTreeSet::new();
        }
        let result = result(&self.work.image_push_template, registry, "1");
        let named = result.map(|result| result.repository().registry().to_owned());
        let all = named.into_iter().chain([registry.to_owned()]);
        // A template need not use the setting, so that may be anything.
        all.filter(|name| Repository::new(name, "x").is_ok())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::vars;
    use super::*;

    #[test]
    fn results_go_to_what_the_settings_and_the_names_of_results_say() {
        for (registry, template, expected) in [
            ("", "{registry}/iib-build:{request_id}", vec![]),
            (
                "r.example",
                "{registry}/iib-build:{request_id}",
                vec!["r.example"],
            ),
            (
                "r.example",
                "s.example/iib-build:{request_id}",
                vec!["r.example", "s.example"],
            ),
            (
                "unused",
                "s.example/iib-build:{request_id}",
                vec!["s.example"],
            ),
        ] {
            let vars = vars(&[
                ("IIB_REGISTRY", registry),
                ("IIB_IMAGE_PUSH_TEMPLATE", template),
            ]);
            let found = Config::load(None, &vars).unwrap().result_registries();
            assert_eq!(Vec::from_iter(found), expected);
        }
    }

    #[test]
    fn a_name_of_results_that_cannot_work_is_refused_by_the_setting_that_is_wrong() {
        for (registry, template, wrong) in [
            (
                "r.example",
                "{registry}/iib-build",
                "IIB_IMAGE_PUSH_TEMPLATE",
            ),
            (
                "r.example",
                "{registry}/iib-build:latest",
                "IIB_IMAGE_PUSH_TEMPLATE",
            ),
            (
                "r.example",
                "{registry}/iib/{request_id}:latest",
                "IIB_IMAGE_PUSH_TEMPLATE",
            ),
            (
                "r.example",
                "{registry}/{request_id}:{request_id}",
                "IIB_IMAGE_PUSH_TEMPLATE",
            ),
            ("r.example", "x", "IIB_IMAGE_PUSH_TEMPLATE"),
            (
                "not a registry",
                "{registry}/iib-build:{request_id}",
                "IIB_REGISTRY",
            ),
            (
                "registry",
                "{registry}/iib-build:{request_id}",
                "IIB_REGISTRY",
            ),
        ] {
            let vars = vars(&[
                ("IIB_REGISTRY", registry),
                ("IIB_IMAGE_PUSH_TEMPLATE", template),
            ]);
            let text = Config::load(None, &vars).unwrap_err().to_string();
            assert!(text.contains(&format!("\n  {wrong} (work.")), "{text}");
            assert_eq!(text.lines().count(), 2, "{text}");
        }
        let both = vars(&[
            ("IIB_REGISTRY", "not a registry"),
            ("IIB_IMAGE_PUSH_TEMPLATE", "{registry}/iib-build"),
        ]);
        let text = Config::load(None, &both).unwrap_err().to_string();
        assert_eq!(text.lines().count(), 3, "{text}");
    }
}
