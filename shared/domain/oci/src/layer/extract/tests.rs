use super::*;
use crate::Digest;
use crate::layer::fixture::{Archive, entry_path, gzip, open};

fn find(archive: Archive) -> Result<(Extracted, Vec<u8>), LayerError> {
    let mut sink = Vec::new();
    let wanted = entry_path("database/index.db");
    let extracted = extract_file(&mut open(&archive.end()), &wanted, &mut sink, Rest::Check)?;
    Ok((extracted, sink))
}

fn refusal(archive: Archive) -> (String, Refusal) {
    match find(archive).unwrap_err() {
        LayerError::Refused { path, reason } => (path, reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_file_is_found_among_others() {
    let archive = Archive::default()
        .file("etc/index.db", b"other")
        .entry(b'2', b"bin", b"")
        .entry(b'3', b"dev/null", b"")
        .directory("./database/")
        .file("./database/index.db", b"content")
        .file("database/index.db-journal", b"other");
    let expected = (Extracted::Found { size: 7 }, b"content".to_vec());
    assert_eq!(find(archive).unwrap(), expected);
}

#[test]
fn a_layer_without_the_file_says_whether_it_hides_it() {
    for (entry, expected) in [
        ("database/other", Extracted::Absent),
        ("database/.wh.other", Extracted::Absent),
        ("database/.wh.index.db", Extracted::WhitedOut),
        ("database/.wh..wh..opq", Extracted::WhitedOut),
        (".wh.database", Extracted::WhitedOut),
        (".wh..wh..opq", Extracted::WhitedOut),
        (".wh..wh.plnk", Extracted::Absent),
    ] {
        let archive = Archive::default().file(entry, b"");
        assert_eq!(find(archive).unwrap().0, expected, "{entry}");
    }
}

#[test]
fn a_whiteout_does_not_hide_the_file_of_its_own_layer() {
    let before = Archive::default()
        .file("database/.wh..wh..opq", b"")
        .file("database/index.db", b"x");
    let after = Archive::default()
        .file("database/index.db", b"x")
        .file(".wh.database", b"");
    for archive in [before, after] {
        assert_eq!(find(archive).unwrap().0, Extracted::Found { size: 1 });
    }
}

#[test]
fn something_else_in_place_of_the_file_is_refused() {
    let wanted = "database/index.db";
    for (kind, reason) in [
        (b'1', Refusal::LinkToNothing),
        (b'2', Refusal::NotAFile),
        (b'3', Refusal::Device),
        (b'5', Refusal::NotAFile),
        (b'6', Refusal::Fifo),
        (b'V', Refusal::UnknownType),
    ] {
        let archive = Archive::default().entry(kind, wanted.as_bytes(), b"");
        assert_eq!(refusal(archive), (wanted.to_owned(), reason));
    }
    for kind in [b'0', b'2'] {
        let archive = Archive::default().entry(kind, b"database", b"");
        assert_eq!(
            refusal(archive),
            ("database".to_owned(), Refusal::NotADirectory)
        );
    }
    let twice = Archive::default().file(wanted, b"1").file(wanted, b"2");
    assert_eq!(refusal(twice), (wanted.to_owned(), Refusal::Duplicate));
}

#[test]
fn an_unsafe_path_anywhere_refuses_the_layer() {
    let archive = Archive::default()
        .file("database/index.db", b"x")
        .file("../x", b"");
    assert!(matches!(find(archive), Err(LayerError::Path { .. })));
}

#[test]
fn leaving_the_rest_stops_at_the_file_and_still_gives_the_digests() {
    let archive = Archive::default()
        .file("database/index.db", b"x")
        .file("../x", b"");
    let tar = archive.end();
    let layer = gzip(&tar);
    let mut reader = open(&layer);
    let mut sink = Vec::new();
    let wanted = entry_path("database/index.db");
    extract_file(&mut reader, &wanted, &mut sink, Rest::Leave).unwrap();
    assert_eq!(sink, b"x");
    let digests = reader.finish().unwrap();
    assert_eq!(digests.digest, Digest::of(&layer));
    assert_eq!(digests.diff_id, Digest::of(&tar));
}

#[test]
fn a_full_disk_is_a_failure_of_writing() {
    let archive = Archive::default().file("database/index.db", b"content");
    let mut room = [0; 3];
    let result = extract_file(
        &mut open(&archive.end()),
        &entry_path("database/index.db"),
        &mut &mut room[..],
        Rest::Check,
    );
    assert!(matches!(result, Err(LayerError::Write(_))));
}

#[test]
fn a_hard_link_in_place_of_the_file_says_what_it_names() {
    let archive = Archive::default()
        .directory("/")
        .file("/usr/index.db", b"content")
        .link("/database/index.db", b"/usr/index.db");
    let target = entry_path("usr/index.db");
    assert_eq!(find(archive).unwrap().0, Extracted::Linked { target });
    let twice = Archive::default()
        .link("database/index.db", b"usr/index.db")
        .file("database/index.db", b"x");
    assert_eq!(refusal(twice).1, Refusal::Duplicate);
    let nothing = Archive::default().link("database/index.db", b"");
    assert_eq!(refusal(nothing).1, Refusal::LinkToNothing);
    let device = Archive::default().entry(b'3', b"database/index.db", b"");
    assert_eq!(refusal(device).1, Refusal::Device);
}

#[test]
fn names_that_are_no_text_are_passed_over() {
    let archive = Archive::default()
        .entry(b'0', b"usr/caf\xe9", b"x")
        .file("database/index.db", b"x");
    assert_eq!(find(archive).unwrap().0, Extracted::Found { size: 1 });
}
