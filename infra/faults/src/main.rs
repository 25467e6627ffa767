#![doc = include_str!("../README.md")]

mod drive;
mod kills;
mod local;
mod platform;
mod scenarios;
mod stack;
mod tally;
mod throttle;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser;
use iib_oci::Arch;
use iib_registry::{RegistryClient, RegistryConfig};
use iib_request::AddRequest;
use iib_testkit::images;

use crate::drive::{submit, work};
use crate::local::LocalMode;
use crate::platform::Platform;
use crate::scenarios::{MOVED_TAG, Scenarios};
use crate::stack::EmulatedStack;
use crate::tally::Tally;
use crate::throttle::{Proxy, Throttled};

/// The fault suite over local mode and a stack of emulators.
#[derive(Debug, Parser)]
struct Options {
    /// The registry, host and port, over plain HTTP
    #[arg(long)]
    registry: String,
    /// Where the emulator is
    #[arg(long)]
    endpoint: String,
    /// Outputs of a stack that nothing calls, as `infra/local/deploy.py --quiet` prints them
    #[arg(long)]
    outputs: PathBuf,
}

#[tokio::main]
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks to its user"
)]
async fn main() -> ExitCode {
    let options = Options::parse();
    let mut tally = Tally::default();
    let ran = run(&options, &mut tally).await;
    if let Err(error) = &ran {
        eprintln!("faults: {error:#}");
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
    if ran.is_ok() && lost + duplicated + stuck == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn run(options: &Options, tally: &mut Tally) -> anyhow::Result<()> {
    let (request, other) = requests(&options.registry).await?;
    let local = LocalMode::new(&options.registry)?;
    group(&local, &request, &other, tally).await?;
    let stack = stack(options, &options.endpoint).await?;
    group(&stack, &request, &other, tally).await?;
    let scenarios = Scenarios {
        platform: &stack,
        request: &request,
        other: &other,
    };
    scenarios.a_poison_message(tally).await?;
    for service in [Throttled::DynamoDb, Throttled::S3] {
        throttled(options, service, &request, tally).await?;
    }
    Ok(())
}

/// Everything that both platforms know.
#[expect(clippy::print_stdout, reason = "a command speaks to its user")]
async fn group(
    platform: &dyn Platform,
    request: &AddRequest,
    other: &AddRequest,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let (started, before) = (Instant::now(), (tally.kill_points, tally.faults));
    kills::everywhere(platform, request, tally).await?;
    let scenarios = Scenarios {
        platform,
        request,
        other,
    };
    scenarios.run(tally).await?;
    println!(
        "{}: {} kill points, {} other faults, {:.0} s",
        platform.name(),
        tally.kill_points - before.0,
        tally.faults - before.1,
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

async fn stack(options: &Options, endpoint: &str) -> anyhow::Result<EmulatedStack> {
    EmulatedStack::new(&options.outputs, endpoint, &options.registry).await
}

/// An add while every third call of a service is refused.
async fn throttled(
    options: &Options,
    service: Throttled,
    request: &AddRequest,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let (proxy, endpoint) = Proxy::start(&options.endpoint, service).await?;
    let stack = stack(options, &endpoint).await?;
    let process = stack.start().await?;
    let when = format!("{service:?} throttled");
    let id = submit(&process.deps, request).await;
    let id = id.with_context(|| format!("{when}: not taken in"))?;
    work(&stack, &process.deps, None).await?;
    tally.check(&when, &process.deps, id, None).await?;
    anyhow::ensure!(proxy.refused() > 0, "{when}: no call was refused");
    tally.faults += 1;
    Ok(())
}

/// Two requests that differ, and what they name in the registry.
async fn requests(host: &str) -> anyhow::Result<(AddRequest, AddRequest)> {
    let client = RegistryClient::new(RegistryConfig {
        insecure_registries: [host.to_owned()].into(),
        ..RegistryConfig::default()
    })?;
    let arch = Arch::amd64();
    let binary = images::push_binary_image(&client, host, std::slice::from_ref(&arch)).await;
    let lantern = images::push_bundle(&client, host, "lantern", "0.1.0").await;
    let kettle = images::push_bundle(&client, host, "kettle", "1.0.0").await;
    let add = |bundle: iib_oci::PullSpec| AddRequest {
        bundles: vec![bundle.to_string()],
        binary_image: Some(binary.to_string()),
        add_arches: vec![arch.to_string()],
        build_tags: vec![MOVED_TAG.to_owned()],
        ..AddRequest::default()
    };
    Ok((add(lantern), add(kettle)))
}
