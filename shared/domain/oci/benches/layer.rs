//! Layer reading and writing on content like that of an index.db (gzip ratio 3 to 5), or on that of a
//! file: `LAYER_DATABASE=index.db`. What the zstd frame gains by its long window, only a real one shows.
//!
//! Beside our numbers stand a plain copy of the file and flate2 at level 6 on one thread. On two
//! cores: unpack foreign 0.18 s, unpack own 0.25 s (hashed twice, to know its pieces), pack all
//! 0.34 s, pack with 5 % changed 0.16 s, copy 0.07 s, flate2 0.74 s.

#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot run has nobody to report to"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "criterion's own arguments leave no room for others"
)]

use std::env;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, BufWriter, Cursor, Read, Seek, Write};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flate2::write::GzEncoder;
use iib_oci::layer::{
    EntryPath, Extracted, PIECE_SIZE, PackEntry, PackedLayer, Reuse, Threads, Unpacked, pack,
    pack_frame, unpack,
};

/// The size of a large index.db.
const DATABASE: usize = 130 * 1024 * 1024;
/// SQLite's page, the unit in which databases change.
const PAGE: usize = 4096;

/// Numbers that look random and are the same in each run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// What is packed.
fn content() -> Vec<u8> {
    match env::var_os("LAYER_DATABASE") {
        Some(file) => fs::read(file).unwrap(),
        None => database(),
    }
}

/// Manifests in JSON and YAML with names that repeat, some random identifiers, and icons in
/// base64.
fn database() -> Vec<u8> {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let words: Vec<String> = (0..3000)
        .map(|_| {
            let letters = 3 + numbers.next() % 9;
            (0..letters)
                .map(|_| char::from(b'a' + (numbers.next() % 26) as u8))
                .collect()
        })
        .collect();
    let mut content = Vec::with_capacity(DATABASE + 1024);
    while content.len() < DATABASE {
        match numbers.next() % 40 {
            0 => content.extend((0..48).flat_map(|_| {
                numbers.next().to_le_bytes().map(|b| b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"[usize::from(b % 32)])
            })),
            1..=8 => content.extend_from_slice(
                b"{\"apiVersion\":\"operators.coreos.com/v1alpha1\",\"kind\":\"ClusterServiceVersion\",\"metadata\":{\"annotations\":{\"capabilities\":\"Seamless Upgrades\",",
            ),
            9..=14 => content.extend_from_slice(b"\"},\"spec\":{\"description\":\"type\":\"string\"},\"properties\":{\""),
            _ => {
                let pick = numbers.next();
                let word = &words[(pick % 3000).min(pick >> 32 & 1023) as usize];
                content.extend_from_slice(word.as_bytes());
                content.extend_from_slice(if pick & 3 == 0 { b"\":\"" } else { b" " });
            }
        }
    }
    content.truncate(DATABASE);
    content
}

fn entries<'a>(content: &'a mut &[u8]) -> [PackEntry<'a>; 2] {
    let size = content.len() as u64;
    let path = |text: &str| text.parse::<EntryPath>().unwrap();
    [
        PackEntry::directory(path("database")),
        PackEntry::file(path("database/index.db"), size, content),
    ]
}

fn write_layer(content: &[u8], reuse: Option<Reuse<'_>>) -> (PackedLayer, File) {
    let mut out = tempfile::tempfile().unwrap();
    let mut source = content;
    let mut entries = entries(&mut source);
    let packed = pack(&mut entries, reuse, Threads::available(), &mut out).unwrap();
    (packed, out)
}

/// The same as one zstd frame.
fn write_frame(content: &[u8]) -> (PackedLayer, File) {
    let mut out = tempfile::tempfile().unwrap();
    let mut source = content;
    let mut entries = entries(&mut source);
    let packed = pack_frame(&mut entries, &mut out).unwrap();
    (packed, out)
}

/// Bytes of the same in frames of one piece each, which could be taken over and see nothing else.
fn size_in_frames(content: &[u8]) -> usize {
    let frames = content.chunks(PIECE_SIZE);
    frames
        .map(|piece| zstd::bulk::compress(piece, 1).unwrap().len())
        .sum()
}

fn read_layer(mut layer: &File, size: usize) -> Unpacked {
    layer.rewind().unwrap();
    let (mut copy, mut sink) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let (wanted, threads) = ("database/index.db".parse().unwrap(), Threads::available());
    let unpacked = unpack(layer, &mut copy, &wanted, &mut sink, 1 << 30, threads).unwrap();
    let size = size as u64;
    assert_eq!(unpacked.file, Extracted::Found { size });
    unpacked
}

/// The same content as most builders write it: one stream at level 6.
fn foreign(layer: &File) -> File {
    let mut compressed = layer;
    compressed.rewind().unwrap();
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(compressed)
        .read_to_end(&mut tar)
        .unwrap();
    let out = BufWriter::new(tempfile::tempfile().unwrap());
    let mut encoder = GzEncoder::new(out, flate2::Compression::new(6));
    encoder.write_all(&tar).unwrap();
    encoder.finish().unwrap().into_inner().unwrap()
}

/// Changes pages in one of twenty pieces, as an added bundle does.
fn change(content: &[u8]) -> Vec<u8> {
    let mut changed = content.to_vec();
    for page in changed.chunks_mut(PAGE).step_by(20 * 256) {
        page[100..200].fill(b'#');
    }
    changed
}

#[expect(clippy::print_stdout, reason = "a bench reports on stdout")]
fn layers(criterion: &mut Criterion) {
    let content = content();
    let length = content.len();
    let changed = change(&content);
    let (packed, own) = write_layer(&content, None);
    let foreign = foreign(&own);
    let (framed, frame) = write_frame(&content);
    let pieces = read_layer(&own, length).pieces.unwrap();
    let reuse = Some(Reuse {
        pieces: &pieces,
        layer: &own,
    });
    let (again, _) = write_layer(&changed, reuse);
    let foreign_size = foreign.metadata().unwrap().len();
    println!(
        "ratio {:.2} (level 6: {:.2}), {} of {} pieces taken over",
        length as f64 / packed.size as f64,
        length as f64 / foreign_size as f64,
        again.pieces_reused,
        again.pieces,
    );
    println!(
        "bytes: {length} as they are, {} in gzip of pieces, {} in one zstd frame, {} in zstd frames of \
         pieces",
        packed.size,
        framed.size,
        size_in_frames(&content),
    );

    let mut group = criterion.benchmark_group("layer");
    group.throughput(Throughput::Bytes(length as u64));
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(5));
    group.bench_function("unpack foreign", |b| {
        b.iter(|| read_layer(&foreign, length));
    });
    group.bench_function("unpack own", |b| b.iter(|| read_layer(&own, length)));
    group.bench_function("unpack zstd frame", |b| {
        b.iter(|| read_layer(&frame, length));
    });
    group.bench_function("pack all", |b| b.iter(|| write_layer(&content, None)));
    group.bench_function("pack all, zstd frame", |b| b.iter(|| write_frame(&content)));
    group.bench_function("pack with 5 % changed", |b| {
        b.iter(|| write_layer(&changed, reuse));
    });
    group.bench_function("beside: plain copy", |b| {
        b.iter(|| {
            let mut out = tempfile::tempfile().unwrap();
            io::copy(&mut Cursor::new(&content), &mut out).unwrap()
        });
    });
    group.bench_function("beside: flate2 level 6, one thread", |b| {
        b.iter(|| {
            let mut encoder = GzEncoder::new(io::sink(), flate2::Compression::new(6));
            encoder.write_all(black_box(&content)).unwrap();
            encoder.finish().unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, layers);
criterion_main!(benches);
