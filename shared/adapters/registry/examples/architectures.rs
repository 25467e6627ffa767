//! Prints the architectures of an image: `architectures registry.example/team/app:v1`.
//!
//! A registry on this machine is spoken to over plain HTTP, every other one over TLS.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::collections::BTreeSet;

use iib_oci::{PullSpec, Resolved};
use iib_ports::Registry as _;
use iib_registry::{RegistryClient, RegistryConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(argument) = std::env::args().nth(1) else {
        return Err("name an image, for instance registry.example/team/app:v1".into());
    };
    let image: PullSpec = argument.parse()?;
    let registry = image.repository().registry();
    let local = registry.starts_with("localhost") || registry.starts_with("127.0.0.1");
    let client = RegistryClient::new(RegistryConfig {
        insecure_registries: BTreeSet::from_iter(local.then(|| registry.to_owned())),
        ..RegistryConfig::default()
    })?;
    match client
        .manifest(image.repository(), image.reference())
        .await?
        .read()?
    {
        Resolved::Image(_) => println!("one image, for one architecture"),
        Resolved::List(list) => {
            for entry in list.manifests {
                let platform = entry.platform.map(|platform| platform.architecture);
                let architecture = platform.unwrap_or_else(|| "(none named)".to_owned());
                println!("{architecture}\t{}", entry.descriptor.digest);
            }
        }
    }
    Ok(())
}
