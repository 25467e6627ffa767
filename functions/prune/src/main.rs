//! The prune function's binary.

use iib_cloud::Cloud;
use iib_edge::StartFailure;

#[tokio::main]
async fn main() -> Result<(), StartFailure> {
    iib_cloud::serve(env!("CARGO_PKG_NAME"), Cloud::prune, iib_prune::handle).await
}
