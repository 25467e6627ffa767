//! The one table of all settings: which variable sets which of them, and how its text is read.

use Form::{File, Flag, Json, List, Number, Text};

/// A variable of the environment and the setting that it sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: &'static str,
    /// The keys down to the setting in a settings file, with dots between them.
    pub(super) place: &'static str,
    pub(super) form: Form,
}

/// How the text of a variable stands for a value of TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The text itself.
    Text,
    /// A whole number in digits.
    Number,
    /// `true` or `false`.
    Flag,
    /// Texts with commas between them; spaces around them and empty ones do not count.
    List,
    /// One file, where the setting is a list of files.
    File,
    /// An object of JSON, where the setting is a table.
    Json,
}

/// Other names of variables, which people have from the documentation of today's service.
pub(super) const ALIASES: [(&str, &str); 2] = [
    ("LOGIN_DISABLED", "IIB_LOGIN_DISABLED"),
    (
        "IIB_RECURSIVE_REQUEST_RELATED_BUNDLES_DIR",
        "IIB_REQUEST_RECURSIVE_RELATED_BUNDLES_DIR",
    ),
];

/// Every setting has a variable, and a row here. Tests hold this against the defaults and the types.
#[rustfmt::skip] // One line for each.
pub(super) const VARIABLES: [Variable; 87] = [
    row("IIB_DATA_FOLDER", "data_folder", Text),
    row("IIB_SCRATCH", "scratch", Text),
    row("IIB_CA_FILE", "ca_file", Text),
    row("IIB_LOGIN_DISABLED", "api.login_disabled", Flag),
    row("IIB_READS_NEED_LOGIN", "api.reads_need_login", Flag),
    row("IIB_MAX_PER_PAGE", "api.max_per_page", Number),
    row("IIB_REQUEST_DATA_DAYS_TO_LIVE", "api.data_days_to_live", Number),
    row("IIB_MAX_BUNDLES", "api.max_bundles", Number),
    row("IIB_MAX_BATCH", "api.max_batch", Number),
    row("IIB_USER_TO_QUEUE", "api.user_to_queue", Json),
    row("IIB_GREENWAVE_CONFIG", "api.greenwave_config", Json),
    row("IIB_MAX_LIVE_REQUESTS", "api.max_live_requests", Number),
    row("IIB_MAX_WAITING", "api.max_waiting", Number),
    row("IIB_WORKER_USERNAMES", "api.worker_usernames", List),
    row("IIB_TRUSTED_PROXIES", "api.trusted_proxies", List),
    row("IIB_TRUSTED_USER_HEADER", "api.trusted_user_header", Text),
    row("IIB_JWT_ISSUER", "api.jwt_issuer", Text),
    row("IIB_JWT_AUDIENCES", "api.jwt_audiences", List),
    row("IIB_JWT_SCOPES", "api.jwt_scopes", List),
    row("IIB_USER_CLAIMS", "api.user_claims", List),
    row("IIB_OFFER_LOGS", "api.offer_logs", Flag),
    row("IIB_OFFER_RELATED_BUNDLES", "api.offer_related_bundles", Flag),
    row("IIB_REQUEST_LOGS_DIR", "api.logs_folder", Text),
    row("IIB_REQUEST_RELATED_BUNDLES_DIR", "api.related_bundles_folder", Text),
    row("IIB_REQUEST_RECURSIVE_RELATED_BUNDLES_DIR", "api.nested_bundles_folder", Text),
    row("IIB_GRAPH_MODE_OPTIONS", "api.graph_mode_options", List),
    row("IIB_GRAPH_MODE_INDEX_ALLOW_LIST", "api.graph_mode_index_allow_list", List),
    row("IIB_INBOX_OVERWRITES", "api.inbox_overwrites", Flag),
    row("IIB_PUBLIC_URL", "api.public_url", Text),
    row("IIB_HOSTS", "api.hosts", List),
    row("IIB_REQUESTS_FIRST_NUMBER", "requests.first_number", Number),
    row("IIB_REQUESTS_KEEP_OTHERS", "requests.keep_others", Flag),
    row("IIB_REGISTRY", "work.registry", Text),
    row("IIB_IMAGE_PUSH_TEMPLATE", "work.image_push_template", Text),
    row("IIB_OUTPUT_FORMAT", "work.output_format", Text),
    row("IIB_NO_OCP_LABEL_ALLOW_LIST", "work.no_ocp_label_allow_list", List),
    row("IIB_GREENWAVE_URL", "work.greenwave_url", Text),
    row("IIB_INDEX_TO_GITLAB_PUSH_MAP", "work.git_repositories", Json),
    row("IIB_GIT_TOKENS_FILE", "work.git_tokens_file", Text),
    row("IIB_REQUIRED_LABELS", "work.required_labels", Json),
    row("IIB_RELATED_IMAGE_REGISTRY_REPLACEMENT", "work.related_image_registry_replacement", Json),
    row("IIB_ORGANIZATION_CUSTOMIZATIONS", "work.organization_customizations", Json),
    row("IIB_MAX_RECURSIVE_RELATED_BUNDLES", "work.max_recursive_related_bundles", Number),
    row("IIB_ONE_FRAGMENT_PER_PACKAGE", "work.one_fragment_per_package", Flag),
    row("IIB_HIDDEN_INDEX_DB_PATH", "work.hidden_database", Text),
    row("IIB_OPERATOR_DEPRECATIONS_DIR", "work.deprecations_folder", Text),
    row("IIB_NEWEST_CACHE_FROM", "work.newest_cache_from", Text),
    row("IIB_NEWEST_RULES_FROM", "work.newest_rules_from", Text),
    row("IIB_CSV_METADATA_FROM", "work.csv_metadata_from", Text),
    row("IIB_PLAIN_REASONS", "work.plain_reasons", Flag),
    row("IIB_MAX_ATTEMPTS", "work.max_attempts", Number),
    row("IIB_STAGE_TIMEOUT_SECONDS", "work.stage_timeout_seconds", Number),
    row("IIB_MAX_INDEX_BYTES", "work.max_index_bytes", Number),
    row("IIB_MAX_UNPACKED_BYTES", "work.max_unpacked_bytes", Number),
    row("IIB_MAX_BUNDLE_BYTES", "work.max_bundle_bytes", Number),
    row("IIB_INDEX_IMAGE_OUTPUT_REGISTRY", "work.index_image_output_registry", Text),
    row("IIB_BINARY_IMAGE_CONFIG", "work.binary_images", Json),
    row("IIB_ALLOWED_REGISTRIES", "registries.allowed", List),
    row("IIB_INSECURE_REGISTRIES", "registries.insecure", List),
    row("IIB_AUTH_FILE", "registries.auth_files", File),
    row("IIB_MESSAGING_URLS", "messaging.urls", List),
    row("IIB_MESSAGING_BUILD_STATE_DESTINATION", "messaging.build_state_destination", Text),
    row("IIB_MESSAGING_BATCH_STATE_DESTINATION", "messaging.batch_state_destination", Text),
    row("IIB_MESSAGING_DURABLE", "messaging.durable", Flag),
    row("IIB_MESSAGING_TIMEOUT", "messaging.timeout_seconds", Number),
    row("IIB_MESSAGING_CA", "messaging.ca", Text),
    row("IIB_MESSAGING_CERT", "messaging.certificate", Text),
    row("IIB_MESSAGING_KEY", "messaging.key", Text),
    row("IIB_MESSAGING_LOGIN_FILE", "messaging.login_file", Text),
    row("IIB_LOG_FORMAT", "telemetry.log_format", Text),
    row("IIB_LOG_FIELDS", "telemetry.log_fields", List),
    row("IIB_OTEL_TRACING", "telemetry.tracing", Flag),
    row("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.endpoint", Text),
    row("OTEL_SERVICE_NAME", "telemetry.service_name", Text),
    row("IIB_TABLE", "aws.table", Text),
    row("IIB_BUCKET", "aws.bucket", Text),
    row("IIB_PIN_QUEUE_URL", "aws.pin_queue_url", Text),
    row("IIB_MUTATE_QUEUE_URL", "aws.mutate_queue_url", Text),
    row("IIB_PUSH_QUEUE_URL", "aws.push_queue_url", Text),
    row("IIB_SECRET_KEY", "aws.secret_key", Text),
    row("IIB_REGISTRY_AUTH_SECRET", "aws.registry_auth_secret", Text),
    row("IIB_GIT_TOKENS_SECRET", "aws.git_tokens_secret", Text),
    row("IIB_EVENT_BUS", "aws.event_bus", Text),
    row("IIB_TOPIC_ARN", "aws.topic", Text),
    row("IIB_MESSAGING_SECRET", "aws.messaging_secret", Text),
    row("IIB_ECR_REGISTRIES", "aws.ecr_registries", List),
    row("IIB_ECR_CREATE_REPOSITORIES", "aws.ecr_create_repositories", Flag),
];

const fn row(name: &'static str, place: &'static str, form: Form) -> Variable {
    Variable { name, place, form }
}

/// The setting at a place, if there is one.
pub(super) fn at(place: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|variable| variable.place == place)
}

/// Whether settings stand below a place.
pub(super) fn is_group(place: &str) -> bool {
    let below = |variable: &Variable| {
        let rest = variable.place.strip_prefix(place);
        rest.is_some_and(|rest| rest.starts_with('.'))
    };
    VARIABLES.iter().any(below)
}

impl Form {
    /// The value that a text stands for.
    ///
    /// # Errors
    /// What the text has to be. It does not repeat the text, which may be long.
    pub(super) fn read(self, text: &str) -> Result<toml::Value, String> {
        Ok(match self {
            Text => text.into(),
            Number => match text.parse::<i64>() {
                Ok(number) => number.into(),
                Err(_) => return Err(format!("`{text}` is not a whole number in digits")),
            },
            Flag => match text.parse::<bool>() {
                Ok(flag) => flag.into(),
                Err(_) => return Err(format!("`{text}` is neither `true` nor `false`")),
            },
            List => {
                let items = text.split(',').map(str::trim);
                let items = items.filter(|item| !item.is_empty());
                items.map(toml::Value::from).collect::<Vec<_>>().into()
            }
            File => vec![toml::Value::from(text)].into(),
            Json => match serde_json::from_str::<toml::Table>(text) {
                Ok(table) => table.into(),
                Err(error) => return Err(format!("this is not an object in JSON: {error}")),
            },
        })
    }

    /// What the text of a variable is, for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Text => "text",
            Number => "a whole number",
            Flag => "`true` or `false`",
            List => "comma-separated",
            File => "one file",
            Json => "JSON",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use iib_request::{ApiSettings, WorkSettings};
    use serde::Serialize;

    use super::super::DEFAULTS;
    use super::super::layers::{defaults, with};
    use super::*;

    #[test]
    fn texts_become_values_of_their_form() {
        let list = |items: &[&str]| Some(items.to_vec().into());
        let table = toml::Table::from_iter([("a".to_owned(), toml::Value::from("b"))]);
        for (form, text, expected) in [
            (Text, " 3 ", Some(" 3 ".into())),
            (Number, "3", Some(3.into())),
            (Number, "-1", Some((-1).into())),
            (Number, "", None),
            (Number, " 3", None),
            (Number, "3.0", None),
            (Number, "9223372036854775808", None),
            (Flag, "true", Some(true.into())),
            (Flag, "false", Some(false.into())),
            (Flag, "True", None),
            (Flag, "1", None),
            (List, "a, b,,c ", list(&["a", "b", "c"])),
            (List, ",", list(&[])),
            (File, "/a,b", list(&["/a,b"])),
            (Json, r#"{"a": "b"}"#, Some(table.into())),
            (Json, "[]", None),
            (Json, "{", None),
            (Json, r#"{"a": null}"#, None),
        ] {
            assert_eq!(form.read(text).ok(), expected, "{form:?} of {text:?}");
        }
    }

    #[test]
    fn each_row_sets_a_setting_that_takes_values_of_its_form() {
        let sample = |form: Form, place: &str| {
            form.read(match form {
                Json if place == "api.greenwave_config" => {
                    r#"{"null": {"decision_context": "c", "product_version": "p", "subject_type": "koji_build"}}"#
                }
                Json if place == "work.required_labels" => r#"{"a": "b"}"#,
                Json if place == "work.organization_customizations" => {
                    r#"{"acme": [{"type": "related_bundles"}]}"#
                }
                Json if place == "work.git_repositories" => r#"{"a": "b"}"#,
                Json if place == "api.user_to_queue" => r#"{"ann": {"all": "a"}, "bob": "b"}"#,
                List if place == "api.trusted_proxies" => "10.2.0.0/24",
                Number => "1",
                Flag => "true",
                Json => r#"{"prod": {"v4.6": "scratch"}}"#,
                Text if place.ends_with("_from") => "v4.17",
                Text if place == "work.output_format" => "oci",
                // The one other text that has a form of its own.
                Text | List | File => "https://r.example",
            })
        };
        for variable in VARIABLES {
            let value = |form| sample(form, variable.place).unwrap();
            let taken = |form| with(&defaults(), variable.place, value(form)).is_ok();
            assert!(taken(variable.form), "{variable:?}");
            let similar = |form| matches!((form, variable.form), (List, File) | (File, List));
            for other in [Text, Number, Flag, List, File, Json] {
                if other != variable.form && !similar(other) {
                    assert!(!taken(other), "{variable:?} as {other:?}");
                }
            }
        }
    }

    #[test]
    fn each_setting_has_one_row() {
        let members = |group: &str, settings: toml::Table| {
            let place = |name: String| match group {
                "" => name,
                group => format!("{group}.{name}"),
            };
            settings
                .into_iter()
                .map(move |(name, _)| place(name))
                .collect::<Vec<_>>()
        };
        let mut settings = BTreeSet::new();
        for (name, value) in DEFAULTS.parse::<toml::Table>().unwrap() {
            match value {
                toml::Value::Table(group) => settings.extend(members(&name, group)),
                _ => drop(settings.insert(name)),
            }
        }
        // Those that are not set stand in no default.
        settings.extend(names("api", &ApiSettings::default()));
        settings.extend(names("work", &WorkSettings::default()));
        let mut places: Vec<&str> = VARIABLES.iter().map(|variable| variable.place).collect();
        places.sort_unstable();
        assert_eq!(Vec::from_iter(&settings), Vec::from_iter(&places));
        // Those of OpenTelemetry are called as everywhere.
        let ours = |name: &str| name.starts_with("IIB_") || name.starts_with("OTEL_");
        let names = BTreeSet::from(VARIABLES.map(|variable| variable.name));
        assert_eq!(names.len(), VARIABLES.len());
        assert!(names.iter().all(|name| ours(name)));
    }

    fn names(group: &str, settings: &impl Serialize) -> Vec<String> {
        let document = serde_json::to_value(settings).unwrap();
        let members = document.as_object().unwrap().keys();
        members.map(|name| format!("{group}.{name}")).collect()
    }

    #[test]
    fn the_template_sets_variables_that_are_known() {
        let template = include_str!("../../../../../infra/service.yaml");
        let set = template.lines().filter_map(|line| {
            let (name, _) = line.trim().split_once(": ")?;
            name.starts_with("IIB_").then_some(name)
        });
        let set = Vec::from_iter(set);
        assert!(set.len() > 10, "{set:?}");
        for name in set {
            assert!(
                VARIABLES.iter().any(|variable| variable.name == name),
                "{name}"
            );
        }
    }
}
