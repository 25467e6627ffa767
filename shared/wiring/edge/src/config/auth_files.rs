//! Where podman and docker keep logins.

use std::path::{Path, PathBuf};

use super::environment::{Environment, set};

/// Where podman and docker keep logins, in their order (containers-auth.json(5); the places of
/// variables that are not set are those of the XDG base directory specification and of podman).
pub(super) fn usual(environment: &Environment, user: Option<u32>) -> Vec<PathBuf> {
    let at = |name: &str, rest: &str| set(environment, name).map(|v| Path::new(v).join(rest));
    // Relative places are to be ignored (XDG base directory specification).
    let absolute = |path: &PathBuf| path.is_absolute();
    let of_user = || user.map(|id| PathBuf::from(format!("/run/containers/{id}/auth.json")));
    [
        set(environment, "REGISTRY_AUTH_FILE").map(PathBuf::from),
        at("XDG_RUNTIME_DIR", "containers/auth.json")
            .filter(absolute)
            .or_else(of_user),
        at("XDG_CONFIG_HOME", "containers/auth.json")
            .filter(absolute)
            .or_else(|| at("HOME", ".config/containers/auth.json")),
        at("DOCKER_CONFIG", "config.json").or_else(|| at("HOME", ".docker/config.json")),
        at("HOME", ".dockercfg"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The user this process runs as, where the system tells.
pub(super) fn user() -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    Some(std::fs::metadata("/proc/self").ok()?.uid())
}

#[cfg(test)]
mod tests {
    use super::super::tests::vars;
    use super::*;

    #[test]
    fn logins_are_where_podman_and_docker_keep_them() {
        let files = |pairs: &[(&str, &str)]| {
            let found = usual(&vars(pairs), Some(7));
            let shown = found.iter().map(|path| path.display().to_string());
            shown.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            files(&[("HOME", "/h")]),
            "/run/containers/7/auth.json /h/.config/containers/auth.json \
             /h/.docker/config.json /h/.dockercfg"
        );
        assert_eq!(
            files(&[
                ("HOME", "/h"),
                ("XDG_RUNTIME_DIR", "/run/user/7"),
                ("XDG_CONFIG_HOME", "/c"),
                ("DOCKER_CONFIG", "/d"),
                ("REGISTRY_AUTH_FILE", "/a.json"),
            ]),
            "/a.json /run/user/7/containers/auth.json /c/containers/auth.json \
             /d/config.json /h/.dockercfg"
        );
        // What is set to nothing is not set.
        assert_eq!(
            files(&[
                ("REGISTRY_AUTH_FILE", ""),
                ("XDG_CONFIG_HOME", ""),
                ("DOCKER_CONFIG", ""),
                ("HOME", "/h"),
                ("XDG_RUNTIME_DIR", "/r")
            ]),
            "/r/containers/auth.json /h/.config/containers/auth.json \
             /h/.docker/config.json /h/.dockercfg"
        );
    }
}
