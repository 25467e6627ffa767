use std::io::{Cursor, Read as _, Write as _};

use flate2::read::{GzDecoder, MultiGzDecoder};
use proptest::prelude::*;

use super::*;
use crate::layer::fixture::{DIFF_ID_OF_INDEX, content, entry_path, index_entries, threads};
use crate::layer::form::HEADER;
use crate::layer::{Extracted, PIECE_SIZE, Unpacked, unpack};

/// The layer of an index, from a database.
fn index_layer(database: &[u8], reuse: Option<Reuse<'_>>, count: usize) -> (PackedLayer, Vec<u8>) {
    let mut source = database;
    let mut entries = index_entries(&mut source);
    let mut out = Vec::new();
    let packed = pack(&mut entries, reuse, threads(count), &mut out).unwrap();
    (packed, out)
}

fn scratch(layer: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(layer).unwrap();
    file
}

fn pieces_of(layer: &[u8]) -> PieceTable {
    let (unpacked, _) = unpack_file(layer, "database/index.db");
    unpacked.pieces.unwrap()
}

fn unpack_file(layer: &[u8], path: &str) -> (Unpacked, Vec<u8>) {
    let mut copy = tempfile::tempfile().unwrap();
    let mut sink = Vec::new();
    let path = entry_path(path);
    let unpacked = unpack(layer, &mut copy, &path, &mut sink, 1 << 30, threads(2)).unwrap();
    (unpacked, sink)
}

fn refused(entries: &mut [PackEntry<'_>]) -> PackError {
    pack(entries, None, threads(1), &mut Vec::new()).unwrap_err()
}

#[test]
fn the_bytes_of_a_layer_stay_what_they_are() {
    // Another digest here means that every index image gets a new layer: see `form`.
    let (packed, _) = index_layer(&content(100_000), None, 1);
    assert_eq!(packed.diff_id.as_str(), DIFF_ID_OF_INDEX);
    assert_eq!(
        packed.digest.as_str(),
        "sha256:8ea8206088e9555ec6e5b54200d3f3917e3b609ffd31e6a7e4ccff6ebc59a366"
    );
}

#[test]
fn the_number_of_threads_does_not_change_the_bytes() {
    let database = content(5 * PIECE_SIZE + 777);
    let one = index_layer(&database, None, 1);
    for count in [2, 5] {
        assert!(index_layer(&database, None, count) == one);
    }
    assert_eq!(one.0.pieces, 1 + 6);
}

#[test]
fn ordinary_readers_see_gzip_and_tar() {
    let database = content(2 * PIECE_SIZE);
    let (packed, layer) = index_layer(&database, None, 2);
    let (mut archive, mut first_member) = (Vec::new(), Vec::new());
    MultiGzDecoder::new(&layer[..])
        .read_to_end(&mut archive)
        .unwrap();
    GzDecoder::new(&layer[..])
        .read_to_end(&mut first_member)
        .unwrap();
    assert!(first_member == archive, "some readers stop there");
    assert_eq!(packed.digest, Digest::of(&layer));
    assert_eq!(packed.size, layer.len() as u64);
    assert_eq!(packed.diff_id, Digest::of(&archive));
    let mut seen = Vec::new();
    for entry in tar::Archive::new(&archive[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header();
        let facts = (
            String::from_utf8(header.path_bytes().into_owned()).unwrap(),
            header.entry_type().as_byte(),
            header.mode().unwrap(),
            (header.uid().unwrap(), header.gid().unwrap()),
            header.mtime().unwrap(),
        );
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        seen.push((facts, bytes));
    }
    let fact = |path: &str, kind, mode| (path.to_owned(), kind, mode, (0, 0), 0);
    assert_eq!(seen[0], (fact("database/", b'5', 0o755), Vec::new()));
    assert_eq!(seen[1].0, fact("database/index.db", b'0', 0o644));
    assert!(seen[1].1 == database);
    assert_eq!(seen.len(), 2);
}

#[test]
fn taking_pieces_over_gives_the_bytes_of_packing_anew() {
    let before = content(6 * PIECE_SIZE);
    let (_, layer) = index_layer(&before, None, 2);
    let pieces = pieces_of(&layer);
    let file = scratch(&layer);
    let reuse = Some(Reuse {
        pieces: &pieces,
        layer: &file,
    });
    let mut changed = before.clone();
    changed[3 * PIECE_SIZE] ^= 1;
    let mut longer = before.clone();
    longer.extend_from_slice(&content(100));
    for (database, taken) in [(&before, 8), (&changed, 7), (&longer, 6)] {
        let (fresh, fresh_layer) = index_layer(database, None, 2);
        let (packed, packed_layer) = index_layer(database, reuse, 2);
        assert_eq!(packed.pieces_reused, taken);
        assert_eq!(packed.pieces, fresh.pieces);
        assert_eq!(packed.digest, fresh.digest);
        assert_eq!(packed.diff_id, fresh.diff_id);
        assert!(packed_layer == fresh_layer);
    }
}

/// A layer of files with these names and sizes.
fn layer_of(files: &[(String, usize)], reuse: Option<Reuse<'_>>) -> (PackedLayer, Vec<u8>) {
    let texts: Vec<Vec<u8>> = files.iter().map(|(_, size)| content(*size)).collect();
    let mut sources: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    let entries = files.iter().zip(&mut sources);
    let mut entries: Vec<PackEntry<'_>> = entries
        .map(|((name, size), source)| PackEntry::file(entry_path(name), *size as u64, source))
        .collect();
    let mut out = Vec::new();
    let packed = pack(&mut entries, reuse, threads(2), &mut out).unwrap();
    (packed, out)
}

#[test]
fn what_is_behind_a_change_is_taken_over() {
    let mut files: Vec<(String, usize)> = (0..200)
        .map(|number| (format!("{number:03}"), 20_000 + 100 * number))
        .collect();
    files[150].1 = PIECE_SIZE + 5;
    let (before, layer) = layer_of(&files, None);
    assert!(before.pieces < 60, "{}", before.pieces);
    let pieces = {
        let (unpacked, sink) = unpack_file(&layer, "150");
        assert!(sink == content(PIECE_SIZE + 5));
        unpacked.pieces.unwrap()
    };
    let file = scratch(&layer);
    let reuse = Some(Reuse {
        pieces: &pieces,
        layer: &file,
    });
    let mut longer = files.clone();
    longer[20].1 += 700;
    let mut more = files.clone();
    more.insert(100, ("099-more".to_owned(), 12_345));
    let mut less = files.clone();
    less.remove(3);
    for files in [longer, more, less] {
        let (packed, bytes) = layer_of(&files, reuse);
        assert!(bytes == layer_of(&files, None).1);
        let made = packed.pieces - packed.pieces_reused;
        assert!((1..=3).contains(&made), "{made} of {}", packed.pieces);
    }
}

#[test]
fn a_vanished_input_layer_is_a_failure_and_not_a_broken_layer() {
    let database = content(PIECE_SIZE / 2);
    let (_, layer) = index_layer(&database, None, 1);
    let pieces = pieces_of(&layer);
    let file = scratch(&layer[..100]);
    let mut source = &database[..];
    let mut entries = [PackEntry::file(
        entry_path("database/other.db"),
        database.len() as u64,
        &mut source,
    )];
    // No piece is equal.
    let reuse = Reuse {
        pieces: &pieces,
        layer: &file,
    };
    pack(&mut entries, Some(reuse), threads(1), &mut Vec::new()).unwrap();
    let mut source = &database[..];
    let mut entries = index_entries(&mut source);
    let error = pack(&mut entries, Some(reuse), threads(1), &mut Vec::new()).unwrap_err();
    assert!(
        matches!(error, PackError::Previous { offset, .. } if offset > HEADER as u64),
        "{error:?}"
    );
    assert!(error.is_transient());
}

#[test]
fn entries_must_be_sorted_and_single() {
    for (first, second) in [("b", "a"), ("a", "a"), ("a/b", "a")] {
        let error = refused(&mut [
            PackEntry::directory(entry_path(first)),
            PackEntry::directory(entry_path(second)),
        ]);
        assert!(matches!(&error, PackError::Order { path } if path.as_str() == second));
        assert!(!error.is_transient());
    }
    let error = refused(&mut [PackEntry::directory(entry_path("./"))]);
    assert!(matches!(error, PackError::EmptyPath));
}

#[test]
fn a_source_of_another_size_than_stated_is_refused() {
    for stated in [0, 4, 6, 5000] {
        let mut source = &b"12345"[..];
        let error = refused(&mut [PackEntry::file(entry_path("a"), stated, &mut source)]);
        assert!(
            matches!(error, PackError::SizeChanged { size, .. } if size == stated),
            "{stated}: {error:?}"
        );
    }
    let mut source = std::io::empty();
    let error = refused(&mut [PackEntry::file(entry_path("a"), 1 << 33, &mut source)]);
    assert!(matches!(error, PackError::FileTooLarge { .. }));
}

#[test]
fn a_sink_that_fails_ends_packing() {
    let database = content(20 * PIECE_SIZE);
    let mut source = &database[..];
    let mut entries = [PackEntry::file(
        entry_path("a"),
        database.len() as u64,
        &mut source,
    )];
    let mut room = [0; 1000];
    let error = pack(
        &mut entries,
        None,
        threads(2),
        &mut Cursor::new(&mut room[..]),
    )
    .unwrap_err();
    assert!(matches!(error, PackError::Write(_)), "{error:?}");
}

#[test]
fn long_and_foreign_names_are_kept() {
    let names = [
        "a".repeat(100),
        format!("{}/{}", "d".repeat(120), "n".repeat(90)),
        format!("manifests/{}.yaml", "n".repeat(200)),
        "manifests/größe.yaml".to_owned(),
    ];
    for name in names {
        let mut source = &b"content"[..];
        let mut entries = [PackEntry::file(entry_path(&name), 7, &mut source)];
        let mut layer = Vec::new();
        pack(&mut entries, None, threads(1), &mut layer).unwrap();
        let (unpacked, sink) = unpack_file(&layer, &name);
        assert_eq!(unpacked.file, Extracted::Found { size: 7 }, "{name}");
        assert_eq!(sink, b"content");
        let mut archive = tar::Archive::new(MultiGzDecoder::new(&layer[..]));
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path_bytes(), name.as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_packed_unpacks_to_itself(
        files in prop::collection::btree_map("[a-z]{1,8}(/[a-z]{1,8}){0,2}", prop::collection::vec(any::<u8>(), 0..3000), 1..6),
        count in 1..4_usize,
    ) {
        let mut sources: Vec<_> = files.iter().map(|(name, bytes)| (entry_path(name), &bytes[..])).collect();
        let mut entries: Vec<_> = sources
            .iter_mut()
            .map(|(path, bytes)| PackEntry::file(path.clone(), bytes.len() as u64, bytes))
            .collect();
        let mut layer = Vec::new();
        let packed = pack(&mut entries, None, threads(count), &mut layer).unwrap();
        for (name, bytes) in &files {
            // A file in place of another's directory is refused, and rightly so.
            if files.keys().any(|other| name.starts_with(&format!("{other}/"))) {
                continue;
            }
            let (unpacked, sink) = unpack_file(&layer, name);
            prop_assert_eq!(&sink, bytes);
            prop_assert_eq!(unpacked.digests.digest, packed.digest.clone());
            prop_assert_eq!(unpacked.digests.diff_id, packed.diff_id.clone());
        }
    }
}
