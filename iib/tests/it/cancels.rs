//! Requests that are stopped on the command line, and those that follow others.

use crate::command::demo_folder;
use crate::kill::{finished, submit};
use crate::process::{Server, run};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_chain_is_stopped_with_its_first_request() {
    let folder = demo_folder();
    let server = Server::start(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
    let first = submit(&server, &server.registry, &["lantern:v0.1.0"], "first");
    let index = format!("request:{first}");
    let rm = [
        "rm",
        "--url",
        &server.api,
        "--operator",
        "lantern",
        "--from-index",
        &index,
        "--binary-image",
        &format!("{}/examples/binary:v1", server.registry),
    ];
    let follows = run(&rm);
    assert_eq!(follows.status.code(), Some(0), "{}", text(&follows.stderr));
    let follows: u64 = text(&follows.stdout).trim().parse().unwrap();
    let cancel = run(&["cancel", &first.to_string(), "--url", &server.api]);
    let (first, follows) = (finished(&server, first), finished(&server, follows));
    // Small requests are fast: both is right.
    match cancel.status.code() {
        Some(0) => {
            assert_eq!(text(&cancel.stdout), "The request was cancelled\n");
            assert_eq!(first["state"], "failed", "{first}");
            let reason = follows["state_reason"].as_str().unwrap();
            assert!(reason.ends_with("was cancelled"), "{reason}");
        }
        code => {
            assert_eq!(code, Some(2));
            assert!(
                text(&cancel.stderr).contains("cannot be cancelled"),
                "{cancel:?}"
            );
            assert_eq!(
                (&first["state"], &follows["state"]),
                (&"complete".into(), &"complete".into())
            );
        }
    }
    let unknown = run(&["cancel", "99", "--url", &server.api]);
    assert!(
        text(&unknown.stderr).contains("was not found"),
        "{unknown:?}"
    );
}
