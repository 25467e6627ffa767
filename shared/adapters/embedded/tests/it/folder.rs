//! Who owns a data folder, and what is left after its owner was killed.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use iib_embedded::{DataFolder, EmbeddedError, Freed};
use iib_ports::{
    ArtifactKey, Artifacts, Class, Classify, Clock as _, Listing as _, Logs, NewBatch, PageQuery,
    Queue, Requests, Secret, Secrets as _, StoreError, Sweeps as _,
};
use iib_request::{AddRequest, Claim, Filters, LeaseToken, Request, RequestId, Stage, Task};
use iib_testkit::time::ManualClock;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use crate::empty_folder;

const LONG: SignedDuration = SignedDuration::from_hours(1);

fn new_request() -> NewBatch {
    let now = Timestamp::constant(1_700_000_000, 0);
    NewBatch::of(None, Request::Add(AddRequest::default()), now)
}

/// The folder as `kill -9` leaves it: nothing was closed, nothing tidied up. What the files
/// hold at this moment is what the system would keep.
fn as_left_by_a_kill(place: &TempDir) -> PathBuf {
    let copy = place.path().join("left");
    copy_folder(&place.path().join("data"), &copy);
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_second_owner_is_refused_and_told_who_the_first_is() {
    let (place, first) = empty_folder();
    let path = place.path().join("data");
    let refused = DataFolder::open(&path).unwrap_err();
    let own = std::process::id();
    assert!(
        matches!(&refused, EmbeddedError::Owned { folder, owner: Some(pid) } if *folder == path && *pid == own),
        "{refused:?}"
    );
    let text = refused.to_string();
    assert!(text.contains(&path.display().to_string()), "{text}");
    assert!(text.contains(&own.to_string()), "{text}");

    // A store alone holds the folder too: it could still write.
    let logs = first.logs();
    drop(first);
    assert!(DataFolder::open(&path).is_err());
    drop(logs);
    DataFolder::open(&path).unwrap();
}

#[tokio::test]
async fn a_record_that_cannot_be_read_hides_no_other_and_is_left_as_it_is() {
    let (place, folder) = empty_folder();
    let requests = folder.requests();
    for _ in 0..4 {
        requests.create(new_request()).await.unwrap();
    }
    let mut ended = requests.get(RequestId(4)).await.unwrap().unwrap();
    ended.fail("no", new_request().now);
    let ended = requests.replace(ended).await.unwrap();
    let left = as_left_by_a_kill(&place);
    // The first is no text at all.
    let damage = [
        (1, b"{\"id\": \xff}".to_vec()),
        (2, br#"{"format": 99}"#.to_vec()),
    ];
    let database = rusqlite::Connection::open(left.join("state.db")).unwrap();
    for (id, text) in &damage {
        let sql = "UPDATE requests SET record = CAST(?2 AS TEXT), ended_at = ?3 WHERE id = ?1";
        database
            .execute(sql, rusqlite::params![id, text, 1])
            .unwrap();
    }

    let folder = DataFolder::open(&left).unwrap();
    assert_eq!(folder.freed().unreadable, 2);
    let requests = folder.requests();
    for (id, class) in [(1, Class::Bug), (2, Class::Retry)] {
        let error = requests.get(RequestId(id)).await.unwrap_err();
        assert!(
            matches!(error, StoreError::Malformed { id: RequestId(found), .. } if found == id),
            "{error:?}"
        );
        assert_eq!(error.class(), class);
    }
    let first = PageQuery {
        filters: Filters::default(),
        page: 1,
        per_page: 10,
    };
    let page = requests.page(&first).await.unwrap();
    let ids: Vec<_> = (page.items.iter())
        .map(|listed| match listed {
            Ok(record) => (record.id.0, true),
            Err(unreadable) => (unreadable.id.0, false),
        })
        .collect();
    assert_eq!(ids, [(4, true), (3, true), (2, false), (1, false)]);
    let live = requests.live(None, 2).await.unwrap();
    assert!(live.iter().all(Result::is_err), "{live:?}");
    assert_eq!(requests.live(Some(RequestId(2)), 9).await.unwrap().len(), 1);
    let later = new_request().now + LONG;
    assert_eq!(requests.ended_before(later, 1).await.unwrap(), [ended]);
    for (id, text) in damage {
        let sql = "SELECT CAST(record AS BLOB) FROM requests WHERE id = ?1";
        let stored: Vec<u8> = database.query_row(sql, [id], |row| row.get(0)).unwrap();
        assert_eq!(stored, text);
    }
}

#[test]
fn others_may_not_read_a_data_folder() {
    let place = tempfile::tempdir().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let widen = |path: &Path| {
        std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    };
    // A new one, an empty one, and one of an older version.
    let (new, empty) = (place.path().join("a/new"), place.path().join("empty"));
    std::fs::create_dir(&empty).unwrap();
    widen(&empty);
    for folder in [&new, &empty] {
        drop(DataFolder::open(folder).unwrap());
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
    widen(&new);
    drop(DataFolder::open(&new).unwrap());
    assert_eq!(mode(&new), 0o700);
    // Not one that is somebody's home.
    let home = place.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("diary"), "dear").unwrap();
    widen(&home);
    let refused = DataFolder::open(&home).unwrap_err();
    assert!(
        matches!(refused, EmbeddedError::Shared { mode: 0o755, .. }),
        "{refused:?}"
    );
    assert_eq!(refused.class(), Class::Reject);
    assert!(refused.to_string().contains("chmod 700"), "{refused}");
    assert_eq!(mode(&home), 0o755);
    assert_eq!(std::fs::read_dir(&home).unwrap().count(), 1);
}

#[tokio::test]
async fn a_secret_that_is_forgotten_is_gone_from_the_files_at_once() {
    let (place, folder) = empty_folder();
    let clock = Arc::new(ManualClock::default());
    let secrets = folder.secrets(clock.clone());
    let text = "hunter2-and-no-other-word";
    let kept = secrets.keep(&Secret::new(text), clock.now()).await.unwrap();
    secrets.forget(&kept).await.unwrap();
    let found = walkdir::WalkDir::new(place.path()).into_iter().flatten();
    let files = found.filter(|entry| entry.file_type().is_file());
    let holding = files.filter(|file| {
        let bytes = std::fs::read(file.path()).unwrap();
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    });
    assert_eq!(holding.count(), 0);
    drop((secrets, folder));
}

#[test]
fn a_path_that_cannot_be_a_folder_is_named() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("taken");
    std::fs::write(&path, "a file").unwrap();
    let error = DataFolder::open(path.join("data")).unwrap_err();
    assert!(error.to_string().contains("taken"), "{error}");
}

#[tokio::test]
async fn everything_that_was_confirmed_is_there_after_the_owner_is_gone() {
    let (place, folder) = empty_folder();
    let clock = Arc::new(ManualClock::default());
    let record = folder
        .requests()
        .create(new_request())
        .await
        .unwrap()
        .into_records()
        .remove(0);
    let task = Task::new(record.id, Stage::Pin);
    folder.queue(clock.clone(), 3).send(&task).await.unwrap();
    let key = ArtifactKey::layer(record.id, &LeaseToken::new("one"));
    let content = stream::iter([Ok(Bytes::from_static(b"layer"))]).boxed();
    folder.artifacts().put(&key, content).await.unwrap();
    let lines = ["a line".to_owned()];
    folder.logs().append(record.id, &lines).await.unwrap();
    // What a killed process leaves of a write under way.
    let unfinished = "artifacts/.incoming/half";
    std::fs::write(folder.path().join(unfinished), "half").unwrap();

    let left = as_left_by_a_kill(&place);
    let folder = DataFolder::open(&left).unwrap();
    assert_eq!(folder.freed(), Freed::default());
    let requests = folder.requests();
    assert_eq!(requests.get(record.id).await.unwrap(), Some(record.clone()));
    let next = requests
        .create(new_request())
        .await
        .unwrap()
        .into_records()
        .remove(0);
    assert_eq!(next.id, RequestId(2));
    let messages = folder
        .queue(clock, 3)
        .receive(Stage::Pin, 10, LONG)
        .await
        .unwrap();
    let bodies: Vec<Task> = messages
        .iter()
        .map(|message| serde_json::from_str(&message.body).unwrap())
        .collect();
    assert_eq!(bodies, [task]);
    let artifact = folder.artifacts().get(&key).await.unwrap();
    let artifact: Vec<_> = artifact.map(Result::unwrap).collect().await;
    assert_eq!(artifact.concat(), b"layer");
    let log = folder.logs().read(record.id).await.unwrap();
    assert_eq!(log.as_deref(), Some("a line\n"));
    assert!(!left.join(unfinished).exists());
}

#[tokio::test]
async fn leases_and_messages_of_a_killed_owner_are_freed_and_do_not_count() {
    let (place, folder) = empty_folder();
    let clock = Arc::new(ManualClock::default());
    let requests = folder.requests();
    let queue = folder.queue(clock.clone(), 3);
    let untouched = requests
        .create(new_request())
        .await
        .unwrap()
        .into_records()
        .remove(0);
    let record = requests
        .create(new_request())
        .await
        .unwrap()
        .into_records()
        .remove(0);
    queue.send(&Task::new(record.id, Stage::Pin)).await.unwrap();
    let now = new_request().now;
    let token = LeaseToken::new("former");
    let Claim::Granted(leased) = record.claim(Stage::Pin, &token, now, now + LONG, 3) else {
        panic!("a new request is free");
    };
    let leased = requests.replace(*leased).await.unwrap();
    let first = queue.receive(Stage::Pin, 1, LONG).await.unwrap();
    assert_eq!(first.len(), 1);

    let folder = DataFolder::open(as_left_by_a_kill(&place)).unwrap();
    let freed = Freed {
        leases: 1,
        messages: 1,
        unreadable: 0,
    };
    assert_eq!(folder.freed(), freed);
    let requests = folder.requests();
    let found = requests.get(record.id).await.unwrap().unwrap();
    assert_eq!((found.work.lease, found.work.attempts), (None, 0));
    assert_eq!(
        found.version,
        leased.version + 1,
        "the former owner's writes must lose"
    );
    let other = requests.get(untouched.id).await.unwrap();
    assert_eq!(other, Some(untouched));
    let again = folder
        .queue(clock, 3)
        .receive(Stage::Pin, 1, LONG)
        .await
        .unwrap();
    assert_eq!(again[0].message_id, first[0].message_id);
    assert_eq!(again[0].receive_count, 1);
}
