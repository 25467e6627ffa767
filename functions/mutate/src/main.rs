//! The mutate function's binary.

use iib_edge::StartFailure;

#[tokio::main]
async fn main() -> Result<(), StartFailure> {
    iib_cloud::serve_stage(env!("CARGO_PKG_NAME"), iib_mutate::handle).await
}
