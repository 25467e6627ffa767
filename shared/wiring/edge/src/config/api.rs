//! Settings of the API. What they are stands with the rules that depend on them
//! ([`ApiSettings`]); `public_url` has a type that checks it.

use iib_catalog::Mode;
use iib_request::{ALL_INDEXES, ApiSettings, DEFAULT_QUEUE, GATED_SUBJECT, QueueOf, is_host};
use url::{Host, Url};

use super::origin::Faults;

pub(super) fn check(api: &ApiSettings, faults: &mut Faults) {
    faults.of_zero("api.max_per_page", api.max_per_page);
    faults.of_zero("api.max_bundles", api.max_bundles);
    faults.of_zero("api.max_batch", api.max_batch);
    if api.reads_need_login && api.login_disabled {
        let text =
            "asks for users while `api.login_disabled` asks for none: set that to false, too";
        faults.of_value("api.reads_need_login", text.to_owned());
    }
    check_proxies(api, faults);
    check_issuer(api, faults);
    check_queues(api, faults);
    check_gating(api, faults);
    for name in api.hosts.iter().filter(|name| !is_host(name)) {
        let text = format!(
            "`{name}` is not a host or host:port: write what callers have in their `Host`, without scheme and path"
        );
        faults.of_value("api.hosts", text);
    }
    let modes = &api.graph_mode_options;
    for mode in modes.iter().filter(|mode| mode.parse::<Mode>().is_err()) {
        let known = ApiSettings::default().graph_mode_options.join(", ");
        let text = format!("`{mode}` is no mode of graphs: take some of {known}");
        faults.of_value("api.graph_mode_options", text);
    }
}

/// Queues have names, and a user's queues by index one for the others.
fn check_queues(api: &ApiSettings, faults: &mut Faults) {
    const PLACE: &str = "api.user_to_queue";
    for (user, queue) in &api.user_to_queue {
        if queue.names().iter().any(|name| name.is_empty()) {
            faults.of_value(PLACE, format!("`{user}` has a queue without a name"));
        }
        if let QueueOf::ByIndex(names) = queue
            && !names.contains_key(ALL_INDEXES)
        {
            let text = format!(
                "`{user}` has queues by index, and none for others: name it under \"{ALL_INDEXES}\""
            );
            faults.of_value(PLACE, text);
        }
    }
}

/// Gates are of queues that users have, by one rule: which bundles are let in must not hang on an index.
fn check_gating(api: &ApiSettings, faults: &mut Faults) {
    const PLACE: &str = "api.greenwave_config";
    let queues = api.user_to_queue.values();
    let is_by_index = |queue: &&QueueOf| matches!(queue, QueueOf::ByIndex(_));
    if !api.greenwave_config.is_empty() && queues.clone().any(|queue| is_by_index(&queue)) {
        let text = "queues that bundles are gated by cannot be those of an index: give each user one queue in api.user_to_queue";
        faults.of_value(PLACE, text.to_owned());
        return;
    }
    let known: Vec<&str> = queues.flat_map(QueueOf::names).collect();
    for (queue, gating) in &api.greenwave_config {
        if queue != DEFAULT_QUEUE && !known.contains(&&**queue) {
            let text = format!("the queue `{queue}` is nobody's in api.user_to_queue");
            faults.of_value(PLACE, text);
        }
        if let Some(name) = gating.more.keys().next() {
            let text = format!(
                "the queue `{queue}` has `{name}`: it has to have decision_context, product_version and subject_type, and nothing else"
            );
            faults.of_value(PLACE, text);
        }
        if gating.subject_type != GATED_SUBJECT {
            let text = format!(
                "the queue `{queue}` has the subject_type `{}`: it has to be `{GATED_SUBJECT}`",
                gating.subject_type
            );
            faults.of_value(PLACE, text);
        }
    }
}

/// Headers in which clients send secrets.
const SECRET_HEADERS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// A header without anybody to take it from is a login that nobody can pass, and the other way round.
fn check_proxies(api: &ApiSettings, faults: &mut Faults) {
    const HEADER: &str = "api.trusted_user_header";
    const PROXIES: &str = "api.trusted_proxies";
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    match (&api.trusted_user_header, api.trusted_proxies.is_empty()) {
        (Some(header), _) if header.is_empty() || !header.bytes().all(is_part) => {
            let text = format!("`{header}` is no name of a header: write it as X-Remote-User");
            faults.of_value(HEADER, text);
        }
        (Some(header), _)
            if SECRET_HEADERS
                .iter()
                .any(|s| header.eq_ignore_ascii_case(s)) =>
        {
            let text = format!(
                "`{header}` has what clients log in with, which must not become a name: let the proxy set a header of its own"
            );
            faults.of_value(HEADER, text);
        }
        (Some(_), true) => {
            let text =
                format!("it needs the proxies that set it: name their addresses in {PROXIES}");
            faults.of_value(HEADER, text);
        }
        (None, false) => {
            let text = format!("they need the header in which they name the user: {HEADER}");
            faults.of_value(PROXIES, text);
        }
        (Some(_), false) | (None, true) => {}
    }
}

/// An issuer without an audience would let in whoever has a token of it for something else.
fn check_issuer(api: &ApiSettings, faults: &mut Faults) {
    const ISSUER: &str = "api.jwt_issuer";
    const AUDIENCES: &str = "api.jwt_audiences";
    const SCOPES: &str = "api.jwt_scopes";
    const CLAIMS: &str = "api.user_claims";
    let is_loopback = |url: &Url| match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if let Some(issuer) = &api.jwt_issuer {
        let url = Url::parse(issuer).ok();
        let is_bare = |url: &Url| {
            let has_login = !url.username().is_empty() || url.password().is_some();
            let is_document = url.path().contains("/.well-known/");
            url.query().is_none() && url.fragment().is_none() && !has_login && !is_document
        };
        let is_safe = |url: &Url| match url.scheme() {
            "https" => url.has_host() && is_bare(url),
            "http" => is_loopback(url) && is_bare(url),
            _ => false,
        } && issuer.trim() == issuer;
        if !url.as_ref().is_some_and(is_safe) {
            let text = format!(
                "`{issuer}` is no address of an issuer: write it as in its tokens, such as https://id.example.com"
            );
            faults.of_value(ISSUER, text);
        } else if api.jwt_audiences.is_empty() {
            let text = format!("it needs those whom its tokens are for: name them in {AUDIENCES}");
            faults.of_value(ISSUER, text);
        }
    } else if !api.jwt_audiences.is_empty() {
        let text = format!("they need the issuer of the tokens: {ISSUER}");
        faults.of_value(AUDIENCES, text);
    }
    if api.jwt_issuer.is_none() && !api.jwt_scopes.is_empty() {
        let text = format!("they need the issuer of the tokens: {ISSUER}");
        faults.of_value(SCOPES, text);
    }
    // As RFC 6749 has them: they stand in a header of answers, too.
    let is_scope = |scope: &String| {
        let mut bytes = scope.bytes();
        bytes.all(|byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~'))
    };
    if let Some(odd) = api.jwt_scopes.iter().find(|scope| !is_scope(scope)) {
        let text = format!("`{odd}` is no scope: it has no spaces, quotes or backslashes");
        faults.of_value(SCOPES, text);
    }
    if api.user_claims.is_empty() {
        let text = "it is empty: name a claim that says who the user is, such as `sub`".to_owned();
        faults.of_value(CLAIMS, text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::super::tests::assert_checked;

    #[test]
    fn sizes_hosts_and_modes_are_checked() {
        assert_checked(&[
            ("IIB_MAX_PER_PAGE", "0", Some("must be at least 1")),
            ("IIB_MAX_BUNDLES", "0", Some("must be at least 1")),
            ("IIB_MAX_BATCH", "0", Some("must be at least 1")),
            ("IIB_REQUEST_DATA_DAYS_TO_LIVE", "0", None),
            ("IIB_HOSTS", "devbox, iib.example:8080, [::1]", None),
            (
                "IIB_HOSTS",
                "http://devbox",
                Some("`http://devbox` is not a host"),
            ),
            (
                "IIB_HOSTS",
                "a.example, devbox/prod",
                Some("`devbox/prod` is not a host"),
            ),
            ("IIB_HOSTS", "dev box", Some("`dev box` is not a host")),
            ("IIB_HOSTS", "devbox:0", Some("`devbox:0` is not a host")),
            ("IIB_GRAPH_MODE_OPTIONS", "semver, REPLACES", None),
            (
                "IIB_GRAPH_MODE_OPTIONS",
                "semver, fast",
                Some("`fast` is no mode of graphs: take some of replaces, semver"),
            ),
        ]);
    }

    #[test]
    fn queues_have_names_and_one_for_all_other_indexes() {
        const NAME: &str = "IIB_USER_TO_QUEUE";
        assert_checked(&[
            (
                NAME,
                r#"{"ann": "a", "SERIAL:bob": {"all": "b", "r.example/i:1": "c"}}"#,
                None,
            ),
            (
                NAME,
                r#"{"ann": {"r.example/i:1": "c"}}"#,
                Some("name it under \"all\""),
            ),
            (
                NAME,
                r#"{"ann": ""}"#,
                Some("`ann` has a queue without a name"),
            ),
            (NAME, r#"{"ann": 3}"#, Some("did not match")),
        ]);
    }

    #[test]
    fn gates_are_of_queues_that_are_there() {
        const QUEUES: &str = "IIB_USER_TO_QUEUE";
        const GATES: &str = "IIB_GREENWAVE_CONFIG";
        let gate = |queue: &str, rest: &str| {
            format!(r#"{{"{queue}": {{"decision_context": "c", "product_version": "p"{rest}}}}}"#)
        };
        const KOJI: &str = r#", "subject_type": "koji_build""#;
        assert_checked(&[
            (GATES, &gate("null", KOJI), None),
            (
                GATES,
                &gate("a", KOJI),
                Some("the queue `a` is nobody's in api.user_to_queue"),
            ),
            (
                GATES,
                &gate("null", r#", "subject_type": "image""#),
                Some("it has to be `koji_build`"),
            ),
            (GATES, &gate("null", ""), Some("missing field")),
            (
                GATES,
                &gate("null", r#", "subject_type": "koji_build", "x": 1"#),
                Some("the queue `null` has `x`"),
            ),
        ]);
        for (queues, said) in [
            (r#"{"SERIAL:ann": "a"}"#, None),
            (
                r#"{"ann": {"all": "a"}}"#,
                Some("cannot be those of an index"),
            ),
        ] {
            let both = [(QUEUES, queues.to_owned()), (GATES, gate("a", KOJI))];
            let both = both.map(|(name, text)| (name.to_owned(), text));
            let loaded = Config::load(None, &both.into()).map_err(|error| error.to_string());
            match said {
                None => assert_eq!(loaded.unwrap().api.greenwave_config.len(), 1),
                Some(said) => assert!(loaded.unwrap_err().contains(said)),
            }
        }
    }

    #[test]
    fn an_issuer_has_an_address_and_an_audience() {
        const ISSUER: &str = "IIB_JWT_ISSUER";
        assert_checked(&[
            (
                ISSUER,
                "https://id.example.com",
                Some("name them in api.jwt_audiences"),
            ),
            (
                ISSUER,
                "http://id.example.com",
                Some("`http://id.example.com` is no address of an issuer"),
            ),
            (ISSUER, "id.example.com", Some("is no address of an issuer")),
            (
                ISSUER,
                "https://id.example.com/.well-known/openid-configuration",
                Some("is no address of an issuer"),
            ),
            (
                "IIB_JWT_AUDIENCES",
                "iib",
                Some("they need the issuer of the tokens: api.jwt_issuer"),
            ),
            (
                "IIB_JWT_SCOPES",
                "catalogs",
                Some("they need the issuer of the tokens: api.jwt_issuer"),
            ),
            ("IIB_USER_CLAIMS", ",", Some("name a claim that says")),
        ]);
        let odd = [
            (ISSUER, "https://id.example.com"),
            ("IIB_JWT_AUDIENCES", "iib"),
            ("IIB_JWT_SCOPES", "catalogs, a\"b"),
        ];
        let odd = odd.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let refused = Config::load(None, &odd.into()).unwrap_err().to_string();
        assert!(refused.contains("`a\"b` is no scope"), "{refused}");
        for issuer in ["https://id.example.com/realms/a", "http://127.0.0.1:8080"] {
            let both = [(ISSUER, issuer), ("IIB_JWT_AUDIENCES", "iib, other")];
            let both = both.map(|(name, text)| (name.to_owned(), text.to_owned()));
            let config = Config::load(None, &both.into()).unwrap();
            assert_eq!(config.api.jwt_issuer.as_deref(), Some(issuer));
            assert_eq!(config.api.jwt_audiences, ["iib", "other"]);
        }
    }

    #[test]
    fn a_trusted_proxy_has_an_address_and_a_header() {
        const HEADER: &str = "IIB_TRUSTED_USER_HEADER";
        const PROXIES: &str = "IIB_TRUSTED_PROXIES";
        assert_checked(&[
            (
                HEADER,
                "X-Remote-User",
                Some("name their addresses in api.trusted_proxies"),
            ),
            (
                HEADER,
                "X Remote",
                Some("`X Remote` is no name of a header"),
            ),
            (
                HEADER,
                "Authorization",
                Some("which must not become a name"),
            ),
            (
                PROXIES,
                "127.0.0.1, 10.2.0.0/24",
                Some("they need the header"),
            ),
            (PROXIES, "proxy.example", Some("neither an address")),
        ]);
        let both = [(HEADER, "X-Remote-User"), (PROXIES, "127.0.0.1, ::1")];
        let both = both.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let config = Config::load(None, &both.into()).unwrap();
        assert_eq!(config.api.trusted_proxies.len(), 2);
    }

    #[test]
    fn names_of_today_s_service_are_taken_where_ours_are_not_set() {
        let load = |variables: &[(&str, &str)]| {
            let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
            let environment = variables.iter().map(owned).collect();
            Config::load(None, &environment).unwrap().api.login_disabled
        };
        assert!(load(&[]));
        assert!(!load(&[("LOGIN_DISABLED", "false")]));
        assert!(load(&[
            ("LOGIN_DISABLED", "false"),
            ("IIB_LOGIN_DISABLED", "true")
        ]));
    }

    #[test]
    fn the_public_address_is_one_of_a_service() {
        assert_checked(&[
            ("IIB_PUBLIC_URL", "https://iib.example/prod", None),
            (
                "IIB_PUBLIC_URL",
                "https://iib.example/api/v1",
                Some("leave that away"),
            ),
            (
                "IIB_PUBLIC_URL",
                "iib.example",
                Some("is no address of a service"),
            ),
            (
                "IIB_PUBLIC_URL",
                "https://iib.example?a",
                Some("is no address of a service"),
            ),
        ]);
    }
}
