use super::*;

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Rules for others, with these hosts allowed, for plain HTTP, and the service's own.
fn rules(allowed: &[&str], plain: &[&str], own: &[&str]) -> HostRules {
    HostRules::new(&HostSettings {
        allowed: names(allowed),
        plain: names(plain),
        own: names(own),
        addresses: Addresses::OnlyOutside,
    })
    .unwrap()
}

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

/// The refusal by the variant that says why.
fn why(checked: &Result<(), HostRefusal>) -> &'static str {
    match checked {
        Ok(()) => "allowed",
        Err(HostRefusal::NotNamed { .. }) => "not named",
        Err(HostRefusal::Inside { .. }) => "inside",
        Err(HostRefusal::PlainHttp { .. }) => "plain",
        Err(HostRefusal::Scheme { .. }) => "scheme",
    }
}

#[test]
fn without_a_list_every_host_is_spoken_to_that_is_not_inside() {
    let rules = rules(
        &[],
        &["plain.example:5000", "10.0.0.2:5000"],
        &["10.0.0.3", ""],
    );
    for (text, expected) in [
        ("https://r.example/v2/", "allowed"),
        ("https://r.example:5000/v2/", "allowed"),
        ("https://1.1.1.1/v2/", "allowed"),
        ("https://127.0.0.1/v2/", "inside"),
        ("https://127.1/v2/", "inside"),
        ("https://0x7f.1/v2/", "inside"),
        ("https://2130706433/v2/", "inside"),
        ("https://0177.0.0.1/v2/", "inside"),
        ("https://127.0.0.1./v2/", "inside"),
        ("https://0/v2/", "inside"),
        ("https://[::1]/v2/", "inside"),
        ("https://[::ffff:127.0.0.1]/v2/", "inside"),
        ("https://[fd00::1]/v2/", "inside"),
        ("https://10.0.0.1/v2/", "inside"),
        ("https://169.254.169.254/latest/", "inside"),
        ("https://100.64.0.1/v2/", "inside"),
        ("https://localhost/v2/", "inside"),
        ("https://LOCALHOST./v2/", "inside"),
        ("https://x.localhost/v2/", "inside"),
        ("https://localhost.example/v2/", "allowed"),
        // Named, on that port only.
        ("https://10.0.0.3/v2/", "allowed"),
        ("https://10.0.0.3:22/v2/", "inside"),
        ("https://10.0.0.2:5000/v2/", "allowed"),
        ("http://10.0.0.2:5000/v2/", "allowed"),
        ("https://10.0.0.2/v2/", "inside"),
        ("http://plain.example:5000/v2/", "allowed"),
        ("http://plain.example/v2/", "plain"),
        ("http://r.example/v2/", "plain"),
        ("http://127.0.0.1/v2/", "plain"),
        ("ftp://r.example/v2/", "scheme"),
        ("data:text/plain,x", "scheme"),
        ("file:///etc/passwd", "scheme"),
    ] {
        assert_eq!(why(&rules.check(&url(text))), expected, "{text}");
    }
}

#[test]
fn with_a_list_only_hosts_that_are_named_are_spoken_to() {
    let rules = rules(
        &[
            "r.example",
            "10.0.0.1:5000",
            "*.below.example",
            "[fd00::1]:5000",
            "docker.io",
        ],
        &["plain.example"],
        &["results.example:5000"],
    );
    for (text, expected) in [
        ("https://r.example/v2/", "allowed"),
        ("https://R.Example./v2/", "allowed"),
        ("https://r.example:443/v2/", "allowed"),
        ("https://r.example:5000/v2/", "not named"),
        ("https://sub.r.example/v2/", "not named"),
        ("https://other.example/v2/", "not named"),
        ("https://10.0.0.1:5000/v2/", "allowed"),
        ("https://10.0.0.1/v2/", "not named"),
        ("https://a.below.example/v2/", "allowed"),
        ("https://a.b.below.example/v2/", "allowed"),
        ("https://below.example/v2/", "not named"),
        ("https://notbelow.example/v2/", "not named"),
        ("https://[fd00::1]:5000/v2/", "allowed"),
        ("https://[fd00::2]:5000/v2/", "not named"),
        ("https://index.docker.io/v2/", "allowed"),
        ("http://plain.example/v2/", "allowed"),
        ("https://results.example:5000/v2/", "allowed"),
    ] {
        assert_eq!(why(&rules.check(&url(text))), expected, "{text}");
    }
}

#[test]
fn every_host_may_stand_beside_some_that_are_inside() {
    let rules = rules(&["*", "10.0.0.1"], &[], &[]);
    for (text, expected) in [
        ("https://r.example/v2/", "allowed"),
        ("https://10.0.0.1/v2/", "allowed"),
        ("https://10.0.0.2/v2/", "inside"),
    ] {
        assert_eq!(why(&rules.check(&url(text))), expected, "{text}");
    }
    assert!(rules.minds_address(&url("https://r.example/")));
    assert!(!rules.minds_address(&url("https://10.0.0.1/")));
}

#[test]
fn a_repository_is_refused_by_what_its_pull_spec_says() {
    let open = rules(&[], &["localhost:5000"], &[]);
    let listed = rules(&["r.example", "s.example:80"], &[], &[]);
    for (registry, by_open, by_listed) in [
        ("r.example", "allowed", "allowed"),
        ("r.example:443", "allowed", "allowed"),
        ("r.example:5000", "allowed", "not named"),
        ("s.example", "allowed", "allowed"),
        ("localhost:5000", "allowed", "not named"),
        ("localhost", "inside", "not named"),
        ("127.0.0.1:5000", "inside", "not named"),
        ("0x7f.1", "inside", "not named"),
        ("169.254.169.254", "inside", "not named"),
        // No host at all.
        ("1.2.3.999", "allowed", "allowed"),
    ] {
        let repository = Repository::new(registry, "a/b").unwrap();
        assert_eq!(
            why(&open.check_repository(&repository)),
            by_open,
            "{registry}"
        );
        assert_eq!(
            why(&listed.check_repository(&repository)),
            by_listed,
            "{registry}"
        );
    }
}

#[test]
fn refusals_name_the_host_and_the_setting() {
    let listed = rules(&["r.example"], &[], &[]);
    let open = rules(&[], &[], &[]);
    let repository = |registry| Repository::new(registry, "a").unwrap();
    for (refused, parts) in [
        (
            listed.check_repository(&repository("s.example:5000")),
            ["s.example:5000", "registries.allowed"],
        ),
        (
            open.check_repository(&repository("10.0.0.1")),
            ["10.0.0.1 is at a private", "registries.allowed"],
        ),
        (
            open.check(&url("http://r.example:81/")),
            ["r.example:81", "registries.insecure"],
        ),
        (
            check_address("r.example", [10, 0, 0, 1].into()),
            ["r.example is at a private", "registries.allowed"],
        ),
        // User names and passwords are not shown.
        (
            open.check(&url("http://ann:pw@r.example/")),
            ["r.example", "registries.insecure"],
        ),
    ] {
        let text = refused.unwrap_err().to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        assert!(!text.contains("pw"), "{text}");
    }
    assert_eq!(check_address("r.example", [1, 1, 1, 1].into()), Ok(()));
}

#[test]
fn addresses_count_only_where_others_ask_and_for_hosts_that_are_not_named() {
    let rules = rules(&[], &[], &["own.example:5000"]);
    assert!(rules.minds_address(&url("https://r.example/")));
    assert!(rules.minds_address(&url("https://own.example/")));
    assert!(!rules.minds_address(&url("https://own.example:5000/")));
    let anybody = HostRules::default();
    assert!(!anybody.minds_address(&url("https://r.example/")));
    assert_eq!(anybody.check(&url("https://127.0.0.1/")), Ok(()));
}

#[test]
fn plain_http_is_meant_for_registries_that_are_named_exactly() {
    let rules = rules(&[], &["r.example:5000", "Plain.Example"], &[]);
    for (registry, plain) in [
        ("r.example:5000", true),
        ("R.example:5000", true),
        ("r.example", false),
        ("plain.example", true),
        ("plain.example:443", false),
        ("sub.plain.example", false),
    ] {
        assert_eq!(rules.is_plain(registry), plain, "{registry}");
    }
    for (text, allowed) in [
        ("http://r.example:5000/x", true),
        ("http://r.example:5001/x", false),
        ("http://r.example/x", false),
        ("http://plain.example/x", true),
        ("http://plain.example:80/x", true),
        ("http://plain.example:443/x", false),
        ("http://sub.plain.example/x", false),
        ("https://anything.example/x", true),
    ] {
        assert_eq!(rules.check(&url(text)).is_ok(), allowed, "{text}");
    }
}

#[test]
fn names_that_are_no_hosts_are_refused() {
    for name in [
        "http://r.example",
        "r.example/x",
        "user@r.example",
        "r.example:x",
        "*",
        "x",
    ] {
        let settings = HostSettings {
            plain: names(&[name]),
            ..HostSettings::default()
        };
        let error = HostRules::new(&settings).unwrap_err();
        assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
    }
    for name in [
        "http://r.example",
        "r.example/x",
        "",
        "user@r.example",
        "*.",
        "*.10.0.0.1",
        "*x.example",
        "*.*.example",
        "a%2eb",
        "r.example:99999",
        "[::1",
        "r example",
    ] {
        let error = name.parse::<HostPattern>().unwrap_err();
        assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
        assert!(error.to_string().contains("*.domain"), "{error}");
    }
    for name in [
        "*",
        "r.example",
        "r.example:5000",
        "*.r.example:5000",
        "[::1]:5000",
        "[::1]",
        "10.0.0.1",
    ] {
        assert!(name.parse::<HostPattern>().is_ok(), "{name}");
    }
}
