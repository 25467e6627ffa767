//! Copies a blob between repositories of one machine as a stream, and prints the most memory
//! that took: `copy_blob 127.0.0.1:5000/from sha256:… SIZE 127.0.0.1:5001/to`.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::collections::BTreeSet;

use iib_oci::{Descriptor, MediaType, Repository};
use iib_ports::{BlobSource, BlobStream, Registry as _, RegistryError};
use iib_registry::{RegistryClient, RegistryConfig};

struct Remote {
    client: RegistryClient,
    repository: Repository,
    descriptor: Descriptor,
}

#[async_trait::async_trait]
impl BlobSource for Remote {
    async fn open(&self) -> Result<BlobStream, RegistryError> {
        self.client.blob(&self.repository, &self.descriptor).await
    }
}

fn repository(text: &str) -> Result<Repository, Box<dyn std::error::Error>> {
    let (registry, path) = text.split_once('/').ok_or("write it as registry/path")?;
    Ok(Repository::new(registry, path)?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, digest, size, to] = arguments.as_slice() else {
        return Err("needs four arguments: FROM DIGEST SIZE TO".into());
    };
    let (from, to) = (repository(from)?, repository(to)?);
    let descriptor = Descriptor {
        media_type: MediaType::new(MediaType::OCI_LAYER),
        size: size.parse()?,
        digest: digest.parse()?,
    };
    let hosts = [from.registry().to_owned(), to.registry().to_owned()];
    let client = RegistryClient::new(RegistryConfig {
        insecure_registries: BTreeSet::from(hosts),
        ..RegistryConfig::default()
    })?;
    let source = Remote {
        client: client.clone(),
        repository: from,
        descriptor: descriptor.clone(),
    };
    client.push_blob(&to, &descriptor, &source).await?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find(|line| line.starts_with("VmHWM:"));
    println!("{}", peak.ok_or("no VmHWM in /proc/self/status")?);
    Ok(())
}
