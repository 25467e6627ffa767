//! The artifact function's binary.

use iib_cloud::Cloud;
use iib_edge::StartFailure;

#[tokio::main]
async fn main() -> Result<(), StartFailure> {
    let connect = |cloud: &Cloud| cloud.artifact();
    iib_cloud::serve(env!("CARGO_PKG_NAME"), connect, iib_artifact::handle).await
}
