//! The intake function's binary: settings, ports, then calls from the API Gateway.

use std::sync::Arc;

use iib_edge::StartFailure;
use iib_intake::Api;

#[tokio::main]
async fn main() -> Result<(), StartFailure> {
    let (cloud, invocations) = iib_cloud::start(env!("CARGO_PKG_NAME")).await?;
    let router = iib_intake::router(Api {
        intake: Arc::new(cloud.intake()?),
        listing: cloud.listing(),
        watch: cloud.watch(),
        tokens: cloud.tokens()?,
    });
    let gateway = iib_intake::gateway(router);
    lambda_http::lambda_runtime::run(invocations.around(gateway)).await?;
    Ok(())
}
