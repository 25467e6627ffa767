//! The push function's binary.

use iib_cloud::{Cloud, CloudError};
use iib_edge::StartFailure;
use iib_oci::hosts::Addresses;
use iib_pipeline::Deps;

#[tokio::main]
async fn main() -> Result<(), StartFailure> {
    iib_cloud::serve_stage_over(env!("CARGO_PKG_NAME"), connect, iib_push::handle).await
}

/// The ports of a stage, and Git repositories: no other function links what it takes to speak to them.
fn connect(cloud: &Cloud) -> Result<Deps, CloudError> {
    let mut deps = cloud.stage()?;
    if let Some(tokens) = cloud.git_tokens() {
        let repositories = iib_git_repositories::with_tokens(
            cloud.config(),
            tokens,
            Addresses::OnlyOutside,
            deps.scratch.path(),
        );
        deps.repositories = Some(repositories.map_err(|error| CloudError::Git(error.into()))?);
    }
    Ok(deps)
}
