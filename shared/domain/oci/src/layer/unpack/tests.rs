use std::io;

use proptest::prelude::*;

use super::*;
use crate::Digest;
use crate::layer::deflate::Packer;
use crate::layer::fixture::{
    Archive, assembled, content, entry_path, gzip, own_layer, threads, zstd,
};
use crate::layer::form::{FOOTER, HEADER};
use crate::layer::{LayerReader, PIECE_SIZE, PieceFault};

const WANTED: &str = "database/index.db";

fn unpack_all(layer: &[u8]) -> Result<(Unpacked, Vec<u8>), LayerError> {
    unpack_within(1 << 30, layer)
}

fn unpack_within(limit: u64, layer: &[u8]) -> Result<(Unpacked, Vec<u8>), LayerError> {
    let mut sink = Vec::new();
    let unpacked = unpack_from(layer, &mut sink, limit)?;
    Ok((unpacked, sink))
}

fn unpack_from(
    input: impl Read + Send,
    sink: &mut impl Write,
    limit: u64,
) -> Result<Unpacked, LayerError> {
    let mut copy = tempfile::tempfile().unwrap();
    unpack(
        input,
        &mut copy,
        &entry_path(WANTED),
        sink,
        limit,
        threads(2),
    )
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
    let unpacked = unpack_from(Drops(&own), &mut io::sink(), 1 << 30).unwrap();
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
        let end = layer.len();
        for length in [10, 23, 24, 30, end / 2, end - FOOTER, end - 1] {
            let error = unpack_all(&layer[..length]).unwrap_err();
            assert!(
                matches!(
                    error,
                    LayerError::Truncated(_) | LayerError::Form(FormFault::Footer)
                ),
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

/// Two pieces of an archive, with what is needed for putting them together wrongly.
struct Halves {
    packed: [Vec<u8>; 2],
    checksum: u32,
    size: u64,
}

impl Halves {
    fn new() -> Self {
        let archive = Archive::default().file(WANTED, &content(PIECE_SIZE)).end();
        let (first, second) = archive.split_at(PIECE_SIZE);
        let mut packer = Packer::new();
        Self {
            packed: [packer.pack(first).unwrap(), packer.pack(second).unwrap()],
            checksum: checksum(&archive).sum(),
            size: archive.len() as u64,
        }
    }

    fn layer(&self) -> Vec<u8> {
        assembled(&self.packed, self.checksum, self.size)
    }
}

#[test]
fn a_broken_piece_is_refused_with_its_place() {
    let mut halves = Halves::new();
    let second = (HEADER + halves.packed[0].len()) as u64;
    assert!(unpack_all(&halves.layer()).is_ok());
    halves.packed[1] = Packer::new().pack(b"shorter").unwrap();
    let error = unpack_all(&halves.layer()).unwrap_err();
    let fault = PieceFault::Size;
    assert!(
        matches!(error, LayerError::Piece { offset, source } if (offset, source) == (second, fault)),
        "{error:?}"
    );
    assert!(!error.is_transient());
}

#[test]
fn a_piece_boundary_elsewhere_is_refused() {
    // The stream is the same to everyone else.
    let mut halves = Halves::new();
    let moved = halves.packed[1].remove(0);
    halves.packed[0].push(moved);
    let error = unpack_all(&halves.layer()).unwrap_err();
    assert!(matches!(error, LayerError::Piece { .. }), "{error:?}");
}

#[test]
fn a_wrong_checksum_of_the_archive_is_refused() {
    let mut halves = Halves::new();
    halves.checksum ^= 1;
    let error = unpack_all(&halves.layer()).unwrap_err();
    assert!(
        matches!(error, LayerError::Form(FormFault::Checksum)),
        "{error:?}"
    );
    let mut halves = Halves::new();
    halves.packed.swap(0, 1);
    let error = unpack_all(&halves.layer()).unwrap_err();
    assert!(matches!(error, LayerError::Piece { .. }), "{error:?}");
}

#[test]
fn something_behind_the_layer_is_refused() {
    let layer = own_layer(WANTED, b"x");
    for more in [&gzip(b"more")[..], &layer, b"x"] {
        let error = unpack_all(&[&layer, more].concat()).unwrap_err();
        assert!(matches!(error, LayerError::Form(_)), "{error:?}");
    }
}

#[test]
fn only_a_layer_of_our_own_form_is_copied() {
    let own = own_layer(WANTED, &content(5000));
    let archive = Archive::default().file(WANTED, &content(5000)).end();
    for (layer, is_copied) in [(&own, true), (&gzip(&archive), false)] {
        let mut copy = tempfile::tempfile().unwrap();
        copy.write_all(&[b'?'; 90_000]).unwrap();
        let wanted = entry_path(WANTED);
        unpack(
            &layer[..],
            &mut copy,
            &wanted,
            &mut io::sink(),
            1 << 30,
            threads(1),
        )
        .unwrap();
        let mut copied = Vec::new();
        io::Seek::rewind(&mut copy).unwrap();
        copy.read_to_end(&mut copied).unwrap();
        assert_eq!(copied == *layer, is_copied);
        assert_eq!(copied.len() == 90_000, !is_copied);
    }
}

#[test]
fn a_copy_that_cannot_be_written_is_a_failure_and_not_a_broken_layer() {
    let layer = own_layer(WANTED, b"x");
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut read_only = File::open(file.path()).unwrap();
    let wanted = entry_path(WANTED);
    let result = unpack(
        &layer[..],
        &mut read_only,
        &wanted,
        &mut io::sink(),
        1 << 30,
        threads(1),
    );
    let error = result.unwrap_err();
    assert!(matches!(error, LayerError::Copy(_)), "{error:?}");
    assert!(error.is_transient());
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
            let error = unpack_from(input, &mut io::sink(), 1 << 30).unwrap_err();
            assert!(error.is_transient(), "{length}: {error:?}");
        }
    }
}

#[test]
fn a_sink_that_fails_ends_unpacking() {
    let layer = own_layer(WANTED, &content(20 * PIECE_SIZE));
    let mut room = [0; 1000];
    let result = unpack_from(&layer[..], &mut &mut room[..], 1 << 30);
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
