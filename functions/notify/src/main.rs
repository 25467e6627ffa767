//! The notify function's binary.

use iib_cloud::Cloud;
use iib_edge::StartFailure;

#[tokio::main]
async fn main() -> Result<(), StartFailure> {
    iib_cloud::serve(env!("CARGO_PKG_NAME"), Cloud::notify, iib_notify::handle).await
}
