//! A network as companies have it: an authority of their own, and a proxy as the only way out.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use iib_testkit::docker_registry::{Access, DockerRegistry, NAME_OF_TLS};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::process::{Server, iib};

/// A proxy (CONNECT, RFC 9110) that knows where one name leads.
struct Proxy {
    address: SocketAddr,
    tunnels: Arc<AtomicUsize>,
}

impl Proxy {
    /// One that leads to `registry`, or answers with this status instead.
    async fn start(registry: String, refusal: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tunnels = Arc::new(AtomicUsize::new(0));
        let counted = tunnels.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (registry, counted) = (registry.clone(), counted.clone());
                tokio::spawn(async move {
                    // Who hangs up has got what he wanted.
                    let _ = tunnel(client, &registry, refusal, &counted).await;
                });
            }
        });
        Self { address, tunnels }
    }

    fn url(&self) -> String {
        // Its password is nobody's business.
        format!("http://iib:hunter2@{}", self.address)
    }
}

async fn tunnel(
    client: TcpStream,
    registry: &str,
    refusal: Option<&str>,
    counted: &AtomicUsize,
) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    let mut request = String::new();
    client.read_line(&mut request).await?;
    let mut header = String::new();
    while client.read_line(&mut header).await? > 2 {
        header.clear();
    }
    assert!(
        request.starts_with(&format!("CONNECT {NAME_OF_TLS}:")),
        "{request}"
    );
    if let Some(status) = refusal {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        return client.write_all(answer.as_bytes()).await;
    }
    counted.fetch_add(1, Ordering::Relaxed);
    let mut server = TcpStream::connect(registry).await?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// A registry, by the name under which the proxy alone knows it.
fn name_of(registry: &DockerRegistry) -> String {
    let (_, port) = registry.host().rsplit_once(':').unwrap();
    format!("{NAME_OF_TLS}:{port}")
}

fn within(command: &mut Command, proxy: &Proxy, authority: Option<&Path>) {
    command.env("HTTPS_PROXY", proxy.url());
    if let Some(file) = authority {
        command.env("IIB_CA_FILE", file);
    }
}

/// The service, whose results go to a registry behind the proxy.
fn serve(folder: &Path, registry: &str, proxy: &Proxy, authority: Option<&Path>) -> Server {
    let mut command = iib(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("IIB_REGISTRY", registry);
    // A new service looks there for numbers that are free otherwise.
    command.env("IIB_REQUESTS_FIRST_NUMBER", "1000");
    within(&mut command, proxy, authority);
    Server::spawn(command, folder)
}

/// What `/readyz` says of the registry, and why.
async fn ready(server: &Server) -> String {
    let answer = reqwest::get(format!("{}/readyz", server.api)).await;
    answer.unwrap().text().await.unwrap()
}

#[test]
#[ignore = "needs docker-registry and openssl"]
fn requests_go_through_a_proxy_to_a_registry_with_an_authority_of_its_own() {
    let runtime = Runtime::new().unwrap();
    let registry = runtime.block_on(DockerRegistry::start(Access::Tls));
    let name = name_of(&registry);
    let proxy = runtime.block_on(Proxy::start(registry.host().to_owned(), None));
    let authority = registry.certificate();
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), &name, &proxy, Some(&authority));
    // The demo pushes images itself, then sends requests to the service, which reads and pushes more.
    let mut demo = iib(&["demo", "--url", &server.api, "--registry", &name]);
    within(&mut demo, &proxy, Some(&authority));
    let demo = demo.output().unwrap();
    let said = String::from_utf8_lossy(&demo.stderr);
    assert!(demo.status.success(), "{said}");
    assert!(proxy.tunnels.load(Ordering::Relaxed) > 1);
    let told = runtime.block_on(ready(&server));
    assert!(told.contains("\"registry\":\"ok\""), "{told}");
}

#[test]
#[ignore = "needs docker-registry and openssl"]
fn what_a_proxy_or_a_certificate_stands_against_is_told_with_what_helps() {
    let runtime = Runtime::new().unwrap();
    let registry = runtime.block_on(DockerRegistry::start(Access::Tls));
    let other = runtime.block_on(DockerRegistry::start(Access::Tls));
    let name = name_of(&registry);
    let leading = runtime.block_on(Proxy::start(registry.host().to_owned(), None));
    let refusing = Proxy::start(String::new(), Some("407 Proxy Authentication Required"));
    let refusing = runtime.block_on(refusing);
    let forbidding = Proxy::start(String::new(), Some("403 Forbidden"));
    let forbidding = runtime.block_on(forbidding);
    let (right, wrong) = (registry.certificate(), other.certificate());
    for (proxy, authority, parts) in [
        (&leading, None, &["IIB_CA_FILE", NAME_OF_TLS][..]),
        (&leading, Some(&wrong), &["IIB_CA_FILE", NAME_OF_TLS]),
        (&refusing, Some(&right), &["proxy 127.0.0.1", NAME_OF_TLS]),
        (&forbidding, Some(&right), &["proxy 127.0.0.1", NAME_OF_TLS]),
    ] {
        let mut look = iib(&["index", "list", &format!("{name}/some/index:v1")]);
        within(&mut look, proxy, authority.map(std::path::PathBuf::as_path));
        let look = look.output().unwrap();
        let said = String::from_utf8_lossy(&look.stderr);
        assert!(!look.status.success(), "{said}");
        for part in parts {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_file_without_certificates_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "no certificate").unwrap();
    let mut serve = iib(&["serve", "--listen", "127.0.0.1:0", "--data-folder"]);
    serve
        .arg(folder.path().join("data"))
        .env("IIB_CA_FILE", &file);
    let ended = serve.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success());
    for part in [
        "IIB_CA_FILE",
        "ca.pem",
        "has no certificate",
        "BEGIN CERTIFICATE",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}
