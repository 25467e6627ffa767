//! The mutate function's binary.

use iib_edge::StartFailure;

#[tokio::main]
async fn main() -> Result<(), StartFailure> {
    iib_cloud::serve_stage(iib_mutate::handle).await
}
