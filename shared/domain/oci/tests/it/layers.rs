//! Layers as the tools of other people see them.

use std::fs::File;
use std::io::Seek;
use std::process::{Command, Output};

use iib_oci::Digest;
use iib_oci::layer::{
    BundleLimits, BundleTree, EntryPath, Extracted, LayerReader, PackEntry, PackedLayer, Reuse,
    Threads, Unpacked, pack, unpack,
};

/// More than a piece, so that there are several.
fn database() -> Vec<u8> {
    (0..400_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn path(text: &str) -> EntryPath {
    text.parse().unwrap()
}

fn index_layer(database: &[u8], reuse: Option<Reuse<'_>>) -> (PackedLayer, File) {
    let mut source = database;
    let mut entries = [
        PackEntry::directory(path("database")),
        PackEntry::file(
            path("database/index.db"),
            database.len() as u64,
            &mut source,
        ),
    ];
    let mut layer = tempfile::tempfile().unwrap();
    let packed = pack(&mut entries, reuse, Threads::available(), &mut layer).unwrap();
    layer.rewind().unwrap();
    (packed, layer)
}

/// What a layer holds; the file is its copy afterwards.
fn unpack_index(layer: &File) -> (Unpacked, Vec<u8>, File) {
    let (mut copy, mut database) = (tempfile::tempfile().unwrap(), Vec::new());
    let (wanted, threads) = (path("database/index.db"), Threads::available());
    let unpacked = unpack(layer, &mut copy, &wanted, &mut database, 1 << 30, threads).unwrap();
    (unpacked, database, copy)
}

fn run(program: &str, arguments: &[&str], input: File) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .stdin(input)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {errors}");
    output
}

#[test]
#[ignore = "needs gzip and tar"]
fn gzip_and_tar_of_the_system_read_our_layers() {
    let database = database();
    run("gzip", &["-t"], index_layer(&database, None).1);
    let listed = run(
        "tar",
        &["-tvz", "--numeric-owner", "--full-time", "--utc"],
        index_layer(&database, None).1,
    );
    let listed = String::from_utf8(listed.stdout).unwrap();
    let lines: Vec<_> = listed.lines().collect();
    assert!(lines[0].starts_with("drwxr-xr-x 0/0"), "{listed}");
    assert!(
        lines[0].ends_with("1970-01-01 00:00:00 database/"),
        "{listed}"
    );
    assert!(lines[1].starts_with("-rw-r--r-- 0/0"), "{listed}");
    assert!(
        lines[1].ends_with("1970-01-01 00:00:00 database/index.db"),
        "{listed}"
    );
    assert_eq!(lines.len(), 2);
    let content = run(
        "tar",
        &["-xzO", "database/index.db"],
        index_layer(&database, None).1,
    );
    assert!(content.stdout == database);
}

/// `zlib.decompress` reads one gzip member and ignores what is behind it; `gzip` reads all.
#[test]
#[ignore = "needs python3"]
fn readers_that_stop_behind_the_first_member_see_the_whole_archive() {
    for program in [
        "zlib.decompress(layer, 47)",
        "zlib.decompressobj(31).decompress(layer)",
        "gzip.decompress(layer)",
    ] {
        let program = format!(
            "import gzip, sys, zlib; layer = sys.stdin.buffer.read(); \
             sys.stdout.buffer.write({program})"
        );
        let (packed, layer) = index_layer(&database(), None);
        let archive = run("python3", &["-c", &program], layer).stdout;
        assert_eq!(Digest::of(&archive), packed.diff_id, "{program}");
    }
}

#[test]
#[ignore = "needs gzip and tar"]
fn what_tar_of_the_system_writes_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let name = format!("{}.yaml", "long-name-".repeat(20));
    for (file, content) in [
        (format!("manifests/{name}"), "csv"),
        ("metadata/annotations.yaml".to_owned(), "annotations"),
    ] {
        let file = directory.path().join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
    for format in ["gnu", "posix", "ustar"] {
        let long = if format == "ustar" { "./metadata" } else { "." };
        let output = Command::new("tar")
            .args(["-cz", "--format", format, "-C"])
            .arg(directory.path())
            .arg(long)
            .output()
            .unwrap();
        assert!(output.status.success());
        let mut tree = BundleTree::new(BundleLimits::default());
        let mut reader = LayerReader::open(&output.stdout[..], 1 << 20).unwrap();
        tree.apply(&mut reader).unwrap();
        reader.finish().unwrap();
        let content = tree.finish();
        assert_eq!(
            content.metadata.unwrap()["annotations.yaml"],
            b"annotations"
        );
        if format != "ustar" {
            assert_eq!(content.manifests.unwrap()[&name], b"csv", "{format}");
        }
    }
}

/// The way of a request: unpack the input index, change the database, pack the new layer.
#[test]
fn an_index_layer_goes_through_a_change_and_takes_over_what_stayed() {
    let mut database = database();
    let (_, input) = index_layer(&database, None);
    let (unpacked, out, copy) = unpack_index(&input);
    assert!(out == database);

    let end = database.len() - 1;
    database[end] ^= 1;
    let pieces = unpacked.pieces.unwrap();
    let reuse = Reuse {
        pieces: &pieces,
        layer: &copy,
    };
    let (packed, layer) = index_layer(&database, Some(reuse));
    assert_eq!((packed.pieces, packed.pieces_reused), (3, 2));
    assert_eq!(packed, {
        let (fresh, _) = index_layer(&database, None);
        PackedLayer {
            pieces_reused: 2,
            ..fresh
        }
    });

    let (unpacked, out, _) = unpack_index(&layer);
    let size = database.len() as u64;
    assert_eq!(unpacked.file, Extracted::Found { size });
    assert!(out == database);
    assert_eq!(unpacked.digests.digest, packed.digest);
    assert_eq!(unpacked.digests.diff_id, packed.diff_id);
    assert_eq!(unpacked.digests.size, packed.size);
}
