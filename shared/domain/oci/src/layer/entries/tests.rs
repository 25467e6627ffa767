use super::*;
use crate::layer::fixture::{Archive, open};
use crate::layer::{PathFault, TarFault};

fn walk(archive: &[u8]) -> Result<Vec<(String, EntryKind, Vec<u8>)>, LayerError> {
    let mut reader = open(archive);
    let mut entries = Entries::new(&mut reader);
    let mut found = Vec::new();
    while let Some(entry) = entries.next()? {
        let mut content = Vec::new();
        entries.content(|bytes| {
            content.extend_from_slice(bytes);
            Ok(())
        })?;
        assert_eq!(content.len() as u64, entry.size);
        found.push((entry.path.to_string(), entry.kind, content));
    }
    Ok(found)
}

fn tar_fault(archive: &[u8]) -> TarFault {
    match walk(archive).unwrap_err() {
        LayerError::Tar { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        // One, two or three digits of length: the one that counts itself right.
        let length = (1..4)
            .map(|digits| rest + digits)
            .find(|length| rest + length.to_string().len() == *length)
            .unwrap();
        bytes.extend_from_slice(format!("{length} {key}={value}\n").as_bytes());
    }
    bytes
}

#[test]
fn entries_come_in_order_with_their_content() {
    let archive = Archive::default()
        .directory("./d/")
        .file("./d/empty", b"")
        .file("d/full", &[7; 512])
        .file("d/more", &[8; 700_000])
        .entry(b'\0', b"old", b"x")
        .entry(b'\0', b"old-directory/", b"")
        .entry(b'2', b"link", b"")
        .link("hard", b"./d/full")
        .entry(b'3', b"device", b"")
        .entry(b'6', b"pipe", b"")
        .entry(b'V', b"volume", b"")
        .end();
    let found = walk(&archive).unwrap();
    let kinds: Vec<_> = found
        .iter()
        .map(|(path, kind, _)| (&path[..], *kind))
        .collect();
    assert_eq!(
        kinds,
        [
            ("d", EntryKind::Directory),
            ("d/empty", EntryKind::File),
            ("d/full", EntryKind::File),
            ("d/more", EntryKind::File),
            ("old", EntryKind::File),
            ("old-directory", EntryKind::Directory),
            ("link", EntryKind::Symlink),
            ("hard", EntryKind::HardLink),
            ("device", EntryKind::Device),
            ("pipe", EntryKind::Fifo),
            ("volume", EntryKind::Unknown),
        ]
    );
    assert!(found[3].2 == [8; 700_000]);
}

#[test]
fn content_that_is_not_taken_is_skipped() {
    let archive = Archive::default()
        .file("a", &[1; 1000])
        .file("b", b"2")
        .end();
    let mut reader = open(&archive);
    let mut entries = Entries::new(&mut reader);
    entries.next().unwrap();
    assert_eq!(entries.next().unwrap().unwrap().path.as_str(), "b");
    assert_eq!(entries.next().unwrap(), None);
}

#[test]
fn long_names_of_both_families_are_read() {
    let long = format!("d/{}", "n".repeat(300));
    let archive = Archive::default()
        .entry(b'g', b"global", &pax(&[("path", "elsewhere")]))
        .entry(b'x', b"pax", &pax(&[("mtime", "1.5"), ("path", &long)]))
        .file("short", b"1")
        .entry(b'L', b"gnu", format!("{long}\0").as_bytes())
        .file("short", b"2")
        .file("plain", b"3")
        .end();
    let paths: Vec<_> = walk(&archive).unwrap().into_iter().map(|e| e.0).collect();
    assert_eq!(paths, [&long[..], &long, "plain"]);
}

#[test]
fn a_path_from_the_root_is_one_within_the_image() {
    let archive = Archive::default()
        .directory("/")
        .directory("./")
        .directory("/d/")
        .file("/d/a", b"1")
        .file("//d//b", b"2")
        .end();
    let paths: Vec<_> = walk(&archive).unwrap().into_iter().map(|e| e.0).collect();
    assert_eq!(paths, ["", "", "d", "d/a", "d/b"]);
}

#[test]
fn targets_of_hard_links_are_read_in_all_their_forms() {
    let long = format!("d/{}", "n".repeat(300));
    let archive = Archive::default()
        .link("plain", b"/d/a")
        .entry(b'K', b"gnu", format!("{long}\0").as_bytes())
        .link("long", b"short")
        .entry(b'x', b"pax", &pax(&[("linkpath", &long)]))
        .link("pax", b"short")
        .entry(
            b'x',
            b"pax",
            &pax(&[("linkpath", "other"), ("linkpath", "")]),
        )
        .link("taken back", b"short")
        .file("after", b"")
        .end();
    let mut reader = open(&archive);
    let mut entries = Entries::new(&mut reader);
    for target in ["d/a", &long, &long, "short"] {
        let entry = entries.next().unwrap().unwrap();
        assert_eq!(entry.link_target().unwrap().as_str(), target);
    }
    assert_eq!(entries.next().unwrap().unwrap().target, b"");
}

#[test]
fn targets_that_cannot_be_are_refused() {
    for target in [&b"../x"[..], b"a/../../x", b"", b"/", b"a\xff"] {
        let archive = Archive::default().link("manifests/a", target).end();
        let mut reader = open(&archive);
        let entry = Entries::new(&mut reader).next().unwrap().unwrap();
        let told = entry.link_target().unwrap_err().to_string();
        assert!(told.contains("manifests/a"), "{told}");
    }
}

#[test]
fn the_size_in_a_pax_record_counts() {
    let mut archive = Archive::default()
        .entry(b'x', b"pax", &pax(&[("size", "3")]))
        .open_end();
    // The header behind it states no size at all.
    archive.extend(Archive::default().file("a", b"").open_end());
    archive.extend([b"abc".as_slice(), &[0; 509]].concat());
    assert_eq!(
        walk(&archive).unwrap(),
        [("a".to_owned(), EntryKind::File, b"abc".to_vec())]
    );
}

#[test]
fn links_have_no_content_whatever_their_size_says() {
    let mut header = tar::Header::new_ustar();
    header.set_size(5000);
    header.set_entry_type(tar::EntryType::Link);
    header.set_path("hard").unwrap();
    header.set_cksum();
    let mut archive = header.as_bytes().to_vec();
    archive.extend(Archive::default().file("a", b"x").end());
    assert_eq!(walk(&archive).unwrap().len(), 2);
}

#[test]
fn paths_that_leave_the_root_are_refused_and_named() {
    let long = format!("../{}", "n".repeat(300));
    for (archive, name, fault) in [
        (
            Archive::default().file("/../etc/passwd", b"x"),
            "/../etc/passwd",
            PathFault::Parent,
        ),
        (
            Archive::default().file("a/../../x", b"x"),
            "a/../../x",
            PathFault::Parent,
        ),
        (
            Archive::default().entry(b'2', b"../x", b""),
            "../x",
            PathFault::Parent,
        ),
        (
            Archive::default()
                .entry(b'x', b"pax", &pax(&[("path", &long)]))
                .file("a", b""),
            &long,
            PathFault::Parent,
        ),
    ] {
        let error = walk(&archive.end()).unwrap_err();
        let LayerError::Path { path, source } = error else {
            panic!("{error:?}");
        };
        assert_eq!((&path[..], source), (name, fault));
    }
}

/// A sparse file in the old form of GNU tar, with this many blocks of its map to follow.
fn sparse(blocks: usize, content: &[u8]) -> Archive {
    let mut bytes = Archive::default()
        .entry(b'S', b"var/log/lastlog", content)
        .open_end();
    let mut header = tar::Header::new_old();
    header.as_mut_bytes().copy_from_slice(&bytes[..BLOCK]);
    header.as_mut_bytes()[482] = u8::from(blocks > 0);
    header.set_cksum();
    bytes[..BLOCK].copy_from_slice(header.as_bytes());
    Archive::of(bytes)
}

#[test]
fn files_with_holes_are_walked_over() {
    let mut map = vec![7; 2 * BLOCK];
    (map[504], map[BLOCK + 504]) = (1, 0);
    let mut old = sparse(2, b"content").open_end();
    old.splice(BLOCK..BLOCK, map);
    let archive = Archive::of(old)
        .entry(
            b'x',
            b"pax",
            &pax(&[
                ("GNU.sparse.major", "1"),
                ("GNU.sparse.name", "var/pax"),
                ("path", "x"),
            ]),
        )
        .file("GNUSparseFile.0/pax", b"holes")
        .entry(b'x', b"pax", &pax(&[("GNU.sparse.map", "0,1")]))
        .file("older", b"h")
        .file("a", b"x")
        .end();
    let found = walk(&archive).unwrap();
    let kinds: Vec<_> = found
        .iter()
        .map(|(path, kind, _)| (&path[..], *kind))
        .collect();
    assert_eq!(
        kinds,
        [
            ("var/log/lastlog", EntryKind::Sparse),
            ("var/pax", EntryKind::Sparse),
            ("older", EntryKind::Sparse),
            ("a", EntryKind::File),
        ]
    );
}

#[test]
fn malformed_archives_are_refused_by_what_is_wrong() {
    let good = || Archive::default().file("a", b"x");
    let mut checksum = good().end();
    checksum[0] = b'b';
    let mut one_zero_block = good().open_end();
    one_zero_block.extend([0; 512]);
    one_zero_block.extend(good().end());
    let too_long = vec![b'n'; usize::try_from(EXTENSION_LIMIT).unwrap() + 1];
    for (archive, fault) in [
        (checksum, TarFault::Checksum),
        (b"this is no archive".repeat(100), TarFault::Checksum),
        (good().end()[..100].to_vec(), TarFault::Truncated),
        (good().open_end()[..600].to_vec(), TarFault::Truncated),
        (one_zero_block, TarFault::End),
        (
            good().entry(b'L', b"l", &too_long).end(),
            TarFault::ExtensionSize,
        ),
        (
            good().entry(b'x', b"x", b"99 path=a\n").end(),
            TarFault::Extension,
        ),
        (
            good().entry(b'x', b"x", b"9 patha\n").end(),
            TarFault::Extension,
        ),
        (
            good().entry(b'x', b"x", &pax(&[("size", "-1")])).end(),
            TarFault::Number,
        ),
        // It says that a map of its holes follows.
        (sparse(1, b"").open_end(), TarFault::Truncated),
    ] {
        assert_eq!(tar_fault(&archive), fault);
    }
}

#[test]
fn a_size_beyond_all_bounds_does_not_overflow() {
    let archive = Archive::default()
        .entry(b'x', b"x", &pax(&[("size", "18446744073709551615")]))
        .file("a", b"")
        .end();
    let mut reader = open(&archive);
    let mut entries = Entries::new(&mut reader);
    assert_eq!(entries.next().unwrap().unwrap().size, u64::MAX);
    assert!(entries.next().is_err());
}

#[test]
fn an_archive_may_lack_its_end_marker() {
    assert_eq!(
        walk(&Archive::default().file("a", b"x").open_end())
            .unwrap()
            .len(),
        1
    );
    assert!(walk(&[]).unwrap().is_empty());
}
