//! `iib doctor`: whether the service could work here, and what to do where it could not.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use iib_edge::Config;
use iib_edge::config::{environment, unknown_variables};
use iib_oci::{Digest, PullSpec};
use iib_ports::{Clock as _, Registry as _, RegistryError, SystemClock, causes};
use jiff::fmt::rfc2822;
use reqwest::header::DATE;
use serde::Serialize;

use crate::Exit;
use crate::cli::{DoctorOptions, LOCAL_URL};
use crate::client::Client;
use crate::output::{print, table};
use crate::source::registry;

/// Room that a few large indexes need while they are worked on, bytes.
const ROOM: u64 = 4 * 1024 * 1024 * 1024;

/// How far the clock may be wrong, seconds: tokens are refused, and calls of AWS, some minutes apart.
const SKEW: i64 = 60;

/// How long one look takes at most.
const LOOK: Duration = Duration::from_secs(20);

/// What was found out about something.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    outcome: Outcome,
    text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Good,
    /// Worth knowing, and no fault.
    Note,
    Bad,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Bad => "BAD",
        })
    }
}

impl Finding {
    fn good(what: &'static str, text: impl fmt::Display) -> Self {
        Self {
            what,
            outcome: Outcome::Good,
            text: text.to_string(),
            advice: None,
        }
    }

    fn note(what: &'static str, text: impl fmt::Display, advice: &str) -> Self {
        Self {
            outcome: Outcome::Note,
            advice: Some(advice.to_owned()),
            ..Self::good(what, text)
        }
    }

    fn bad(what: &'static str, text: impl fmt::Display, advice: &str) -> Self {
        Self {
            outcome: Outcome::Bad,
            ..Self::note(what, text, advice)
        }
    }
}

/// Looks at everything, and prints what was found.
pub(crate) async fn run(options: &DoctorOptions) -> anyhow::Result<Exit> {
    let environment = environment();
    let mut findings = Vec::new();
    for unknown in unknown_variables(&environment) {
        findings.push(Finding::bad(
            "settings",
            unknown,
            "correct the name, or take it out",
        ));
    }
    match Config::load(options.config.as_deref(), &environment) {
        Err(error) => findings.push(Finding::bad(
            "settings",
            error,
            "`iib serve --print-settings` says what each may be, and docs/SETTINGS.md what it is for",
        )),
        Ok(mut config) => {
            if let Some(folder) = &options.data_folder {
                config.data_folder.clone_from(folder);
            }
            findings.push(Finding::good("settings", "can be used"));
            findings.push(disk(&config.data_folder));
            findings.extend(results(&config).await);
            for image in &options.images {
                findings.push(of_image(&config, image).await);
            }
            findings.extend(clock(&config).await);
        }
    }
    findings.push(service(options).await);
    let is_bad = findings
        .iter()
        .any(|finding| finding.outcome == Outcome::Bad);
    let document = serde_json::to_value(&findings)?;
    print(&document, options.output.form(), || shown(&findings))?;
    Ok(match is_bad {
        true => Exit::RequestFailed,
        false => Exit::Done,
    })
}

fn shown(findings: &[Finding]) -> String {
    let rows = findings.iter().flat_map(|finding| {
        let Finding {
            what,
            outcome,
            text,
            advice,
        } = finding;
        let first = vec![outcome.to_string(), (*what).to_owned(), text.clone()];
        let advice = advice.iter().map(|advice| {
            vec![
                String::new(),
                String::new(),
                format!("what to do: {advice}"),
            ]
        });
        std::iter::once(first).chain(advice)
    });
    table(&[], &rows.collect::<Vec<_>>())
}

/// Whether there is room, and whether it may be written to.
fn disk(folder: &Path) -> Finding {
    const WHAT: &str = "disk";
    let shown = folder.display();
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    // Where it is not made yet, that which it is made in.
    let Some(there) = whole.ancestors().find(|folder| folder.is_dir()) else {
        return Finding::bad(
            WHAT,
            format!("there is no folder above {shown}"),
            "name another with --data-folder",
        );
    };
    if let Err(error) = tempfile::tempfile_in(there) {
        return Finding::bad(
            WHAT,
            format!("nothing can be written into {}: {error}", there.display()),
            "let the user of the service write there, or name another folder with --data-folder",
        );
    }
    match rustix::fs::statvfs(there) {
        Err(error) => Finding::bad(
            WHAT,
            format!("{shown}: {error}"),
            "name another folder with --data-folder",
        ),
        Ok(system) => {
            let free = system.f_bavail.saturating_mul(system.f_frsize);
            let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
            let text = format!("{:.1} GiB are free for {shown}", gib(free));
            match free < ROOM {
                true => Finding::note(
                    WHAT,
                    text,
                    "large indexes want some gigabytes while they are worked on: make room, or have old data removed earlier (IIB_REQUEST_DATA_DAYS_TO_LIVE)",
                ),
                false => Finding::good(WHAT, text),
            }
        }
    }
}

/// Whether results can be pushed.
async fn results(config: &Config) -> Vec<Finding> {
    const WHAT: &str = "results";
    if config.result_registries().is_empty() {
        return vec![Finding::good(
            WHAT,
            "go to the small registry of `iib serve`",
        )];
    }
    let output = match config.work.output("1") {
        Ok(output) => output,
        Err(error) => {
            return vec![Finding::bad(
                WHAT,
                error,
                "correct IIB_IMAGE_PUSH_TEMPLATE and IIB_REGISTRY",
            )];
        }
    };
    let repository = output.repository();
    let client = match registry(config) {
        Ok(client) => client,
        Err(error) => {
            return vec![Finding::bad(
                "registry",
                format!("{error:#}"),
                "correct what it names",
            )];
        }
    };
    let login = match client.explain_login(repository).await {
        Ok(search) => match search.used() {
            Some(place) => Finding::good("login", format!("{repository}: that of {}", place.place)),
            None => Finding::note(
                "login",
                format!("{repository}: there is none, the registry is asked as by a stranger"),
                &format!(
                    "if it wants one: `podman login {}`, or IIB_AUTH_FILE; `iib auth explain {repository}` tells where one is looked for",
                    repository.registry()
                ),
            ),
        },
        Err(error) => Finding::bad(
            "login",
            told(&error),
            &format!("`iib auth explain {repository}` tells more"),
        ),
    };
    // Asked with the right to push; whether the repository is there does not matter.
    let nothing = Digest::of(b"");
    let asked = tokio::time::timeout(LOOK, client.has_blob(repository, &nothing));
    let reached = match asked.await {
        Ok(Ok(_)) => Finding::good(
            WHAT,
            format!("{repository} can be asked, with the login for pushing"),
        ),
        Ok(Err(error)) => of_error(WHAT, &error),
        Err(_) => Finding::bad(
            WHAT,
            format!("{repository} does not answer"),
            "see whether the registry is up, and a proxy or firewall in between",
        ),
    };
    vec![login, reached]
}

/// Whether an image can be read.
async fn of_image(config: &Config, image: &str) -> Finding {
    const WHAT: &str = "image";
    let spec = match image.parse::<PullSpec>() {
        Ok(spec) => spec,
        Err(error) => return Finding::bad(WHAT, error, "write it as registry/repository:tag"),
    };
    let client = match registry(config) {
        Ok(client) => client,
        Err(error) => return Finding::bad(WHAT, format!("{error:#}"), "correct what it names"),
    };
    let read = tokio::time::timeout(LOOK, client.manifest(spec.repository(), spec.reference()));
    match read.await {
        Ok(Ok(_)) => Finding::good(WHAT, format!("{image} can be read")),
        Ok(Err(error)) => of_error(WHAT, &error),
        Err(_) => Finding::bad(
            WHAT,
            format!("{image} is not answered"),
            "see whether the registry is up, and a proxy or firewall in between",
        ),
    }
}

fn of_error(what: &'static str, error: &RegistryError) -> Finding {
    let advice = match error {
        RegistryError::NotFound { .. } => "see whether the name and the tag are right",
        RegistryError::Denied { .. } | RegistryError::Credentials { .. } => {
            "log in with `podman login`, or name an auth file in IIB_AUTH_FILE; `iib auth explain` tells which login is used"
        }
        RegistryError::HostRefused { .. } => {
            "name the registry in IIB_ALLOWED_REGISTRIES, or in IIB_INSECURE_REGISTRIES if it is inside of your network"
        }
        _ => {
            "see whether the name is right, the registry up, and a proxy, firewall or authority in between"
        }
    };
    Finding::bad(what, told(error), advice)
}

/// An error with its causes, in a line.
fn told(error: &RegistryError) -> String {
    let mut text = error.to_string();
    for cause in causes(error) {
        text.push_str(&format!(": {cause}"));
    }
    text
}

/// How far the clock is from that of a registry, if one says what it is.
async fn clock(config: &Config) -> Option<Finding> {
    const WHAT: &str = "clock";
    let registries = config.result_registries();
    let host = registries.first()?.split('/').next()?;
    let scheme = match config.registries.insecure.contains(host) {
        true => "http",
        false => "https",
    };
    let client = config.outward().ok()?.client();
    let client = client.timeout(LOOK).build().ok()?;
    // That it cannot be reached is told by others.
    let answer = client
        .get(format!("{scheme}://{host}/v2/"))
        .send()
        .await
        .ok()?;
    let date = answer.headers().get(DATE)?.to_str().ok()?;
    let theirs = rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    let apart = SystemClock.now().duration_since(theirs).as_secs();
    Some(match apart.abs() > SKEW {
        true => Finding::bad(
            WHAT,
            format!("{apart} s ahead of that of {host}"),
            "set it, by NTP for example: tokens of a wrong time are refused",
        ),
        false => Finding::good(WHAT, format!("agrees with that of {host}")),
    })
}

/// Whether a service answers.
async fn service(options: &DoctorOptions) -> Finding {
    const WHAT: &str = "service";
    let (url, token) = (&options.service.url, options.service.token.as_ref());
    let asked = async { Client::new(url, token)?.health().await };
    match asked.await {
        Ok(()) => Finding::good(WHAT, format!("{url} is well")),
        Err(error) if url == LOCAL_URL => Finding::note(
            WHAT,
            error,
            "`iib serve` starts one; one elsewhere is named by --url or IIB_URL",
        ),
        Err(error) => Finding::bad(
            WHAT,
            error,
            "see whether it runs, and whether --url or IIB_URL is right",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_to_be_one_that_can_be_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let to_be_made = folder.path().join("a/b");
        assert_ne!(disk(&to_be_made).outcome, Outcome::Bad);
        assert!(!folder.path().join("a").exists());
        let bad = disk(Path::new("/proc/none"));
        assert_eq!(bad.outcome, Outcome::Bad);
        assert!(bad.advice.is_some());
        let rows = shown(&[bad, Finding::good("clock", "fine")]);
        assert!(
            rows.contains("BAD") && rows.contains("what to do: "),
            "{rows}"
        );
    }
}
