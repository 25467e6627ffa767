//! Settings of the API. What they are stands with the rules that depend on them
//! ([`ApiSettings`]); `public_url` has a type that checks it.

use iib_catalog::Mode;
use iib_request::{ApiSettings, is_host};

use super::origin::Faults;

pub(super) fn check(api: &ApiSettings, faults: &mut Faults) {
    faults.of_zero("api.max_per_page", api.max_per_page);
    faults.of_zero("api.max_bundles", api.max_bundles);
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

#[cfg(test)]
mod tests {
    use super::super::tests::assert_checked;

    #[test]
    fn sizes_hosts_and_modes_are_checked() {
        assert_checked(&[
            ("IIB_MAX_PER_PAGE", "0", Some("must be at least 1")),
            ("IIB_MAX_BUNDLES", "0", Some("must be at least 1")),
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
