//! Settings as a whole: the order of the layers, and faults with where they come from.

use iib_request::{ApiSettings, WorkSettings};
use tempfile::NamedTempFile;

use super::*;

pub(super) fn vars(pairs: &[(&str, &str)]) -> Environment {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

/// Checks what is said of a variable with a text, each by itself; nothing, where it can be used.
pub(super) fn assert_checked(cases: &[(&str, &str, Option<&str>)]) {
    for (name, text, said) in cases {
        let loaded = Config::load(None, &vars(&[(name, text)]));
        let found = loaded.map(drop).map_err(|error| error.to_string());
        match (found, said) {
            (Ok(()), None) => {}
            (Err(error), Some(said)) => {
                assert_eq!(error.lines().count(), 2, "{error}");
                let of_variable = error.contains(&format!("\n  {name} ("));
                assert!(of_variable && error.contains(said), "{said} in {error}");
            }
            (found, _) => panic!("{name}={text}: {found:?}"),
        }
    }
}

fn file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// The faults of a file and an environment, without the name of the file.
fn faults(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let file = file(text);
    let error = Config::load(Some(file.path()), &vars(environment)).unwrap_err();
    let text = error.to_string();
    let text = text.replace(file.path().to_str().unwrap(), "FILE");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("these settings cannot be used:"));
    lines.map(|line| line.trim().to_owned()).collect()
}

#[test]
fn the_defaults_are_valid_and_equal_those_of_the_rules() {
    let config = Config::load(None, &Environment::new()).unwrap();
    assert_eq!(config.api, ApiSettings::default());
    assert_eq!(config.work, WorkSettings::default());
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let file = file(
        "[work]\nregistry = \"a.example\"\nmax_attempts = 7\n\
         [work.binary_images]\ndev = { \"v4.5\" = \"scratch\" }\n\
         [registries]\ninsecure = [\"x:1\"]\nauth_files = [\"/a\", \"/b\"]\n",
    );
    let environment = vars(&[
        ("IIB_REGISTRY", "b.example"),
        (
            "IIB_BINARY_IMAGE_CONFIG",
            r#"{"prod": {"v4.6": "r.example/b:1"}}"#,
        ),
        ("IIB_AUTH_FILE", "/c,d"),
    ]);
    let config = Config::load(Some(file.path()), &environment).unwrap();
    assert_eq!(config.work.registry, "b.example");
    assert_eq!(config.work.max_attempts, 7);
    assert_eq!(config.work.binary_images["prod"]["v4.6"], "r.example/b:1");
    // A variable stands for the whole setting.
    assert!(!config.work.binary_images.contains_key("dev"));
    assert!(config.registries.insecure.contains("x:1"));
    assert_eq!(config.registries.auth_files, [PathBuf::from("/c,d")]);
    assert_eq!(config.api, ApiSettings::default());
}

#[test]
fn a_variable_that_is_empty_is_not_set_whatever_it_sets() {
    let file = file("[work]\nmax_attempts = 7\n[api]\nhosts = [\"devbox\"]\n");
    let empty = variables::VARIABLES.map(|variable| (variable.name, ""));
    let config = Config::load(Some(file.path()), &vars(&empty)).unwrap();
    let without = Config::load(Some(file.path()), &Environment::new()).unwrap();
    assert_eq!(config, without);
    assert_eq!(config.work.max_attempts, 7);
    assert_eq!(named_file(&vars(&[("IIB_CONFIG", "")])), None);
}

#[test]
fn all_faults_of_a_file_are_told_at_once_with_those_of_the_environment() {
    let text = "data_folders = \"x\"\nwork = 3\n[api]\nmax_per_page = \"many\"\nno_such = 1\n\
                hosts = [\"a b\"]\nmax_bundles = -1\n\
                [registries]\ninsecure = \"r.example\"\n[nothing]\n";
    let environment = [
        ("IIB_MAX_ATTEMPTS", "none"),
        ("IIB_STAGE_TIMEOUT_SECONDS", "0"),
        ("IIB_LOGIN_DISABLED", "yes"),
        ("IIB_MAX_INDEX_BYTES", "-5"),
        ("IIB_BINARY_IMAGE_CONFIG", r#"{"prod": {"v4.6": ["x"]}}"#),
    ];
    let found = faults(text, &environment);
    for expected in [
        "FILE: api.max_bundles: invalid value: integer `-1`; must be a whole number from 0 to 4294967295",
        "FILE: api.max_per_page: invalid type: string \"many\"; must be a whole number from 0 to 4294967295",
        "FILE: api.no_such: there is no such setting: `iib serve --print-settings` names all",
        "FILE: data_folders: there is no such setting: is data_folder meant?",
        "FILE: nothing: there is no such setting: `iib serve --print-settings` names all",
        "FILE: registries.insecure: invalid type: string \"r.example\"; must be a list of texts, such as [\"a\", \"b\"]",
        "FILE: work: this is of the type integer, but holds settings: write them below [work]",
        "IIB_LOGIN_DISABLED (api.login_disabled): `yes` is neither `true` nor `false`",
        "IIB_MAX_ATTEMPTS (work.max_attempts): `none` is not a whole number in digits",
        "IIB_MAX_INDEX_BYTES (work.max_index_bytes): invalid value: integer `-5`; must be a whole number from 0 up",
        "IIB_BINARY_IMAGE_CONFIG (work.binary_images): invalid type: sequence; must be a text in quotes (in work.binary_images.prod.v4.6)",
        "FILE: api.hosts: `a b` is not a host or host:port: write what callers have in their `Host`, without scheme and path",
        "IIB_STAGE_TIMEOUT_SECONDS (work.stage_timeout_seconds): must be at least 1",
    ] {
        assert!(
            found.iter().any(|fault| fault == expected),
            "{expected} in {found:#?}"
        );
    }
    assert_eq!(found.len(), 13, "{found:#?}");
}

#[test]
fn a_fault_of_a_value_names_whoever_set_it_last() {
    let text = "[api]\nmax_per_page = 0\n[work]\nmax_attempts = 0\n";
    let found = faults(text, &[("IIB_MAX_ATTEMPTS", "0")]);
    assert_eq!(
        found,
        [
            "FILE: api.max_per_page: must be at least 1",
            "IIB_MAX_ATTEMPTS (work.max_attempts): must be at least 1",
        ]
    );
}

#[test]
fn a_file_that_cannot_be_used_at_all_is_told_with_the_rest() {
    let environment = [("IIB_MAX_ATTEMPTS", "none")];
    let found = faults("[work]\nregistry = \n", &environment);
    assert!(
        found[0].starts_with("FILE: this is not TOML: line 2: "),
        "{found:?}"
    );
    assert!(found[1].starts_with("IIB_MAX_ATTEMPTS"), "{found:?}");

    let error = Config::load(Some(Path::new("/no/such.toml")), &vars(&environment)).unwrap_err();
    let text = error.to_string();
    for part in [
        "/no/such.toml: ",
        "cannot be read",
        "IIB_CONFIG",
        "IIB_MAX_ATTEMPTS",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_log_format_of_the_former_service_is_passed_over() {
    let load = |format| Config::load(None, &vars(&[("IIB_LOG_FORMAT", format)]));
    let of_python = load("%(asctime)s %(message)s").unwrap();
    assert_eq!(of_python.telemetry.log_format(), None);
    let found = faults("", &[("IIB_LOG_FORMAT", "xml")]);
    assert!(found[0].contains("neither `json` nor `text`"), "{found:?}");
}

#[test]
fn keys_in_quotes_are_no_places() {
    let found = faults("\"work.registry\" = \"a.example\"\n", &[]);
    assert!(
        found[0].starts_with("FILE: work.registry: \"work.registry\" in quotes is one key"),
        "{found:?}"
    );
    // And those without are cut at their dots.
    let found = faults("[work.binary_images.prod]\nv4.6 = \"r.example/b:1\"\n", &[]);
    assert!(found[0].contains("has to be in quotes"), "{found:?}");
}

#[test]
fn logins_that_came_along_are_not_shown() {
    for (name, text) in [
        ("IIB_REGISTRY", "user:hunter2@quay.io"),
        ("IIB_PUBLIC_URL", "https://user:hunter2@iib.example"),
        (
            "IIB_PUBLIC_URL",
            "https://user:hun/ter2:hunter2@iib.example",
        ),
        ("IIB_ALLOWED_REGISTRIES", "a.example,user:hunter2@quay.io"),
        ("IIB_PIN_QUEUE_URL", "https://user:hunter2@sqs.example/x"),
        (
            "IIB_BINARY_IMAGE_CONFIG",
            r#"{"prod": {"v4.6": "user:hunter2@quay.io/b:1"}}"#,
        ),
    ] {
        let error = Config::load(None, &vars(&[(name, text)])).unwrap_err();
        let told = error.to_string();
        assert!(!told.contains("hunter2"), "{told}");
        assert!(told.contains("…@") && told.contains(name), "{told}");
    }
    // A digest is no login.
    let image = format!(
        r#"{{"all": {{"v4.6": "r.example/b:1@sha256:{}"}}}}"#,
        "0".repeat(64)
    );
    let error = Config::load(None, &vars(&[("IIB_BINARY_IMAGE_CONFIG", &image)])).unwrap_err();
    assert!(!error.to_string().contains('…'), "{error}");
    let error = Config::load(None, &vars(&[("IIB_REGISTRY", "r.example/b:1@sha256:0")]));
    assert!(error.unwrap_err().to_string().contains("b:1@sha256"));
}

#[test]
fn each_fault_has_one_line_of_a_length_that_can_be_read() {
    let long = "9".repeat(100_000);
    let found = faults(
        "",
        &[
            ("IIB_MAX_ATTEMPTS", &long),
            ("IIB_MAX_BUNDLES", "a\nb"),
            ("IIB_HOSTS", "r\u{fffd}.example"),
        ],
    );
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.iter().all(|fault| fault.len() < 1000), "{found:?}");
    assert!(
        found.iter().any(|fault| fault.contains(r"`a\nb`")),
        "{found:?}"
    );
    let text = "IIB_HOSTS (api.hosts): its text is not UTF-8";
    assert!(found.iter().any(|fault| fault == text), "{found:?}");
}

#[test]
fn a_folder_that_is_empty_is_refused() {
    let found = faults("data_folder = \"\"\n", &[]);
    assert_eq!(
        found,
        ["FILE: data_folder: is empty: name a folder, or leave it away"]
    );
}

#[test]
fn reading_cannot_need_a_login_that_nothing_needs() {
    let environment = vars(&[("IIB_READS_NEED_LOGIN", "true")]);
    let error = Config::load(None, &environment).unwrap_err().to_string();
    assert!(error.contains("api.reads_need_login"), "{error}");
    let environment = vars(&[
        ("IIB_READS_NEED_LOGIN", "true"),
        ("IIB_LOGIN_DISABLED", "false"),
    ]);
    assert!(
        Config::load(None, &environment)
            .unwrap()
            .api
            .reads_need_login
    );
}
