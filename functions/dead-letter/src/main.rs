//! The dead-letter function's binary.

use std::convert::Infallible;

use iib_cloud::Cloud;
use iib_edge::StartFailure;
use iib_pipeline::dead_letter::DeadLetterDeps;

#[tokio::main]
async fn main() -> Result<(), StartFailure> {
    let connect = |cloud: &Cloud| Ok(cloud.dead_letter());
    let handle = async |deps: &DeadLetterDeps, event| {
        Ok::<_, Infallible>(iib_dead_letter::handle(deps, event).await)
    };
    iib_cloud::serve(env!("CARGO_PKG_NAME"), connect, handle).await
}
