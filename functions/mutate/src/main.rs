//! The mutate function's binary: settings, ports, then events from the Lambda Runtime API.

use iib_edge::StartFailure;
use iib_edge::telemetry::{self, Detail, LogFormat};
use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main]
async fn main() -> Result<(), StartFailure> {
    telemetry::init(LogFormat::Json, Detail::Steps);
    let config = iib_edge::Config::from_env()?;
    let local = iib_local::Local::open(&config)?;
    let deps = &local.deps;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<_>| {
        Ok::<_, Error>(iib_mutate::handle(deps, event).await)
    }))
    .await?;
    Ok(())
}
