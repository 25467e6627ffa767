use super::*;
use crate::layer::fixture::{content, noise};

fn packed(piece: &[u8]) -> Vec<u8> {
    Packer::new().pack(piece).unwrap()
}

fn unpacked(packed: &[u8], size: usize) -> Result<Vec<u8>, PieceFault> {
    Unpacker::new().unpack(packed.to_vec(), size)
}

/// Deflate data that goes on where that of `before` ended.
fn packed_behind(before: &[u8], piece: &[u8], flush: FlushCompress) -> Vec<u8> {
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    let mut first = Vec::with_capacity(PACKED_LIMIT);
    let mut second = Vec::with_capacity(PACKED_LIMIT);
    compress
        .compress_vec(before, &mut first, FlushCompress::Sync)
        .unwrap();
    compress.compress_vec(piece, &mut second, flush).unwrap();
    second
}

#[test]
fn a_piece_of_any_size_comes_back() {
    for size in [1, 511, 70_000, PIECE_SIZE] {
        let piece = content(size);
        assert!(unpacked(&packed(&piece), size).unwrap() == piece, "{size}");
    }
}

#[test]
fn the_bytes_do_not_depend_on_what_the_worker_did_before() {
    let (first, second) = (content(300_000), noise(300_000));
    let mut packer = Packer::new();
    for piece in [&first, &second, &first, &first, &second] {
        assert!(packer.pack(piece).unwrap() == packed(piece));
    }
}

#[test]
fn bytes_that_do_not_compress_fit_the_limit() {
    let packed = packed(&noise(PIECE_SIZE));
    assert!(packed.len() > PIECE_SIZE);
    assert!(packed.len() < PACKED_LIMIT);
}

#[test]
fn a_piece_that_refers_to_what_is_before_it_is_refused() {
    let piece = noise(5000);
    let dependent = packed_behind(&piece, &piece, FlushCompress::Full);
    let mut unpacker = Unpacker::new();
    for _ in 0..2 {
        let error = unpacker.unpack(dependent.clone(), piece.len()).unwrap_err();
        assert_eq!(error, PieceFault::Deflate);
        // Not even the piece that it refers to may help it.
        assert_eq!(unpacker.unpack(packed(&piece), piece.len()).unwrap(), piece);
    }
}

#[test]
fn a_piece_of_another_size_is_refused() {
    let piece = content(5000);
    for size in [1, 4999, 5001, PIECE_SIZE] {
        assert_eq!(
            unpacked(&packed(&piece), size),
            Err(PieceFault::Size),
            "{size}"
        );
    }
}

#[test]
fn a_piece_that_closes_the_stream_is_refused() {
    let piece = content(5000);
    let closed = packed_behind(b"", &piece, FlushCompress::Finish);
    let with_flush = [&closed[..], &FLUSHED].concat();
    assert_eq!(unpacked(&closed, 5000), Err(PieceFault::End));
    assert_eq!(unpacked(&with_flush, 5000), Err(PieceFault::End));
}

#[test]
fn a_piece_that_goes_on_in_the_next_one_is_refused() {
    let piece = content(5000);
    // A stored block whose content is the end of the piece, all but the last byte of it here.
    let mut open = packed(&piece[..4990]);
    open.extend_from_slice(&[0, 11, 0, !11, !0]);
    let mut tail = vec![0; 10];
    tail[6..].copy_from_slice(&FLUSHED);
    open.extend_from_slice(&tail);
    assert!(unpacked(&open, 5000).is_err());
    // The flush cut off, in all ways that still look flushed.
    let whole = packed(&piece);
    for cut in 1..=40 {
        let mut cut = whole[..whole.len() - cut].to_vec();
        assert!(unpacked(&cut, 5000).is_err());
        cut.extend_from_slice(&FLUSHED);
        assert!(unpacked(&cut, 5000).is_err() || cut == whole);
    }
}

#[test]
fn two_pieces_in_one_place_are_refused() {
    let double = [packed(b"one"), packed(b"two")].concat();
    assert_eq!(unpacked(&double, 3), Err(PieceFault::Size));
}
