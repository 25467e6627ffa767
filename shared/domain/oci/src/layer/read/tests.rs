use std::io::{self, Read};

use super::*;
use crate::layer::fixture::{Archive, content, gzip, open, own_layer, zstd};
use crate::layer::{Compression, PieceFault};

fn archive() -> Vec<u8> {
    Archive::default().file("a", &content(300_000)).end()
}

fn read_all(layer: &[u8]) -> Result<(Vec<u8>, LayerDigests), LayerError> {
    let mut reader = open(layer);
    let mut bytes = Vec::new();
    while let chunk = reader.chunk()?
        && !chunk.is_empty()
    {
        let count = chunk.len();
        bytes.extend_from_slice(chunk);
        reader.advance(count);
    }
    Ok((bytes, reader.finish()?))
}

/// Bytes, then a failure, as a connection that is cut.
struct Cut<'a>(&'a [u8]);

impl Read for Cut<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::ErrorKind::ConnectionReset.into()),
            read => Ok(read),
        }
    }
}

#[test]
fn every_compression_gives_the_same_bytes_and_its_own_digests() {
    let tar = archive();
    let (front, back) = tar.split_at(100_000);
    let members = [gzip(front), gzip(b""), gzip(back)].concat();
    let frames = [zstd(front), zstd(back)].concat();
    for layer in [&tar, &gzip(&tar), &members, &zstd(&tar), &frames] {
        let (bytes, digests) = read_all(layer).unwrap();
        assert!(bytes == tar);
        assert_eq!(digests.digest, Digest::of(layer));
        assert_eq!(digests.size, layer.len() as u64);
        assert_eq!(digests.diff_id, Digest::of(&tar));
        assert_eq!(digests.unpacked_size, tar.len() as u64);
    }
}

#[test]
fn our_own_form_is_ordinary_gzip_to_this_reader() {
    let layer = own_layer("a", &content(300_000));
    assert_eq!(read_all(&layer).unwrap().0.len() % 512, 0);
}

#[test]
fn finishing_early_still_reads_and_hashes_the_rest() {
    let tar = archive();
    let layer = gzip(&tar);
    let mut reader = open(&layer);
    let mut some = [0; 10];
    reader.read_exact(&mut some).unwrap();
    let digests = reader.finish().unwrap();
    assert_eq!(digests.digest, Digest::of(&layer));
    assert_eq!(digests.diff_id, Digest::of(&tar));
}

#[test]
fn a_stream_that_ends_early_is_an_error_wherever_it_is_cut() {
    for layer in [gzip(&archive()), zstd(&archive())] {
        for length in [5, 20, layer.len() / 2, layer.len() - 5, layer.len() - 1] {
            let error = read_all(&layer[..length]).unwrap_err();
            assert!(
                matches!(error, LayerError::Truncated(_)),
                "{length}: {error:?}"
            );
            assert!(!error.is_transient());
        }
    }
}

#[test]
fn a_cut_connection_is_told_from_a_short_layer() {
    for layer in [archive(), gzip(&archive()), zstd(&archive())] {
        let reader = LayerReader::open(Cut(&layer[..layer.len() / 2]), 1 << 30).unwrap();
        let error = reader.finish().unwrap_err();
        assert!(matches!(error, LayerError::Read(_)), "{error:?}");
        assert!(error.is_transient());
    }
}

#[test]
fn a_layer_that_unpacks_to_more_than_the_limit_is_refused() {
    let bomb = vec![0; 20_000_000];
    for layer in [gzip(&bomb), zstd(&bomb), bomb.clone()] {
        let limit = 1_000_000;
        let reader = LayerReader::open(&layer[..], limit).unwrap();
        let error = reader.finish().unwrap_err();
        assert!(
            matches!(error, LayerError::TooLarge { limit: 1_000_000 }),
            "{error:?}"
        );
    }
    let exact = LayerReader::open(&bomb[..], bomb.len() as u64).unwrap();
    assert_eq!(exact.finish().unwrap().unpacked_size, bomb.len() as u64);
}

#[test]
fn damaged_gzip_is_refused() {
    let layer = gzip(&archive());
    let last = layer.len();
    for (what, at) in [("header", 2), ("checksum", last - 8), ("size", last - 4)] {
        let mut damaged = layer.clone();
        damaged[at] ^= 1;
        let error = read_all(&damaged).unwrap_err();
        let expected = matches!(
            error,
            LayerError::Corrupt {
                compression: Compression::Gzip,
                ..
            }
        );
        assert!(expected, "{what}: {error:?}");
    }
    let mut trailing = layer;
    trailing.extend_from_slice(b"more");
    assert!(read_all(&trailing).is_err());
}

#[test]
fn through_io_read_the_cause_stays_visible() {
    let mut reader = LayerReader::open(&[0; 2000][..], 1000).unwrap();
    let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<LayerError>());
    assert!(matches!(inner, Some(LayerError::TooLarge { .. })));
}

#[test]
fn messages_do_not_repeat_their_source() {
    let error = LayerError::Piece {
        offset: 7,
        source: PieceFault::Size,
    };
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(!error.to_string().contains(&source));
}
