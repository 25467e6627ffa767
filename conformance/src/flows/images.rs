//! The images of a trace, with content.
//!
//! Those of a trace have digests and no layers. Each gets the files that are said to be in it, and what the
//! service needs to find there besides: a bundle a ClusterServiceVersion, a database rows, a package of a catalog its
//! channel. So their digests become others, and whatever names one is written anew.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use iib_bundle::Bundle;
use iib_catalog::AddOptions;
use iib_indexdb::SqliteIndex;
use iib_oci::{
    Arch, Digest, ManifestList, ManifestListEntry, Platform, PullSpec, Reference, Repository,
    SmallImage,
};
use iib_ports::{IndexDb as _, Registry as _};
use iib_testkit::memory::MemoryRegistry;
use serde_json::{Value, json};

use super::bundles::{Synthetic, package_of, without_entries};
use super::trace::{Content, Row, Simulated, Trace};

/// Digests of a trace, and those that the images have here.
#[derive(Debug, Default)]
pub(super) struct Digests(Vec<(String, String)>);

impl Digests {
    fn note(&mut self, recorded: String, here: &Digest) {
        self.0.push((recorded, here.to_string()));
    }

    /// A text with the digests that the images have here.
    pub(super) fn to_ours(&self, text: &str) -> String {
        let pairs = self.0.iter();
        pairs.fold(text.to_owned(), |text, (recorded, here)| {
            text.replace(recorded, here)
        })
    }

    /// A text as the trace would have it.
    pub(super) fn to_recorded(&self, text: &str) -> String {
        let pairs = self.0.iter();
        pairs.fold(text.to_owned(), |text, (recorded, here)| {
            text.replace(here, recorded)
        })
    }

    /// Notes that the image of this name was made here.
    pub(super) fn note_made(&mut self, name: &str, here: &Digest) {
        self.note(format!("sha256:<digest of {name}>"), here);
    }
}

/// Puts the images of a trace into a registry.
pub(super) async fn push_all(trace: &Trace, registry: &MemoryRegistry) -> anyhow::Result<Digests> {
    let mut digests = Digests::default();
    // What others name comes first: those are bundles.
    let (bundles, others): (Vec<_>, Vec<_>) = trace
        .images
        .iter()
        .partition(|(_, image)| image.version.is_some());
    for (name, image) in bundles.into_iter().chain(others) {
        let spec: PullSpec = name.parse()?;
        push(trace, &spec, image, registry, &mut digests)
            .await
            .with_context(|| format!("{name} cannot be made"))?;
    }
    Ok(digests)
}

async fn push(
    trace: &Trace,
    spec: &PullSpec,
    image: &Simulated,
    registry: &MemoryRegistry,
    digests: &mut Digests,
) -> anyhow::Result<()> {
    let repository = spec.repository();
    let recorded = Digest::of(image.raw.as_bytes()).to_string();
    let document: Value = serde_json::from_str(&image.raw)?;
    let files = files(trace, image, &recorded, digests)?;
    let Some(entries) = document.get("manifests").and_then(Value::as_array) else {
        let made = SmallImage::new(&Arch::amd64(), &files, image.labels.clone())?;
        push_image(registry, repository, spec.reference(), &made).await?;
        digests.note(recorded, &made.manifest.digest());
        return Ok(());
    };
    let mut list = Vec::new();
    for entry in entries {
        let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str);
        let arch = text("/platform/architecture").context("an entry without an architecture")?;
        let arch: Arch = arch.parse()?;
        let made = SmallImage::new(&arch, &files, image.labels.clone())?;
        let digest = made.manifest.digest();
        let recorded = text("/digest").context("an entry without a digest")?;
        digests.note(recorded.to_owned(), &digest);
        push_image(registry, repository, &Reference::Digest(digest), &made).await?;
        list.push(ManifestListEntry {
            descriptor: made.descriptor(),
            platform: Some(Platform::linux(&arch)),
            artifact_type: None,
        });
    }
    let list = ManifestList::docker(list).to_raw()?;
    let reference = spec.reference();
    registry.push_manifest(repository, reference, &list).await?;
    digests.note(recorded, &list.digest());
    Ok(())
}

/// The files of an image: those that are said to be in it, or what a bundle of its labels has.
fn files(
    trace: &Trace,
    image: &Simulated,
    recorded: &str,
    digests: &Digests,
) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let bundle = image.version.as_deref();
    let bundle =
        bundle.map(|version| Synthetic::of(trace, recorded, package_of(&image.labels), version));
    let mut files = bundle.map_or_else(BTreeMap::new, |bundle| bundle.image_files());
    let mut given = image.files.keys();
    if given.any(|path| path.starts_with("/manifests/")) {
        // A bundle has one ClusterServiceVersion.
        files.retain(|path, _| !path.starts_with("manifests/"));
    }
    for (path, content) in &image.files {
        let path = path.trim_start_matches('/');
        let content = match content {
            Content::Text(text) => catalog(path, &digests.to_ours(text))?.into_bytes(),
            Content::Database(rows) => database(rows, without_entries(trace), digests)?,
        };
        files.insert(path.to_owned(), content);
    }
    if files.is_empty() {
        files.insert("bin/opm".to_owned(), b"no program".to_vec());
    }
    Ok(files)
}

async fn push_image(
    registry: &MemoryRegistry,
    repository: &Repository,
    reference: &Reference,
    image: &SmallImage,
) -> anyhow::Result<()> {
    for (_, bytes) in &image.blobs {
        registry.put_blob(repository, bytes.clone());
    }
    registry
        .push_manifest(repository, reference, &image.manifest)
        .await?;
    Ok(())
}

/// A database with these bundles. Of those of a package, each replaces the one before. One package may be in no
/// channel.
fn database(
    rows: &[Row],
    without_entries: Option<&str>,
    digests: &Digests,
) -> anyhow::Result<Vec<u8>> {
    let mut heads: BTreeMap<&str, &str> = BTreeMap::new();
    let mut bundles = Vec::new();
    for row in rows {
        let mut bundle = Synthetic::new(&row.package_name, &row.version);
        if bundle.name != row.csv_name {
            bail!("{} is no usual name of a bundle", row.csv_name);
        }
        let before = heads.insert(&row.package_name, &row.csv_name);
        bundle.replaces = before.map(str::to_owned);
        let image = digests.to_ours(&row.bundle_path);
        bundles.push(Bundle::read(&image, &bundle.files())?);
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("index.db");
    SqliteIndex.add(&file, &bundles, &AddOptions::default())?;
    if let Some(package) = without_entries {
        let connection = rusqlite::Connection::open(&file)?;
        connection.execute(
            "DELETE FROM channel_entry WHERE package_name = ?1",
            [package],
        )?;
    }
    Ok(std::fs::read(&file)?)
}

/// The text of a file of a catalog, in which each package has a channel: in those of a trace none has, and none
/// could be served. Texts of other files stay as they are.
fn catalog(path: &str, text: &str) -> anyhow::Result<String> {
    const CHANNEL: &str = "stable";
    if !path.starts_with("configs/") {
        return Ok(text.to_owned());
    }
    let mut blobs: Vec<Value> = serde_json::Deserializer::from_str(text)
        .into_iter()
        .collect::<Result<_, _>>()?;
    let of = |blob: &Value, schema: &str| {
        (blob["schema"] == schema).then(|| blob["name"].as_str().unwrap_or_default().to_owned())
    };
    let packages: Vec<String> = blobs
        .iter()
        .filter_map(|blob| of(blob, "olm.package"))
        .collect();
    for package in packages {
        let mut entries: Vec<Value> = Vec::new();
        for blob in blobs.iter_mut() {
            if of(blob, "olm.package").as_ref() == Some(&package) {
                blob["defaultChannel"] = CHANNEL.into();
            }
            if blob["package"] == package
                && let Some(name) = of(blob, "olm.bundle")
            {
                let before = entries.last().map(|entry| entry["name"].clone());
                entries.push(match before {
                    Some(before) => json!({"name": name, "replaces": before}),
                    None => json!({"name": name}),
                });
            }
        }
        blobs.push(json!({
            "schema": "olm.channel", "package": package, "name": CHANNEL, "entries": entries,
        }));
    }
    Ok(blobs.iter().map(|blob| format!("{blob}\n")).collect())
}
