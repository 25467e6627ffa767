//! What is done with an input that stands for something a registry sends, or for its name.

use std::io;
use std::num::NonZeroUsize;

use iib_oci::layer::{
    BundleLimits, BundleTree, EntryPath, Extracted, FolderTree, LayerDigests, LayerError,
    LayerReader, PackEntry, Part, Rest, Threads, Unpacked, extract_file, pack, unpack,
};
use iib_oci::{Arch, Digest, ImageConfig, MediaType, Pinned, PullSpec, RawManifest, Repository};

/// The very module of the client, which nobody outside of it needs otherwise.
#[path = "../../shared/adapters/registry/src/auth/challenge.rs"]
mod challenge;

/// Most bytes of a layer: little, so that none keeps us busy.
const LIMIT: u64 = 4 * 1024 * 1024;

const DATABASE: &str = "database/index.db";

/// A layer of whatever form. It is read or refused, and all ways to read it find the same.
pub fn layer(data: &[u8]) {
    let mut bundle = BundleTree::new(BundleLimits {
        file_size: 4096,
        total_size: 16 * 1024,
        files: 20,
    });
    let bundle = read(data, |layer| bundle.apply(layer));
    let mut folder = FolderTree::new(
        vec![Part::Folder(path("configs")), Part::File(path(DATABASE))],
        20,
    );
    let folder = read(data, |layer| {
        folder.apply(layer, |_, _| Ok::<_, io::Error>(io::sink()))
    });
    let mut file = Vec::new();
    let extracted = read(data, |layer| {
        extract_file(layer, &path(DATABASE), &mut file, Rest::Check)
    });
    let all = [
        bundle.ok().map(|(_, digests)| digests),
        folder.ok().map(|(_, digests)| digests),
        extracted.as_ref().ok().map(|(_, digests)| digests.clone()),
    ];
    for digests in all.into_iter().flatten() {
        assert_eq!(digests.digest, Digest::of(data), "the digest of what came");
        assert_eq!(digests.size, data.len() as u64);
    }
    // A damaged layer of our own form may be sound gzip to others.
    if let Ok((unpacked, content)) = unpacked(data) {
        let (extracted, digests) = extracted.expect("what can be unpacked can be read");
        assert_eq!(unpacked.file, extracted);
        assert_eq!(unpacked.digests, digests);
        assert!(content == file, "both give the same file");
    }
}

/// A layer of our own form, of a file with the content behind the first six bytes, as often as the sixth
/// says; a byte of it is changed. It is refused, or the file is what it was, or it is of our form no more.
pub fn own_layer(data: &[u8]) {
    let Some((damage, content)) = data.split_at_checked(6) else {
        return;
    };
    let content = content.repeat(1 + usize::from(damage[5]));
    let mut source = &*content;
    let size = content.len() as u64;
    let mut entries = [
        PackEntry::directory(path("database")),
        PackEntry::file(path(DATABASE), size, &mut source),
    ];
    let mut layer = Vec::new();
    pack(&mut entries, None, threads(), &mut layer).expect("what is in memory can be packed");
    let place = u32::from_le_bytes([damage[0], damage[1], damage[2], damage[3]]);
    let place = place as usize % layer.len();
    layer[place] ^= damage[4];
    match unpacked(&layer) {
        // Damaged where it begins, it may be of another form.
        Ok((unpacked, _)) if unpacked.pieces.is_none() => assert!(damage[4] != 0),
        Ok((unpacked, read)) => {
            assert_eq!(unpacked.file, Extracted::Found { size });
            assert!(read == content, "a damaged layer is read as another file");
        }
        Err(error) => {
            assert!(damage[4] != 0, "what we wrote is refused: {error}");
            let _ = error.to_string();
        }
    }
}

/// The type a registry names, a line end, and a manifest or list. What can be read is written and read
/// again as the same.
pub fn manifest(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let media_type = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let raw = RawManifest {
        media_type: MediaType::new(&media_type),
        bytes: parts.next().unwrap_or_default().to_vec(),
    };
    if let Ok(config) = ImageConfig::read(&raw.bytes) {
        let written = config.to_bytes().expect("a configuration can be written");
        // Not the same: numbers beyond 64 bits are rounded.
        ImageConfig::read(&written).expect("what was written can be read");
    }
    let read = match raw.read() {
        Ok(read) => read,
        Err(error) => {
            let _ = error.to_string();
            return;
        }
    };
    let written = match &read {
        iib_oci::Resolved::Image(image) => image.to_raw(),
        iib_oci::Resolved::List(list) => {
            let _ = list.entry_for("amd64");
            list.to_raw()
        }
    };
    let written = written.expect("a manifest can be written");
    assert_eq!(written.read().expect("what was written can be read"), read);
}

/// A pull spec. What is taken is shown as it was given, and its parts make the same one again.
pub fn pull_spec(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = (text.parse::<Digest>(), text.parse::<Arch>());
    let pinned = text.parse::<Pinned>();
    let Ok(spec) = text.parse::<PullSpec>() else {
        assert!(pinned.is_err(), "what is pinned is a pull spec");
        return;
    };
    assert_eq!(spec.as_str(), text);
    let repository = spec.repository();
    let again = Repository::new(repository.registry(), repository.path());
    assert_eq!(again.as_ref(), Ok(repository));
    let (sign, reference) = match spec.reference() {
        iib_oci::Reference::Tag(tag) => (':', tag.clone()),
        iib_oci::Reference::Digest(digest) => ('@', digest.to_string()),
    };
    let again: PullSpec = format!("{repository}{sign}{reference}")
        .parse()
        .expect("its parts make a pull spec");
    assert_eq!(
        (again.repository(), again.reference()),
        (repository, spec.reference())
    );
    if let Ok(pinned) = pinned {
        assert_eq!(pinned.to_string().parse::<Pinned>(), Ok(pinned));
    }
}

/// Lines of `WWW-Authenticate`. Only what can be answered is chosen.
pub fn challenge(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(challenge::Challenge::Bearer { realm, service }) =
        challenge::Challenge::choose(text.lines())
    {
        assert!(!realm.is_empty());
        assert!(service.is_none_or(|service| !service.is_empty()));
    }
}

/// Reads a layer to its end.
fn read<T>(
    data: &[u8],
    read: impl FnOnce(&mut LayerReader<&[u8]>) -> Result<T, LayerError>,
) -> Result<(T, LayerDigests), LayerError> {
    let mut layer = LayerReader::open(data, LIMIT)?;
    let value = read(&mut layer)?;
    Ok((value, layer.finish()?))
}

fn unpacked(data: &[u8]) -> Result<(Unpacked, Vec<u8>), LayerError> {
    let mut copy = tempfile::tempfile().expect("there is room for a file");
    let mut file = Vec::new();
    let unpacked = unpack(
        data,
        &mut copy,
        &path(DATABASE),
        &mut file,
        LIMIT,
        threads(),
    )?;
    Ok((unpacked, file))
}

fn path(text: &str) -> EntryPath {
    text.parse().expect("a path of ours")
}

fn threads() -> Threads {
    Threads::new(NonZeroUsize::MIN)
}
