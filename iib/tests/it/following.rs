//! Following a request from outside.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::process::{iib, run};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A service whose one request never ends, with a log of one line.
fn endless() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for call in listener.incoming() {
            let mut call = call.unwrap();
            let mut lines = BufReader::new(call.try_clone().unwrap()).lines();
            lines.find(|line| line.as_ref().is_ok_and(String::is_empty));
            // The request, and a line of its log.
            let body = "{\"id\":7,\"state\":\"in_progress\",\"state_history\":[]}\n";
            let head = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            // Whoever is gone is not answered.
            let _ = call.write_all(format!("{head}{body}").as_bytes());
        }
    });
    url
}

#[test]
fn whoever_stops_waiting_is_told_how_to_go_on() {
    let url = endless();
    let mut waiting = iib(&["wait", "7", "--url", &url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // What comes before may be repeated calls; whoever shows the log listens for signals.
    let mut told = BufReader::new(waiting.stderr.take().unwrap());
    let mut log = String::new();
    told.read_line(&mut log).unwrap();
    assert!(log.contains("in_progress"), "{log}");
    let interrupt = Command::new("kill")
        .args(["-INT", &waiting.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    let mut rest = String::new();
    told.read_to_string(&mut rest).unwrap();
    let (ended, told) = (waiting.wait_with_output().unwrap(), rest);
    assert_eq!(ended.status.code(), Some(130), "{told}");
    assert!(
        told.contains(&format!("`iib wait 7 --url {url}` follows it")),
        "{told}"
    );
    assert!(ended.stdout.is_empty());

    let late = run(&["wait", "7", "--url", &url, "--timeout", "1"]);
    let told = text(&late.stderr);
    assert_eq!(late.status.code(), Some(3), "{told}");
    assert!(
        told.contains(&format!("`iib wait 7 --url {url}` follows it")),
        "{told}"
    );
}

#[test]
fn a_service_that_is_stopped_while_it_starts_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let free = [
        "--listen",
        "127.0.0.1:0",
        "--registry-listen",
        "127.0.0.1:0",
    ];
    let data = folder.path().join("data");
    // At the first sign of life, and a little later each time: what it is doing then differs.
    for turn in 0..10_u32 {
        let mut service = iib(&["serve", "--data-folder", data.to_str().unwrap()])
            .args(free)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let owner = data.join("owner.lock");
        let own = service.id().to_string();
        while std::fs::read_to_string(&owner).unwrap_or_default().trim() != own {
            assert!(service.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::yield_now();
        }
        for _ in 0..turn * 1000 {
            std::thread::yield_now();
        }
        let asked = Command::new("kill").args(["-TERM", &own]).status();
        assert!(asked.unwrap().success());
        let ended = service.wait_with_output().unwrap();
        let told = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(0), "{turn}: {told}");
    }
}

#[test]
fn a_request_that_is_not_there_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = crate::process::Server::start(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
    let missing = run(&["wait", "7", "--url", &server.api]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(
        text(&missing.stderr).contains("404"),
        "{}",
        text(&missing.stderr)
    );
    // Messages name flags, not members of documents.
    let refused = run(&["add", "--url", &server.api, "--wait"]);
    let told = text(&refused.stderr);
    assert!(
        told.contains("--from-index") && !told.contains("from_index"),
        "{told}"
    );
    let failed = run(&[
        "add",
        "--url",
        &server.api,
        "--wait",
        "--arch",
        "amd64",
        "--bundle",
        "r.invalid/b:1",
    ]);
    let told = text(&failed.stderr);
    assert!(
        told.contains("--binary-image") && !told.contains("binary_image"),
        "{told}"
    );
}
