//! The main function of a stage.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use iib_edge::telemetry::{self, Detail, LogFormat};
use iib_edge::{Config, StartFailure};
use iib_pipeline::Deps;
use lambda_runtime::{Error, LambdaEvent, service_fn};

use crate::Cloud;

/// Hands events from the Lambda Runtime API to a stage's handler, for as long as the process
/// lives: settings, ports, then events.
///
/// # Errors
/// [`StartFailure`] if something is wrong before the first event.
pub async fn serve_stage<H>(handle: H) -> Result<(), StartFailure>
where
    H: AsyncFn(&Deps, LambdaEvent<SqsEvent>) -> SqsBatchResponse,
{
    telemetry::init(LogFormat::Json, Detail::Steps);
    let cloud = Cloud::new(Config::for_aws()?).await;
    let deps = cloud.stage()?;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        Ok::<_, Error>(handle(&deps, event).await)
    }))
    .await?;
    Ok(())
}
