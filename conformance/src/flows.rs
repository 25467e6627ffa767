//! Traces of whole requests, held against ours.
//!
//! A trace is a closed world: simulated images, and what the reference's task did with them. The images get content
//! ([`images`]), the request goes through the service's functions ([`play`]), and what a trace binds us to is
//! compared: what was told to the API, which names have the result, its labels, how it ended.

mod bundles;
mod images;
mod play;
mod trace;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use iib_ports::chain;
use serde_json::{Value, json};

use self::play::{Ended, OUTPUT, Outcome};
use self::trace::Trace;

/// What a request of ours does where that of a trace does otherwise, on purpose.
enum Ours {
    /// It says the second text where the trace has the first; all else is alike.
    Says(&'static str, &'static str),
    /// It completes where the trace fails, says before that whatever the trace says before it fails, and gives the result
    /// these names, and those of its architectures.
    Completes(&'static [&'static str]),
    /// It fails, too, after it said whatever the trace says before, and for this reason.
    Fails(&'static str),
    /// The API refuses it with these words.
    Refused(&'static str),
}

struct Departure {
    trace: &'static str,
    ours: Ours,
    why: &'static str,
}

/// Where we differ on purpose (spec worker flows §16).
const ON_PURPOSE: [Departure; 12] = [
    Departure {
        trace: "add-overwrite-changed",
        ours: Ours::Completes(&[OUTPUT, "q.io/ns/idx:v4.6"]),
        why: "an index that has changed is the base of a second try (ADR 21); the request need not be sent again",
    },
    Departure {
        trace: "add-output-registry",
        ours: Ours::Says(
            "6dbc2317f4f5a105e7be52f99cccfa4960259b27e056acfead1aa63b68881b6b",
            "<digest of registry.example.com/iib-build:7>",
        ),
        why: "the other name is one of the same image, so it is told with the digest of the result; that of the trace \
              is of nothing else in it",
    },
    Departure {
        trace: "add-opm-fails",
        ours: Ours::Says(
            ": bundle etcd.v1.0.0 replaces nonexistent",
            ": Invalid bundle etcd.v1.0.0, replaces nonexistent",
        ),
        why: "the words are those of opm (spec index-database §5.3), not of the tool that stands in for it",
    },
    Departure {
        trace: "merge-deprecation-in-both",
        ours: Ours::Completes(&[OUTPUT]),
        why: "a bundle that is in both indexes counts once",
    },
    Departure {
        trace: "merge-sqlite-invalid-version",
        ours: Ours::Completes(&[OUTPUT]),
        why: "bundles that do not fit are looked for in the database that the index has",
    },
    Departure {
        trace: "merge-without-target",
        ours: Ours::Completes(&[OUTPUT]),
        why: "a target may be left out, as the API says",
    },
    Departure {
        trace: "fbc-empty-fragment",
        ours: Ours::Says(
            "('No operator packages in fbc_fragment %s', 'q.io/frag@sha256:86b673a8985c6ede5800628cdb5caf07cdeb2601d80cab6bee62aa222b94248c')",
            "No operator packages in fbc_fragment q.io/frag@sha256:86b673a8985c6ede5800628cdb5caf07cdeb2601d80cab6bee62aa222b94248c",
        ),
        why: "the message is a text with the fragment in it",
    },
    Departure {
        trace: "rm-fbc-git-copy-fails",
        ours: Ours::Says(
            "Error resetting last commit",
            "Failed to overwrite the input from_index container image of q.io/ns/idx:v4.6: Failed to push the manifest list to \
             q.io/ns/idx:v4.6: q.io refused access to q.io/ns/idx:v4.6 (status 403): its tag is locked",
        ),
        why: "the commit is taken back (ADR 23), and what is told is why the index was not overwritten",
    },
    Departure {
        trace: "regenerate-bad-yaml",
        ours: Ours::Fails(
            "The Operator Manifest is not in a valid YAML format: manifests/csv.yaml: line 1: did not find expected node content",
        ),
        why: "what follows the sentence is what the parser says, and ours is another one; it names file and line",
    },
    Departure {
        trace: "regenerate-conflict",
        ours: Ours::Fails(
            "manifests/csv.yaml - Found conflicts when setting relatedImages:\ncontainer m: \
             q.io/img/op@sha256:962f0c5b46b57516c32aad1719aa3106f9cb651283abbbbc132a945ab3fb4786 X container m: \
             q.io/b/child@sha256:ee72ae881c02cec72ef0971ddfa9224dd86eb52b4db3976ba496fcd55631da11",
        ),
        why: "it is the author's mistake, so the author is told what it is",
    },
    Departure {
        trace: "regenerate-oci-bundle",
        ours: Ours::Completes(&[OUTPUT]),
        why: "bundles with OCI manifests are taken",
    },
    Departure {
        trace: "deprecations-bad-json",
        ours: Ours::Refused("\"deprecation_schema\" string should be valid JSON"),
        why: "the API refuses it, in its own words, before anything is built",
    },
];

/// What playing a trace came to.
enum Verdict {
    Alike,
    OnPurpose(&'static str),
    Differs(String),
    Skipped(&'static str),
}

/// Plays the traces in a file, and says what differs.
pub(crate) fn run(file: &Path) -> anyhow::Result<bool> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let traces: Vec<Trace> = serde_json::from_slice(&text)
        .with_context(|| format!("{} has no traces", file.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut count = Count::default();
    for trace in &traces {
        let name = &trace.name;
        let verdict = runtime.block_on(judge(trace));
        match (&verdict, &trace.quirk) {
            (Verdict::Alike, None) => say(&format!("ok {name}")),
            (Verdict::Alike, Some(quirk)) => {
                say(&format!("ok {name} (alike in spite of: {quirk})"));
            }
            (Verdict::OnPurpose(why), _) => say(&format!("differs {name} [{why}]")),
            (Verdict::Differs(what), _) => say(&format!("FAIL {name}: {what}")),
            (Verdict::Skipped(why), _) => say(&format!("skip {name}: {why}")),
        }
        count.note(&verdict);
    }
    let Count {
        passed,
        failed,
        on_purpose,
        skipped,
    } = count;
    say(&format!(
        "{on_purpose} differ on purpose, {skipped} are skipped"
    ));
    say(&format!("{passed} passed, {failed} failed"));
    Ok(failed == 0 && passed > 0)
}

/// What playing traces came to.
#[derive(Default)]
struct Count {
    passed: u64,
    failed: u64,
    on_purpose: u64,
    skipped: u64,
}

impl Count {
    fn note(&mut self, verdict: &Verdict) {
        *match verdict {
            Verdict::Alike => &mut self.passed,
            Verdict::Differs(_) => &mut self.failed,
            Verdict::OnPurpose(_) => &mut self.on_purpose,
            Verdict::Skipped(_) => &mut self.skipped,
        } += 1;
    }
}

#[expect(clippy::print_stdout, reason = "a command speaks to its user")]
fn say(line: &str) {
    println!("{line}");
}

async fn judge(trace: &Trace) -> Verdict {
    if let Some(why) = not_played(trace) {
        return Verdict::Skipped(why);
    }
    let outcome = match Box::pin(play::play(trace)).await {
        Ok(outcome) => outcome,
        Err(error) => return Verdict::Differs(format!("cannot be played: {}", chain(&*error))),
    };
    let departure = ON_PURPOSE.iter().find(|one| one.trace == trace.name);
    let differences = match departure {
        None => unlike(trace, str::to_owned, &outcome),
        Some(departure) => departs(trace, departure, &outcome),
    };
    match (differences, departure) {
        (Some(what), _) => Verdict::Differs(what),
        (None, Some(departure)) => Verdict::OnPurpose(departure.why),
        (None, None) => Verdict::Alike,
    }
}

/// Why a trace has nothing to tell us.
fn not_played(trace: &Trace) -> Option<&'static str> {
    if trace.copy_that_fails().is_some() {
        return None;
    }
    let unreachable = trace
        .world
        .failing_commands
        .iter()
        .any(|(_, said)| !bundles::is_reachable(said));
    unreachable.then_some("what fails there cannot fail here")
}

/// What differs first; the words of the trace are put into ours.
fn unlike(
    trace: &Trace,
    in_our_words: impl Fn(&str) -> String,
    outcome: &Outcome,
) -> Option<String> {
    let ended = match outcome {
        Outcome::Refused(text) => return Some(format!("the API refuses it: {text}")),
        Outcome::Ended(ended) => ended,
    };
    let patches = trace.patches();
    for at in 0..patches.len().max(ended.patches.len()) {
        let show = |patch: Option<&Value>| patch.map_or("nothing".to_owned(), Value::to_string);
        let wanted = in_our_words(&show(patches.get(at)));
        let found = show(ended.patches.get(at));
        if wanted != found {
            return Some(format!("patch {}: expected {wanted}, got {found}", at + 1));
        }
    }
    let reason = in_our_words(&trace.state_reason);
    let mut parts = vec![
        ("state", json!(trace.state), json!(ended.state)),
        ("reason", json!(reason), json!(ended.reason)),
        ("artifacts", json!(trace.artifacts), json!(ended.artifacts)),
        ("names", json!(trace.names()), json!(ended.names)),
    ];
    // The reference does nothing with the map for requests of this kind, on which the spec is with us.
    if trace.task != "fbc-operations" {
        parts.push(("commit", json!(trace.commit()), json!(ended.commit)));
    }
    if trace.state == "complete" {
        let limited: BTreeSet<&str> = bundles::complaints(trace).collect();
        parts.push(("labels", json!(trace.labels()), json!(ended.labels)));
        parts.push((
            "bundles that end early",
            json!(limited),
            json!(ended.limited),
        ));
    }
    let mut parts = parts.into_iter();
    parts.find_map(|(what, wanted, found)| {
        (wanted != found).then(|| format!("{what}: expected {wanted}, got {found}"))
    })
}

/// What is not as it is to be where we differ on purpose.
fn departs(trace: &Trace, departure: &Departure, outcome: &Outcome) -> Option<String> {
    match (&departure.ours, outcome) {
        (Ours::Says(recorded, ours), _) => {
            if !json!(trace.patches()).to_string().contains(recorded) {
                return Some(format!("it records no {recorded}"));
            }
            unlike(trace, |text| text.replace(recorded, ours), outcome)
        }
        (Ours::Refused(wanted), Outcome::Refused(text)) => {
            (wanted != text).then(|| format!("the API refuses it otherwise: {text}"))
        }
        (Ours::Refused(wanted), Outcome::Ended(ended)) => {
            let Ended { state, reason, .. } = ended;
            Some(format!(
                "expected to be refused ({wanted}), got {state}: {reason}"
            ))
        }
        (Ours::Fails(_), Outcome::Refused(text)) => Some(format!("the API refuses it: {text}")),
        (Ours::Fails(wanted), Outcome::Ended(ended)) => {
            let Ended { state, reason, .. } = ended;
            if state != "failed" || reason != wanted {
                return Some(format!(
                    "expected to fail ({wanted}), got {state}: {reason}"
                ));
            }
            said_before(trace, ended)
        }
        (Ours::Completes(_), Outcome::Refused(text)) => Some(format!("the API refuses it: {text}")),
        (Ours::Completes(names), Outcome::Ended(ended)) => {
            let Ended { state, reason, .. } = ended;
            if state != "complete" {
                return Some(format!("expected to complete, got {state}: {reason}"));
            }
            let arches = ended.labels.keys().map(|arch| format!("{OUTPUT}-{arch}"));
            let names = names.iter().copied().map(str::to_owned).chain(arches);
            let names: BTreeSet<String> = names.collect();
            let found = &ended.names;
            said_before(trace, ended).or_else(|| {
                (names != *found).then(|| format!("names: expected {names:?}, got {found:?}"))
            })
        }
    }
}

/// Whatever the trace says before its end has to be said by us, too, in its order.
fn said_before(trace: &Trace, ended: &Ended) -> Option<String> {
    let mut ours = ended.patches.iter();
    let patches = trace.patches();
    let (_, patches) = patches.split_last()?;
    let mut wanted = patches.iter();
    let missing = wanted.find(|patch| !ours.any(|found| found == *patch));
    missing.map(|patch| format!("it does not say {patch}"))
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    /// A trace in which a bundle is added to nothing.
    fn recorded(change: impl FnOnce(&mut Map<String, Value>)) -> Trace {
        let package = "operators.operatorframework.io.bundle.package.v1";
        let entry = json!({
            "digest": format!("sha256:{}", "1".repeat(64)), "platform": {"architecture": "amd64"},
        });
        let binary = json!({"manifests": [entry]}).to_string();
        let pinned = format!("q.io/opm@{}", iib_oci::Digest::of(binary.as_bytes()));
        let result =
            "registry.example.com/iib-build@sha256:<digest of registry.example.com/iib-build:7>";
        let done = "The operator bundle(s) were successfully added to the index image";
        let doing =
            |reason: &str| json!(["patch", {"state": "in_progress", "state_reason": reason}]);
        let mut trace = json!({
            "name": "own",
            "task": "add",
            "arguments": {
                "bundles": ["q.io/b/etcd:1"], "binary_image": "q.io/opm:1", "add_arches": ["amd64"],
                "binary_image_config": {},
            },
            "config": {},
            "world": {},
            "state": "complete",
            "state_reason": done,
            "events": [
                doing("Resolving the bundles"),
                doing("Resolving the container images"),
                ["patch", {
                    "binary_image": "q.io/opm:1",
                    "binary_image_resolved": pinned,
                    "bundle_mapping": {"etcd": ["q.io/b/etcd:1"]},
                    "distribution_scope": "prod",
                    "state": "in_progress",
                    "state_reason": "Building the index image for the following arches: amd64",
                }],
                ["build", "iib-build:7-amd64", "amd64", [
                    "LABEL operators.operatorframework.io.index.database.v1=/database/index.db",
                    "LABEL com.redhat.index.delivery.version=\"v4.5\"",
                    "LABEL com.redhat.index.delivery.distribution_scope=\"prod\"",
                ]],
                ["push", "registry.example.com/iib-build:7-amd64"],
                doing("Creating the manifest list"),
                ["push-manifest-list", "registry.example.com/iib-build:7", []],
                ["patch", {
                    "arches": ["amd64"],
                    "index_image": OUTPUT,
                    "index_image_resolved": result,
                    "internal_index_image_copy": OUTPUT,
                    "internal_index_image_copy_resolved": result,
                }],
                ["patch", {"state": "complete", "state_reason": done}],
            ],
            "artifacts": {},
            "images": {
                "q.io/opm:1": {"raw": binary},
                "q.io/b/etcd:1": {"raw": "{}", "version": "1.0.0", "labels": {package: "etcd"}},
            },
        });
        change(trace.as_object_mut().unwrap());
        serde_json::from_value(trace).unwrap()
    }

    async fn told(change: impl FnOnce(&mut Map<String, Value>)) -> String {
        match judge(&recorded(change)).await {
            Verdict::Alike => "alike".to_owned(),
            Verdict::OnPurpose(why) => why.to_owned(),
            Verdict::Differs(what) => what,
            Verdict::Skipped(why) => why.to_owned(),
        }
    }

    #[tokio::test]
    async fn whatever_binds_is_compared() {
        assert_eq!(told(|_| {}).await, "alike");
        let build = |line: &'static str| {
            move |trace: &mut Map<String, Value>| trace["events"][3][3][1] = line.into()
        };
        let label = told(build("LABEL com.redhat.index.delivery.version=\"v4.6\"")).await;
        assert!(label.starts_with("labels: expected"), "{label}");
        let name = told(|trace| trace["events"][6][1] = "q.io/other:7".into()).await;
        assert!(name.starts_with("names: expected"), "{name}");
        let patch = told(|trace| trace["events"][1][1]["state_reason"] = "Waiting".into()).await;
        assert!(patch.starts_with("patch 2: expected"), "{patch}");
        let fewer = told(|trace| drop(trace["events"].as_array_mut().unwrap().pop())).await;
        assert!(fewer.contains("patch 6: expected nothing, got"), "{fewer}");
        let reason = told(|trace| trace["state_reason"] = "Well".into()).await;
        assert!(reason.starts_with("reason: expected"), "{reason}");
        let state = told(|trace| trace["state"] = "failed".into()).await;
        assert!(state.starts_with("state: expected"), "{state}");
        let lists = told(|trace| trace["artifacts"] = json!({"a": []})).await;
        assert!(lists.starts_with("artifacts: expected"), "{lists}");
        let limit = told(|trace| {
            trace["world"] = json!({"validator_output": {"q.io/b/x@1": bundles::MAX_VERSION}});
        });
        let limit = limit.await;
        assert!(
            limit.starts_with("bundles that end early: expected"),
            "{limit}"
        );
    }

    #[tokio::test]
    async fn what_cannot_be_played_is_not_passed() {
        let failing = told(|trace| {
            trace["world"] = json!({"failing_commands": [["^podman", "no space"]]});
        });
        assert_eq!(failing.await, "what fails there cannot fail here");
        let refused = told(|trace| trace["arguments"]["odd"] = 1.into()).await;
        assert!(refused.starts_with("the API refuses it"), "{refused}");
        let wrong = told(|trace| trace["config"] = json!({"iib_max_attempts": "x"})).await;
        assert!(wrong.starts_with("cannot be played"), "{wrong}");
    }

    #[tokio::test]
    async fn what_differs_on_purpose_has_to_differ_so() {
        let says = |recorded, ours| Departure {
            trace: "own",
            ours: Ours::Says(recorded, ours),
            why: "",
        };
        let trace = recorded(|_| {});
        let outcome = play::play(&trace).await.unwrap();
        let absent = departs(&trace, &says("no such text", ""), &outcome).unwrap();
        assert_eq!(absent, "it records no no such text");
        let other = departs(&trace, &says("prod", "dev"), &outcome).unwrap();
        assert!(other.starts_with("patch 3"), "{other}");
        let completes = |names| Departure {
            ours: Ours::Completes(names),
            ..says("", "")
        };
        assert_eq!(departs(&trace, &completes(&[OUTPUT]), &outcome), None);
        let names = departs(&trace, &completes(&[]), &outcome).unwrap();
        assert!(names.starts_with("names: expected"), "{names}");
        let silent = recorded(|trace| trace["events"][0][1]["state_reason"] = "Waiting".into());
        let silent = departs(&silent, &completes(&[OUTPUT]), &outcome).unwrap();
        assert!(silent.starts_with("it does not say"), "{silent}");
        let refused = Departure {
            ours: Ours::Refused("no"),
            ..says("", "")
        };
        let taken = departs(&trace, &refused, &outcome).unwrap();
        assert!(taken.starts_with("expected to be refused"), "{taken}");
    }
}
