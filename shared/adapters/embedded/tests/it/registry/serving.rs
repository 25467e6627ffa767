//! The registry on a socket.

use iib_embedded::registry::{Auth, RegistryStore, router, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn the_registry_answers_on_its_socket_until_it_is_stopped() {
    let place = tempfile::tempdir().unwrap();
    let store = RegistryStore::open(place.path()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(listener, router(store, Auth::None), stop.clone()));

    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /v2/ HTTP/1.1\r\nhost: registry\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");

    stop.cancel();
    server.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
    RegistryStore::open(place.path()).unwrap();
}
