//! The main function of a function.

use std::error::Error;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use iib_edge::telemetry::{self, Detail, LogFormat};
use iib_edge::{Config, StartFailure};
use iib_pipeline::Deps;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Cloud, CloudError};

/// Hands events from the Lambda Runtime API to a handler, for as long as the process lives:
/// settings, ports, then events. `connect` puts the handler's ports together.
///
/// # Errors
/// [`StartFailure`] if something is wrong before the first event.
pub async fn serve<P, E, A, F>(
    connect: impl FnOnce(&Cloud) -> Result<P, CloudError>,
    handle: impl AsyncFn(&P, LambdaEvent<E>) -> Result<A, F>,
) -> Result<(), StartFailure>
where
    E: DeserializeOwned,
    A: Serialize,
    F: Error + Send + Sync + 'static,
{
    telemetry::init(LogFormat::Json, Detail::Steps);
    let cloud = Cloud::new(Config::for_aws()?).await;
    let ports = connect(&cloud)?;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<E>| {
        handle(&ports, event)
            .await
            .map_err(lambda_runtime::Error::from)
    }))
    .await?;
    Ok(())
}

/// The same for the handler of a stage, which never fails as a whole.
///
/// # Errors
/// As [`serve`].
pub async fn serve_stage(
    handle: impl AsyncFn(&Deps, LambdaEvent<SqsEvent>) -> SqsBatchResponse,
) -> Result<(), StartFailure> {
    serve(Cloud::stage, async |deps: &Deps, event| {
        Ok::<_, std::convert::Infallible>(handle(deps, event).await)
    })
    .await
}
