//! The main function of a function.

use std::error::Error;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use iib_edge::config::{environment, unknown_variables};
use iib_edge::telemetry::{self, LogFormat};
use iib_edge::{Config, StartFailure};
use iib_pipeline::Deps;
use iib_ports::{Class, Classify, chain};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Cloud, CloudError, Invocations};

/// Begins a function: its settings, its log, and what its ports are put together from. `function` is the name of its crate;
/// so it is called in traces, unless the settings say it, and in figures.
///
/// # Errors
/// [`StartFailure`] for settings that cannot be used.
pub async fn start(function: &'static str) -> Result<(Cloud, Invocations), StartFailure> {
    let config = Config::for_aws()?;
    let traces = telemetry::start(&config, LogFormat::Json, function)?;
    for told in unknown_variables(&environment()) {
        tracing::warn!("{told}");
    }
    let function = function.trim_start_matches("iib-");
    let cloud = Cloud::new(config, function).await;
    let invocations = Invocations::new(traces, function, cloud.figures());
    Ok((cloud, invocations))
}

/// Hands events from the Lambda Runtime API to a handler, for as long as the process lives:
/// settings, ports, then events. `connect` puts the handler's ports together.
///
/// # Errors
/// [`StartFailure`] if something is wrong before the first event.
pub async fn serve<P, E, A, F>(
    function: &'static str,
    connect: impl FnOnce(&Cloud) -> Result<P, CloudError>,
    handle: impl AsyncFn(&P, LambdaEvent<E>) -> Result<A, F>,
) -> Result<(), StartFailure>
where
    E: DeserializeOwned,
    A: Serialize,
    F: Error + Classify + Send + Sync + 'static,
{
    // What it takes to get there is needed once, and the settings no more after that.
    let ports = Box::pin(async {
        let (cloud, invocations) = start(function).await?;
        Ok::<_, StartFailure>((connect(&cloud)?, invocations))
    });
    let (ports, invocations) = ports.await?;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<E>| {
        let context = event.context.clone();
        // It is large, and would be there twice over.
        let handled = Box::pin(handle(&ports, event));
        let handled = invocations.one(&context, handled).await;
        handled.map_err(|error| told(&error))
    }))
    .await?;
    Ok(())
}

/// What the platform tells of a failure, in its log and to the function's failure queue: the class
/// as the type, and all causes.
fn told(error: &(impl Error + Classify + 'static)) -> Diagnostic {
    let class = match error.class() {
        Class::Retry => "Retry",
        Class::Reject => "Reject",
        Class::Bug => "Bug",
    };
    Diagnostic {
        error_type: class.to_owned(),
        error_message: chain(error),
    }
}

/// The same for the handler of a stage, which never fails as a whole.
///
/// # Errors
/// As [`serve`].
pub async fn serve_stage(
    function: &'static str,
    handle: impl AsyncFn(&Deps, LambdaEvent<SqsEvent>) -> SqsBatchResponse,
) -> Result<(), StartFailure> {
    serve_stage_over(function, Cloud::stage, handle).await
}

/// The same with ports that the stage puts together itself.
///
/// # Errors
/// As [`serve`].
pub async fn serve_stage_over(
    function: &'static str,
    connect: impl FnOnce(&Cloud) -> Result<Deps, CloudError>,
    handle: impl AsyncFn(&Deps, LambdaEvent<SqsEvent>) -> SqsBatchResponse,
) -> Result<(), StartFailure> {
    serve(function, connect, async |deps: &Deps, event| {
        Ok::<_, std::convert::Infallible>(handle(deps, event).await)
    })
    .await
}
