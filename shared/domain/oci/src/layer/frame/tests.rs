use std::io::Read as _;

use proptest::prelude::*;

use super::*;
use crate::Digest;
use crate::layer::fixture::{DIFF_ID_OF_INDEX, content, entry_path, index_entries, noise, threads};
use crate::layer::{Extracted, PIECE_SIZE, unpack};

/// The layer of an index, from a database.
fn index_layer(database: &[u8]) -> (PackedLayer, Vec<u8>) {
    let mut source = database;
    let mut entries = index_entries(&mut source);
    let mut out = Vec::new();
    let packed = pack_frame(&mut entries, &mut out).unwrap();
    (packed, out)
}

#[test]
fn the_bytes_of_a_frame_stay_what_they_are() {
    // Another digest here means that every OCI index gets a new layer.
    let (packed, _) = index_layer(&content(100_000));
    assert_eq!(packed.diff_id.as_str(), DIFF_ID_OF_INDEX);
    assert_eq!(
        packed.digest.as_str(),
        "sha256:7d2e1a92cb0a0b98b370d4cf39bbf014ffc9bce74a8ad42a53368732d3b1c832"
    );
}

#[test]
fn ordinary_readers_see_one_frame_that_says_its_size() {
    let database = content(2 * PIECE_SIZE + 777);
    let (packed, layer) = index_layer(&database);
    assert_eq!(packed.digest, Digest::of(&layer));
    assert_eq!(packed.size, layer.len() as u64);
    let stated = zstd::zstd_safe::get_frame_content_size(&layer).unwrap();
    let mut archive = Vec::new();
    let mut decoder = zstd::stream::read::Decoder::with_buffer(&layer[..]).unwrap();
    decoder = decoder.single_frame();
    decoder.read_to_end(&mut archive).unwrap();
    assert_eq!(stated, Some(archive.len() as u64));
    assert_eq!(packed.diff_id, Digest::of(&archive));
    assert!(decoder.finish().is_empty(), "there is something behind it");
}

#[test]
fn a_frame_is_written_and_read_again() {
    let database = content(3 * PIECE_SIZE + 5);
    let (packed, layer) = index_layer(&database);
    assert_eq!((packed.pieces, packed.pieces_reused), (0, 0));
    assert!(index_layer(&database) == (packed.clone(), layer.clone()));
    let (mut copy, mut sink) = (tempfile::tempfile().unwrap(), Vec::new());
    let wanted = entry_path("database/index.db");
    let unpacked = unpack(
        &layer[..],
        &mut copy,
        &wanted,
        &mut sink,
        1 << 30,
        threads(2),
    );
    let unpacked = unpacked.unwrap();
    let size = database.len() as u64;
    assert_eq!(unpacked.file, Extracted::Found { size });
    assert_eq!(unpacked.pieces, None);
    assert_eq!(unpacked.digests.digest, packed.digest);
    assert_eq!(unpacked.digests.diff_id, packed.diff_id);
    assert!(sink == database);
}

#[test]
fn what_comes_again_far_away_is_stored_once() {
    // Further apart than the window of the level, which is half a MiB, and than a piece.
    let mut database = noise(3 * PIECE_SIZE);
    database.extend_from_within(..);
    let (packed, _) = index_layer(&database);
    assert!(packed.size < 4 * PIECE_SIZE as u64, "{}", packed.size);
}

#[test]
fn what_is_refused_is_refused_here_too() {
    let refused = |entries: &mut [PackEntry<'_>]| pack_frame(entries, &mut Vec::new()).unwrap_err();
    let error = refused(&mut [
        PackEntry::directory(entry_path("b")),
        PackEntry::directory(entry_path("a")),
    ]);
    assert!(matches!(error, PackError::Order { .. }), "{error:?}");
    for stated in [0, 4, 6, 5000] {
        let mut source = &b"12345"[..];
        let error = refused(&mut [PackEntry::file(entry_path("a"), stated, &mut source)]);
        assert!(
            matches!(error, PackError::SizeChanged { size, .. } if size == stated),
            "{stated}: {error:?}"
        );
    }
    for stated in [1 << 33, u64::MAX] {
        let mut source = std::io::empty();
        let error = refused(&mut [PackEntry::file(entry_path("a"), stated, &mut source)]);
        assert!(matches!(error, PackError::FileTooLarge { .. }), "{error:?}");
    }
    let database = noise(3 * PIECE_SIZE);
    let mut source = &database[..];
    let size = database.len() as u64;
    let mut room = [0; 1000];
    let mut entries = [PackEntry::file(entry_path("a"), size, &mut source)];
    let error = pack_frame(&mut entries, &mut &mut room[..]).unwrap_err();
    assert!(matches!(error, PackError::Write(_)), "{error:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_stated_size_is_that_of_the_archive(
        files in prop::collection::btree_map("[a-zä]{1,60}(/[a-z]{1,60}){0,3}", prop::collection::vec(any::<u8>(), 0..1500), 0..6),
    ) {
        let mut sources: Vec<_> = files.iter().map(|(name, bytes)| (entry_path(name), &bytes[..])).collect();
        let mut entries: Vec<_> = sources
            .iter_mut()
            .map(|(path, bytes)| PackEntry::file(path.clone(), bytes.len() as u64, bytes))
            .collect();
        let mut layer = Vec::new();
        let packed = pack_frame(&mut entries, &mut layer).unwrap();
        let archive = zstd::stream::decode_all(&layer[..]).unwrap();
        prop_assert_eq!(packed.diff_id, Digest::of(&archive));
    }
}
