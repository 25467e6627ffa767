#![doc = include_str!("../README.md")]

mod check;
mod clock;
mod drive;
mod git;
mod input;
mod kills;
mod local;
mod platform;
mod points;
mod resources;
mod scenarios;
mod stack;
mod tally;
mod throttle;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::bail;
use clap::{Parser, ValueEnum};
use iib_testkit::docker_registry::{Access, DockerRegistry};

use crate::drive::patiently;
use crate::input::Input;
use crate::kills::{Killed, Victim};
use crate::local::LocalMode;
use crate::platform::Platform;
use crate::points::{Point, Sample};
use crate::resources::Resources;
use crate::scenarios::{Scenarios, throttled};
use crate::stack::EmulatedStack;
use crate::tally::Tally;
use crate::throttle::{Pattern, Throttled};

/// The fault suite over local mode and a stack of emulators. `infra/local/stack faults` names the stack.
#[derive(Debug, Parser)]
struct Options {
    /// What to run it over; without it, local mode, and a stack if there is one
    #[arg(long, value_enum)]
    platform: Option<Over>,
    /// An emulator of AWS; never AWS itself
    #[arg(long, requires = "outputs", required_if_eq_any([("platform", "stack"), ("platform", "both")]))]
    endpoint: Option<String>,
    /// Outputs of a stack there that nothing calls, as `infra/local/deploy.py --quiet` prints them
    #[arg(long, requires = "endpoint")]
    outputs: Option<PathBuf>,
    /// Only requests of this kind are killed, and nothing else goes wrong; may come several times
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Only so many of the kill points that requests of every kind have, chosen by the seed; those
    /// of a kind's own are all played
    #[arg(long, value_name = "COUNT")]
    sample: Option<usize>,
    /// Seed of the sample; without it, one that nobody chose
    #[arg(long, default_value_t = fastrand::u64(..1 << 32), hide_default_value = true)]
    seed: u64,
}

impl Options {
    /// Where the stack is, if the suite runs over one.
    fn stack(&self) -> Option<(&str, &Path)> {
        let stack = self.endpoint.as_deref().zip(self.outputs.as_deref());
        stack.filter(|_| self.platform != Some(Over::Local))
    }

    fn sample(&self) -> Option<Sample> {
        let seed = self.seed;
        self.sample.map(|size| Sample { size, seed })
    }
}

/// Platforms to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Over {
    Local,
    Stack,
    Both,
}

/// Throttling as it happens: now and then, and for longer than a call is tried (five times). The
/// first is DynamoDB's fifth call of an add, by which pin claims the request; the other is S3's
/// first, by which mutate keeps what changed.
const THROTTLED: [(Throttled, Pattern); 4] = [
    (Throttled::DynamoDb, Pattern::Every(3)),
    (Throttled::S3, Pattern::Every(3)),
    (Throttled::DynamoDb, Pattern::Row { after: 4, calls: 5 }),
    (Throttled::S3, Pattern::Row { after: 0, calls: 5 }),
];

/// The name of the platform of emulators.
const STACK: &str = "the stack";

/// What part of the sample each kind gets besides the first two.
const SHARE: usize = 5;

#[tokio::main]
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks to its user"
)]
async fn main() -> ExitCode {
    let options = Options::parse();
    let mut tally = Tally::default();
    if let Some(Sample { size, seed }) = options.sample() {
        println!("a sample of the kill points: --sample {size} --seed {seed}");
    }
    let ran = Box::pin(run(&options, &mut tally)).await;
    if let Err(error) = &ran {
        eprintln!("failed: {error:#}");
    }
    for complaint in &tally.complaints {
        eprintln!("{complaint}");
    }
    let Tally {
        kill_points,
        faults,
        lost,
        duplicated,
        stuck,
        ..
    } = tally;
    println!(
        "kill points {kill_points}, faults {faults}, lost {lost}, duplicated {duplicated}, stuck {stuck}"
    );
    if ran.is_ok() && tally.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn run(options: &Options, tally: &mut Tally) -> anyhow::Result<()> {
    let started = DockerRegistry::start(Access::Anonymous).await;
    let registry = started.host().to_owned();
    let local = async {
        let mut tally = Tally::default();
        let ran = match options.platform {
            Some(Over::Stack) => Ok(()),
            None | Some(Over::Local | Over::Both) => {
                over_local(options, &registry, &mut tally).await
            }
        };
        (ran, tally)
    };
    let stack = async {
        let mut tally = Tally::default();
        let ran = match options.stack() {
            Some(stack) => over_stack(options, stack, &registry, &mut tally).await,
            None => Ok(()),
        };
        (ran, tally)
    };
    // Side by side: one waits for its disk, the other for the emulator.
    let (local, stack) = tokio::join!(local, stack);
    tally.add(local.1);
    tally.add(stack.1);
    local.0.and(stack.0)
}

async fn over_local(options: &Options, registry: &str, tally: &mut Tally) -> anyhow::Result<()> {
    let platform = LocalMode::new(registry)?;
    let input = patiently(Input::push(registry, &platform)).await?;
    group(&platform, &input, options, tally).await?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a command speaks to its user")]
async fn over_stack(
    options: &Options,
    (endpoint, outputs): (&str, &Path),
    registry: &str,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let resources = Resources::of_outputs(outputs)?;
    let platform = EmulatedStack::new(resources.clone(), endpoint, registry).await?;
    let input = patiently(Input::push(registry, &platform)).await?;
    let Some(digest) = group(&platform, &input, options, tally).await? else {
        return Ok(());
    };
    let (started, before) = (Instant::now(), tally.faults);
    for throttling in THROTTLED {
        let (emulator, what) = ((endpoint, &resources), (&input, &*digest));
        let ended = throttled(emulator, registry, what, throttling, tally);
        let ended = patiently(ended).await;
        let (service, pattern) = throttling;
        tally.scenario(&format!("the stack: {service:?}, {pattern:?}"), ended);
    }
    println!(
        "the stack, throttling: {} faults, {:.0} s",
        tally.faults - before,
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Everything that both platforms know. Gives the digest of the list that the second kind of request makes, unless only
/// some kinds are asked for.
#[expect(clippy::print_stdout, reason = "a command speaks to its user")]
async fn group(
    platform: &dyn Platform,
    input: &Input,
    options: &Options,
    tally: &mut Tally,
) -> anyhow::Result<Option<String>> {
    let (name, sample) = (platform.name(), options.sample());
    if let Some(unknown) = options
        .kind
        .iter()
        .find(|asked| input.kinds.iter().all(|(kind, _)| kind != asked))
    {
        let known: Vec<&str> = input.kinds.iter().map(|(kind, _)| *kind).collect();
        bail!("no request is of the kind {unknown:?}, but of {known:?}");
    }
    let is_asked =
        |kind: &str| options.kind.is_empty() || options.kind.iter().any(|asked| asked == kind);
    let mut killed: Vec<Killed> = Vec::new();
    // Calls to the emulator take longest: a sample plays the kinds that share most with others there, unless others
    // are asked for.
    let is_short = sample.is_some() && name == STACK && options.kind.is_empty();
    let kinds = input.kinds.iter();
    let kinds = kinds.take(if is_short { 2 } else { usize::MAX });
    for (kind, asked) in kinds.filter(|(kind, _)| is_asked(kind)) {
        let victim = Victim { kind, asked };
        // The small kind at every point; of what another kind shares with those before, a sample.
        let known: Vec<Point> = killed
            .iter()
            .flat_map(|killed| points::all(&killed.calls))
            .collect();
        let shared = sample.map(|sample| match killed.len() {
            0 | 1 => sample,
            // What is new of the others is little.
            _ => Sample {
                size: sample.size / SHARE,
                ..sample
            },
        });
        let shared = shared.filter(|_| !killed.is_empty());
        let shared = shared.map(|sample| (&*known, sample));
        killed.push(kill(platform, input, victim, shared, tally).await?);
    }
    if !options.kind.is_empty() {
        return Ok(None);
    }
    let [_, killed, ..] = &*killed else {
        bail!("no request of the kind add");
    };
    let (started, before) = (Instant::now(), tally.faults);
    let scenarios = Scenarios {
        platform,
        input,
        digest: &killed.digest,
        calls: &killed.calls,
    };
    scenarios.run(tally).await;
    println!(
        "{name}, other faults: {} faults, {:.0} s",
        tally.faults - before,
        started.elapsed().as_secs_f64()
    );
    Ok(Some(killed.digest.clone()))
}

#[expect(clippy::print_stdout, reason = "a command speaks to its user")]
async fn kill(
    platform: &dyn Platform,
    input: &Input,
    victim: Victim<'_>,
    shared: Option<(&[Point], Sample)>,
    tally: &mut Tally,
) -> anyhow::Result<Killed> {
    let started = Instant::now();
    let killed = kills::everywhere(platform, input, victim, shared, tally).await?;
    println!(
        "{}, kills of {}: {} of {} kill points, {} healed by prune, {:.0} s",
        platform.name(),
        victim.kind,
        killed.played,
        2 * killed.calls.len(),
        killed.swept,
        started.elapsed().as_secs_f64()
    );
    Ok(killed)
}
