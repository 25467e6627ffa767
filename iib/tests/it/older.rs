//! Data folders of older versions, as `data-folders` has them: each was left behind by a service
//! that was killed in the middle of its work. The set only grows.

use std::path::Path;
use std::{fs, io};

use flate2::read::GzDecoder;
use rusqlite::Connection;

use crate::kill::{digest, finished, tag_digest};
use crate::process::Server;

/// The registry's address in the archives' records.
const FORMER: &str = "127.0.0.1:41789";

fn unpack(archive: &str, folder: &Path) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data-folders");
    let file = io::BufReader::new(fs::File::open(path.join(archive)).unwrap());
    tar::Archive::new(GzDecoder::new(file))
        .unpack(folder)
        .unwrap();
}

/// Two requests are complete, two failed (one came with a secret), and of eight that only differ
/// in their build tag one is at push, the others wait for pin and mutate, or are in the middle of it.
#[test]
fn a_folder_of_november_2026_shows_its_requests_and_finishes_those_that_live() {
    // Nothing else takes these addresses between the two starts: they are in use a moment ago.
    let empty = tempfile::tempdir().unwrap();
    let server = Server::start(empty.path(), "127.0.0.1:0", "127.0.0.1:0");
    let address = |url: &str| url.trim_start_matches("http://").to_owned();
    let (api, registry) = (address(&server.api), address(&server.registry));
    server.kill();

    let folder = tempfile::tempdir().unwrap();
    unpack("2026-11.tar.gz", folder.path());
    // Pull specs name the registry where it was then.
    Connection::open(folder.path().join("state.db"))
        .unwrap()
        .execute(
            "UPDATE requests SET record = replace(record, ?1, ?2)",
            [FORMER, &registry],
        )
        .unwrap();

    let server = Server::start(folder.path(), &api, &registry);
    for (id, state, reason) in [
        (1, "complete", "successfully added"),
        (2, "complete", "successfully added"),
        (3, "failed", "lantern:v9"),
        (4, "failed", "overwrite_from_index"),
    ] {
        let document = finished(&server, id);
        assert_eq!(document["state"], state, "{document}");
        let said = document["state_reason"].as_str().unwrap();
        assert!(said.contains(reason), "{said}");
    }
    let live: Vec<_> = (5..=12).map(|id| finished(&server, id)).collect();
    for (tag, document) in live.iter().enumerate() {
        assert_eq!(document["state"], "complete", "{document}");
        // The first one's database was made then, and names the registry of then.
        if tag > 0 {
            assert_eq!(digest(document), digest(&live[1]), "{document}");
        }
        let tag = format!("live-{tag}");
        assert_eq!(tag_digest(&registry, &tag), digest(document), "{tag}");
    }
}
