//! The intake function's binary: settings, ports, then calls from the API Gateway.

use iib_edge::StartFailure;
use iib_edge::telemetry::{self, Detail, LogFormat};

#[tokio::main]
async fn main() -> Result<(), StartFailure> {
    telemetry::init(LogFormat::Json, Detail::Steps);
    let config = iib_edge::Config::from_env()?;
    let local = iib_local::Local::open(&config)?;
    let router = iib_intake::router(local.deps.clone());
    lambda_http::lambda_runtime::run(iib_intake::gateway(router)).await?;
    Ok(())
}
