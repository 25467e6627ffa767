//! Settings of the work. What they are stands with the rules that depend on them ([`WorkSettings`]).

use iib_oci::{PullSpec, Repository};
use iib_request::{BinaryImages, SCRATCH, Scope, WorkSettings};

use url::Url;

use super::origin::Faults;
use super::results;

pub(super) fn check(work: &WorkSettings, faults: &mut Faults) {
    faults.of_zero("work.max_attempts", work.max_attempts);
    faults.of_zero(
        "work.max_recursive_related_bundles",
        work.max_recursive_related_bundles,
    );
    faults.of_zero("work.stage_timeout_seconds", work.stage_timeout_seconds);
    faults.of_zero("work.max_index_bytes", work.max_index_bytes);
    faults.of_zero("work.max_bundle_bytes", work.max_bundle_bytes);
    if !is_free_place(&work.hidden_database) {
        let text = format!(
            "`{}` cannot be the place of the database: write an absolute path of a file that is neither in /configs nor in /tmp",
            work.hidden_database
        );
        faults.of_value("work.hidden_database", text);
    }
    if !is_plain_name(&work.deprecations_folder) {
        let text = format!(
            "`{}` is no name of a folder: write one without slashes",
            work.deprecations_folder
        );
        faults.of_value("work.deprecations_folder", text);
    }
    results::check(work, faults);
    if let Some(shown) = &work.index_image_output_registry
        && !is_place_of_repositories(shown)
    {
        let text = format!(
            "`{shown}` cannot stand in front of a repository: write a host or host:port, perhaps with a path, as it stands in pull specs"
        );
        faults.of_value("work.index_image_output_registry", text);
    }
    check_binary_images(&work.binary_images, faults);
    check_greenwave(work, faults);
    check_required_labels(work, faults);
    check_replacements(work, faults);
    check_customizations(work, faults);
}

fn check_greenwave(work: &WorkSettings, faults: &mut Faults) {
    let Some(address) = &work.greenwave_url else {
        return;
    };
    let url = Url::parse(address).ok();
    let is_meant = |url: &Url| {
        let login = !url.username().is_empty() || url.password().is_some();
        let more = login || url.query().is_some() || url.fragment().is_some();
        matches!(url.scheme(), "http" | "https") && url.has_host() && !more
    };
    if !url.is_some_and(|url| is_meant(&url)) {
        let text = "is no address of Greenwave: write it as https://host/path, without a login and without what it is asked for";
        faults.of_value("work.greenwave_url", text);
    }
}

fn check_required_labels(work: &WorkSettings, faults: &mut Faults) {
    if work.required_labels.contains_key("") {
        faults.of_value("work.required_labels", "has a label without a name");
    }
}

/// Every fault of every organization, each with its place.
fn check_customizations(work: &WorkSettings, faults: &mut Faults) {
    const SETTING: &str = "work.organization_customizations";
    let found = iib_regenerate::check_customizations(SETTING, &work.organization_customizations);
    for fault in found {
        faults.of_value(SETTING, fault.to_string());
    }
}

/// What stands for a registry is one, perhaps with a path.
fn check_replacements(work: &WorkSettings, faults: &mut Faults) {
    for (user, registries) in &work.related_image_registry_replacement {
        for (registry, other) in registries {
            let is_registry = |text: &str| !text.contains('/') && is_place_of_repositories(text);
            if !is_registry(registry) || !is_place_of_repositories(other) {
                let text = format!(
                    "`{user}` has `{other}` in the place of `{registry}`: write a host or host:port for one of the same, which may have a path"
                );
                faults.of_value("work.related_image_registry_replacement", text);
            }
        }
    }
}

fn is_plain_name(text: &str) -> bool {
    !text.is_empty() && text != "." && text != ".." && !text.contains(['/', '\\', '\0'])
}

/// Whether a text is the absolute path of a file where an index image has nothing else of ours.
fn is_free_place(path: &str) -> bool {
    let Some(relative) = path.strip_prefix('/') else {
        return false;
    };
    let first = relative.split('/').next();
    relative.split('/').all(is_plain_name) && !matches!(first, Some("configs" | "tmp"))
}

/// Whether repositories can be named below a text: a registry, or a registry and a path. It takes the
/// place of `registry` in the names of results.
pub(super) fn is_place_of_repositories(text: &str) -> bool {
    match text.split_once('/') {
        Some((registry, path)) => Repository::new(registry, path).is_ok(),
        // The path of a repository is immaterial here; the type checks the host.
        None => Repository::new(text, "x").is_ok(),
    }
}

/// Each scope and version as the work looks them up, and pull specs that can be read.
fn check_binary_images(images: &BinaryImages, faults: &mut Faults) {
    const PLACE: &str = "work.binary_images";
    for (scope, versions) in images {
        if Scope::parse(scope).is_none_or(|known| known.as_str() != scope) {
            let text = format!("there is no scope `{scope}`: write prod, stage or dev");
            faults.of_value(PLACE, text);
        }
        for (version, image) in versions {
            if !is_version(version) {
                let text = format!(
                    "`{scope}` has the version `{version}`: write it as indexes have it in their label, such as v4.6"
                );
                faults.of_value(PLACE, text);
            }
            if image != SCRATCH
                && let Err(error) = image.parse::<PullSpec>()
            {
                let text = format!("the image of `{scope}` and `{version}`: {error}");
                faults.of_value(PLACE, text);
            }
        }
    }
}

/// Whether a text is a version of the platform as indexes have it: `v4.6`.
fn is_version(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let parts = text.strip_prefix('v').and_then(|rest| rest.split_once('.'));
    parts.is_some_and(|(major, minor)| is_number(major) && is_number(minor))
}

#[cfg(test)]
mod tests {
    use super::super::tests::assert_checked;

    #[test]
    fn numbers_that_cannot_be_zero_are_not() {
        assert_checked(&[
            ("IIB_MAX_ATTEMPTS", "0", Some("must be at least 1")),
            ("IIB_STAGE_TIMEOUT_SECONDS", "0", Some("must be at least 1")),
            ("IIB_MAX_INDEX_BYTES", "0", Some("must be at least 1")),
            ("IIB_HIDDEN_INDEX_DB_PATH", "/data/hidden.db", None),
            (
                "IIB_HIDDEN_INDEX_DB_PATH",
                "/configs/x.db",
                Some("neither in /configs"),
            ),
            (
                "IIB_HIDDEN_INDEX_DB_PATH",
                "var/x.db",
                Some("an absolute path"),
            ),
            (
                "IIB_HIDDEN_INDEX_DB_PATH",
                "/var/../x.db",
                Some("an absolute path"),
            ),
            ("IIB_OPERATOR_DEPRECATIONS_DIR", "deprecated", None),
            ("IIB_OUTPUT_FORMAT", "oci", None),
            ("IIB_OUTPUT_FORMAT", "docker", None),
            ("IIB_OUTPUT_FORMAT", "OCI", Some("`docker` or `oci`")),
            ("IIB_OUTPUT_FORMAT", "v2s2", Some("`docker` or `oci`")),
            (
                "IIB_OPERATOR_DEPRECATIONS_DIR",
                "a/b",
                Some("without slashes"),
            ),
            (
                "IIB_OPERATOR_DEPRECATIONS_DIR",
                "..",
                Some("without slashes"),
            ),
            ("IIB_MAX_BUNDLE_BYTES", "0", Some("must be at least 1")),
            ("IIB_MAX_BUNDLE_BYTES", "1", None),
        ]);
    }

    #[test]
    fn another_name_of_the_registry_can_stand_in_front_of_a_repository() {
        const NAME: &str = "IIB_INDEX_IMAGE_OUTPUT_REGISTRY";
        let refused = Some("cannot stand in front of a repository");
        assert_checked(&[
            (NAME, "proxy.example", None),
            (NAME, "proxy.example:5000", None),
            (NAME, "localhost", None),
            (NAME, "proxy.example/team/mirror", None),
            (NAME, "proxy", refused),
            (NAME, "https://proxy.example", refused),
            (NAME, "proxy.example/", refused),
            (NAME, "proxy.example/Team", refused),
            (NAME, "proxy.example/team:v1", refused),
            (NAME, "proxy example", refused),
        ]);
    }

    #[test]
    fn binary_images_have_scopes_versions_and_pull_specs() {
        const NAME: &str = "IIB_BINARY_IMAGE_CONFIG";
        assert_checked(&[
            (
                NAME,
                r#"{"prod": {"v4.6": "r.example/b:1", "v4.16": "scratch"}, "dev": {}}"#,
                None,
            ),
            (
                NAME,
                r#"{"all": {}}"#,
                Some("no scope `all`: write prod, stage or dev"),
            ),
            // It would be looked up in lower case.
            (NAME, r#"{"PROD": {}}"#, Some("no scope `PROD`")),
            (
                NAME,
                r#"{"prod": {"4.6": "r.example/b:1"}}"#,
                Some("the version `4.6`: write"),
            ),
            (
                NAME,
                r#"{"prod": {"v4": "r.example/b:1"}}"#,
                Some("the version `v4`"),
            ),
            (
                NAME,
                r#"{"prod": {"v4.x": "r.example/b:1"}}"#,
                Some("the version `v4.x`"),
            ),
            (
                NAME,
                r#"{"prod": {"v4.6": "b:1"}}"#,
                Some("the image of `prod` and `v4.6`: `b:1` names no registry"),
            ),
            (
                NAME,
                r#"{"prod": {"v4.6": "r.example/b"}}"#,
                Some("neither a tag nor a digest"),
            ),
            (
                NAME,
                r#"{"prod": {"v4.6": ""}}"#,
                Some("the image of `prod` and `v4.6`"),
            ),
            (
                NAME,
                r#"{"prod": {"v4.6": 3}}"#,
                Some("must be a text in quotes"),
            ),
            (NAME, "{", Some("this is not an object in JSON")),
        ]);
    }
}
