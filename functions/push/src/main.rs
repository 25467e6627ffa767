//! The push function's binary.

use iib_edge::StartFailure;

#[tokio::main]
async fn main() -> Result<(), StartFailure> {
    iib_cloud::serve_stage(iib_push::handle).await
}
