//! Traces of whole requests, held against ours.
//!
//! A trace is a closed world: simulated images, and what the reference's task did with them. The images get content
//! ([`images`]), the request goes through the service's functions ([`play`]), and what a trace binds us to is
//! compared: what was told to the API, which names have the result, its labels, how it ended.

mod bundles;
mod images;
mod play;
mod trace;

use std::path::Path;

use anyhow::Context as _;
use iib_ports::chain;
use serde_json::{Value, json};

use self::play::{Ended, Outcome};
use self::trace::Trace;

/// How a request of ours ends where that of a trace ends otherwise, on purpose.
enum Ours {
    /// It completes.
    Completes,
    /// It fails with these words.
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
const ON_PURPOSE: [Departure; 0] = [];

/// What playing a trace came to.
enum Verdict {
    Alike,
    OnPurpose(String),
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
    let (mut passed, mut failed) = (0, 0);
    for trace in &traces {
        let name = &trace.name;
        match runtime.block_on(judge(trace)) {
            Verdict::Alike => {
                passed += 1;
                say(&format!("ok {name}"));
            }
            Verdict::OnPurpose(why) => {
                passed += 1;
                say(&format!("differs {name} [{why}]"));
            }
            Verdict::Differs(what) => {
                failed += 1;
                say(&format!("FAIL {name}: {what}"));
            }
            Verdict::Skipped(why) => say(&format!("skip {name}: {why}")),
        }
    }
    say(&format!("{passed} passed, {failed} failed"));
    Ok(failed == 0 && passed > 0)
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
        None => unlike(trace, &outcome),
        Some(departure) => departs(trace, departure, &outcome),
    };
    match (differences, departure) {
        (Some(what), _) => Verdict::Differs(what),
        (None, Some(departure)) => Verdict::OnPurpose(departure.why.to_owned()),
        (None, None) => Verdict::Alike,
    }
}

/// Why a trace has nothing to tell us.
fn not_played(trace: &Trace) -> Option<&'static str> {
    match &*trace.task {
        "regenerate-bundle" | "recursive-related-bundles" => {
            return Some("requests of this kind are not built");
        }
        // The reference itself does nothing with the map here.
        "fbc-operations" => {}
        _ if trace.arguments.contains_key("index_to_gitlab_push_map") => {
            return Some("pushing catalogs to Git is not built");
        }
        _ => {}
    }
    let unreachable = trace
        .world
        .failing_commands
        .iter()
        .any(|(_, said)| !bundles::is_reachable(said));
    unreachable.then_some("what fails there cannot fail here")
}

/// What differs first.
fn unlike(trace: &Trace, outcome: &Outcome) -> Option<String> {
    let ended = match outcome {
        Outcome::Refused(text) => return Some(format!("the API refuses it: {text}")),
        Outcome::Ended(ended) => ended,
    };
    let patches = trace.patches();
    for (at, pair) in longer(&patches, &ended.patches).enumerate() {
        if let (Some(wanted), Some(found)) = pair
            && wanted == found
        {
            continue;
        }
        let show = |patch: Option<&Value>| patch.map_or("nothing".to_owned(), Value::to_string);
        let (wanted, found) = (show(pair.0), show(pair.1));
        return Some(format!("patch {}: expected {wanted}, got {found}", at + 1));
    }
    let mut parts = vec![
        ("state", json!(trace.state), json!(ended.state)),
        ("reason", json!(trace.state_reason), json!(ended.reason)),
        // No request of these kinds writes a list.
        ("artifacts", json!(trace.artifacts), json!({})),
        ("names of the result", json!(trace.names()), json!(ended.names)),
    ];
    if trace.state == "complete" {
        parts.push(("labels", json!(trace.labels()), json!(ended.labels)));
    }
    let mut parts = parts.into_iter();
    parts.find_map(|(what, wanted, found)| {
        (wanted != found).then(|| format!("{what}: expected {wanted}, got {found}"))
    })
}

fn longer<'a>(
    one: &'a [Value],
    other: &'a [Value],
) -> impl Iterator<Item = (Option<&'a Value>, Option<&'a Value>)> {
    (0..one.len().max(other.len())).map(|at| (one.get(at), other.get(at)))
}

/// What is not as it is to be where we differ on purpose.
fn departs(trace: &Trace, departure: &Departure, outcome: &Outcome) -> Option<String> {
    match (&departure.ours, outcome) {
        (Ours::Refused(wanted), Outcome::Refused(text)) => {
            (wanted != text).then(|| format!("the API refuses it otherwise: {text}"))
        }
        (Ours::Refused(wanted), Outcome::Ended(ended)) => {
            let Ended { state, reason, .. } = ended;
            Some(format!("expected to be refused ({wanted}), got {state}: {reason}"))
        }
        (_, Outcome::Refused(text)) => Some(format!("the API refuses it: {text}")),
        (Ours::Completes, Outcome::Ended(ended)) => said_before(trace, ended)
            .or_else(|| (ended.state != "complete").then(|| format!("it fails: {}", ended.reason)))
            .or_else(|| ended.names.is_empty().then(|| "there is no result".to_owned())),
        (Ours::Fails(wanted), Outcome::Ended(ended)) => said_before(trace, ended).or_else(|| {
            let Ended { state, reason, .. } = ended;
            (state != "failed" || reason != wanted)
                .then(|| format!("expected to fail with: {wanted}, got {state}: {reason}"))
        }),
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
