use std::io;

use proptest::prelude::*;

use super::*;
use crate::layer::fixture::{Archive, content, entry_path, gzip, own_layer, threads, zstd};
use crate::layer::member::Packer;
use crate::layer::{LayerReader, PIECE_SIZE};

const WANTED: &str = "database/index.db";

fn unpack_all(layer: &[u8]) -> Result<(Unpacked, Vec<u8>), LayerError> {
    unpack_within(1 << 30, layer)
}

fn unpack_within(limit: u64, layer: &[u8]) -> Result<(Unpacked, Vec<u8>), LayerError> {
    let mut sink = Vec::new();
    let unpacked = unpack(layer, &entry_path(WANTED), &mut sink, limit, threads(2))?;
    Ok((unpacked, sink))
}

/// An input that comes in small parts, as a download does.
struct Drops<'a>(&'a [u8]);

impl Read for Drops<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(1371);
        self.0.read(&mut buffer[..count])
    }
}

#[test]
fn own_and_foreign_layers_give_the_file_and_equal_digests() {
    let database = content(3 * PIECE_SIZE);
    let own = own_layer(WANTED, &database);
    let archive = Archive::default().file(WANTED, &database).end();
    for (layer, has_pieces) in [
        (&own, true),
        (&gzip(&archive), false),
        (&zstd(&archive), false),
        (&archive, false),
    ] {
        let (unpacked, sink) = unpack_all(layer).unwrap();
        assert!(sink == database);
        let size = database.len() as u64;
        assert_eq!(unpacked.file, Extracted::Found { size });
        assert_eq!(unpacked.pieces.is_some(), has_pieces);
        let one_thread = LayerReader::open(&layer[..], 1 << 30).unwrap();
        assert_eq!(unpacked.digests, one_thread.finish().unwrap());
        assert_eq!(unpacked.digests.digest, Digest::of(layer));
    }
}

#[test]
fn an_input_in_small_parts_gives_the_same() {
    let own = own_layer(WANTED, &content(PIECE_SIZE + 1));
    let mut sink = Vec::new();
    let unpacked = unpack(
        Drops(&own),
        &entry_path(WANTED),
        &mut sink,
        1 << 30,
        threads(1),
    )
    .unwrap();
    assert_eq!(unpacked, unpack_all(&own).unwrap().0);
}

#[test]
fn a_layer_without_the_file_is_read_to_its_end_all_the_same() {
    let layer = own_layer("other", &content(PIECE_SIZE));
    let (unpacked, sink) = unpack_all(&layer).unwrap();
    assert_eq!(unpacked.file, Extracted::Absent);
    assert_eq!(unpacked.digests.digest, Digest::of(&layer));
    assert!(sink.is_empty());
}

#[test]
fn a_layer_cut_anywhere_is_an_error() {
    let own = own_layer(WANTED, &content(PIECE_SIZE + 5000));
    let archive = Archive::default().file(WANTED, &content(5000)).end();
    for layer in [own, gzip(&archive), zstd(&archive)] {
        for length in [10, 23, 24, 30, layer.len() / 2, layer.len() - 1] {
            let error = unpack_all(&layer[..length]).unwrap_err();
            assert!(
                matches!(error, LayerError::Truncated(_)),
                "{length}: {error:?}"
            );
        }
    }
}

#[test]
fn a_layer_that_unpacks_to_more_than_the_limit_is_refused() {
    let zeros = vec![0; 3 * PIECE_SIZE];
    let archive = Archive::default().file(WANTED, &zeros).end();
    for layer in [own_layer(WANTED, &zeros), gzip(&archive)] {
        let error = unpack_within(PIECE_SIZE as u64, &layer).unwrap_err();
        assert!(matches!(error, LayerError::TooLarge { .. }), "{error:?}");
    }
}

#[test]
fn broken_members_are_refused_with_their_place() {
    let layer = own_layer(WANTED, &content(2 * PIECE_SIZE));
    let second = stated_length(&layer).unwrap();
    let end = layer.len();
    let flip = |at: usize| {
        let mut damaged = layer.clone();
        damaged[at] ^= 1;
        damaged
    };
    let mut short = layer.clone();
    short[second + 16..second + 20].copy_from_slice(&20_u32.to_le_bytes());
    let mut long = layer.clone();
    long[second + 16..second + 20].copy_from_slice(&u32::MAX.to_le_bytes());
    for (layer, fault) in [
        (flip(second - 8), MemberFault::Checksum),
        (flip(second - 4), MemberFault::Size),
        (flip(second + 4), MemberFault::Form),
        ([&layer[..], &gzip(b"more")].concat(), MemberFault::Form),
        (short, MemberFault::Length(20)),
        (long, MemberFault::Length(u32::MAX as usize)),
    ] {
        let error = unpack_all(&layer).unwrap_err();
        let LayerError::Member { offset, source } = error else {
            panic!("{fault:?}: {error:?}");
        };
        assert_eq!(source, fault);
        assert!([0, second, end].contains(&usize::try_from(offset).unwrap()));
    }
}

#[test]
fn an_empty_member_is_no_end() {
    let layer = own_layer(WANTED, b"x");
    let empty = Packer::new().member(b"").unwrap();
    let with_empty = [&empty[..], &layer, &empty].concat();
    let (unpacked, sink) = unpack_all(&with_empty).unwrap();
    assert_eq!(sink, b"x");
    assert_eq!(unpacked.digests.digest, Digest::of(&with_empty));
}

#[test]
fn a_layer_with_short_pieces_is_read_but_not_taken_over() {
    let archive = Archive::default().file(WANTED, &content(9000)).end();
    let mut packer = Packer::new();
    let layer: Vec<u8> = archive
        .chunks(700)
        .flat_map(|piece| packer.member(piece).unwrap())
        .collect();
    let (unpacked, sink) = unpack_all(&layer).unwrap();
    assert!(sink == content(9000));
    assert_eq!(unpacked.pieces, None);
}

#[test]
fn a_cut_connection_may_pass() {
    struct Cut;
    impl Read for Cut {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::TimedOut.into())
        }
    }
    let own = own_layer(WANTED, &content(PIECE_SIZE));
    let archive = Archive::default().file(WANTED, &content(5000)).end();
    for layer in [own, gzip(&archive), zstd(&archive)] {
        for length in [0, 10, 30, layer.len() / 2, layer.len()] {
            let input = layer[..length].chain(Cut);
            let result = unpack(
                input,
                &entry_path(WANTED),
                &mut io::sink(),
                1 << 30,
                threads(2),
            );
            let error = result.unwrap_err();
            assert!(error.is_transient(), "{length}: {error:?}");
        }
    }
}

#[test]
fn a_sink_that_fails_ends_unpacking() {
    let layer = own_layer(WANTED, &content(20 * PIECE_SIZE));
    let mut room = [0; 1000];
    let result = unpack(
        &layer[..],
        &entry_path(WANTED),
        &mut &mut room[..],
        1 << 30,
        threads(2),
    );
    assert!(matches!(result, Err(LayerError::Write(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever was done to a layer: an error or the whole file, never a panic or a part of it
    /// that counts as found.
    #[test]
    fn a_damaged_layer_is_refused_or_whole(
        at in any::<prop::sample::Index>(), bit in 0..8_u8, form in 0..4_usize,
    ) {
        let database = content(4000);
        let archive = Archive::default().directory("database").file(WANTED, &database).end();
        let mut layer = match form {
            0 => own_layer(WANTED, &database),
            1 => gzip(&archive),
            2 => zstd(&archive),
            _ => archive,
        };
        let at = at.index(layer.len());
        layer[at] ^= 1 << bit;
        if let Ok((unpacked, sink)) = unpack_all(&layer) {
            prop_assert_eq!(&unpacked.digests.digest, &Digest::of(&layer));
            if let Extracted::Found { size } = unpacked.file {
                prop_assert_eq!(size, sink.len() as u64);
            }
        }
    }
}
