//! The intake function's binary: settings, ports, then calls from the API Gateway.

use std::sync::Arc;

use iib_cloud::Cloud;
use iib_edge::telemetry::{self, Detail, LogFormat};
use iib_edge::{Config, StartFailure};
use iib_intake::Api;

#[tokio::main]
async fn main() -> Result<(), StartFailure> {
    telemetry::init(LogFormat::Json, Detail::Steps);
    let cloud = Cloud::new(Config::for_aws()?).await;
    let router = iib_intake::router(Api {
        intake: Arc::new(cloud.intake()?),
        listing: cloud.listing(),
        watch: cloud.watch(),
        tokens: cloud.tokens()?,
    });
    lambda_http::lambda_runtime::run(iib_intake::gateway(router)).await?;
    Ok(())
}
