//! Every operation of the index engine on an index of N made-up bundles (N from ENGINE_BUNDLES, 2 000
//! unless told), each beside the plain movement of the same bytes. A database can be given instead
//! with ENGINE_DATABASE, for figures on a real index.
#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot start has nothing to measure"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "criterion's own arguments leave no room for others"
)]

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use iib_bundle::Bundle;
use iib_catalog::{AddOptions, DeprecateOptions, Missing};
use iib_catalog_folder::{CatalogFolder, FolderWriter, write_cache};
use iib_fbc::{BundleForm, Catalog, ServeForm, write_blob};
use iib_indexdb::generate::Recipe;
use iib_indexdb::{ExportError, SqliteIndex};
use iib_ports::IndexDb as _;

const PER_PACKAGE: usize = 17;

fn bundle(number: usize) -> Bundle {
    let recipe = Recipe::numbered(number, PER_PACKAGE);
    Bundle::read(&recipe.image(), &recipe.files()).unwrap()
}

fn index(folder: &Path) -> PathBuf {
    let full = folder.join("full.db");
    if let Ok(given) = std::env::var("ENGINE_DATABASE") {
        fs::copy(given, &full).unwrap();
        return full;
    }
    let count = std::env::var("ENGINE_BUNDLES").map_or(2000, |count| count.parse().unwrap());
    for start in (0..count).step_by(100) {
        let some: Vec<Bundle> = (start..count.min(start + 100)).map(bundle).collect();
        SqliteIndex
            .add(&full, &some, &AddOptions::default())
            .unwrap();
    }
    full
}

/// The next bundle of each of this many packages, as far as they were made here and are full; for
/// a given database, one of a new package.
fn next_bundles(packages: &[String], count: usize) -> Vec<Bundle> {
    let recipe = |package| Recipe {
        package,
        version: PER_PACKAGE,
        text_bytes: 65_000,
    };
    let made = packages.iter().filter(|name| name.starts_with("made-"));
    let full = made.count().saturating_sub(1);
    let recipes = match full {
        0 => vec![Recipe::numbered(usize::MAX >> 32, PER_PACKAGE)],
        _ => (0..full).take(count).map(recipe).collect(),
    };
    let read = |recipe: &Recipe| Bundle::read(&recipe.image(), &recipe.files()).unwrap();
    recipes.iter().map(read).collect()
}

/// A megabyte of quoted texts that go on no deeper than their key, as scripts that change the
/// indentation of a CRD leave them.
fn quoted_texts() -> String {
    let text = |number: usize| {
        let (pad, words) = (
            " ".repeat(number % 3),
            "the lamp of this room burns ".repeat(2),
        );
        format!("lamps{number}:\n{pad} lamp: 'It''s lit: {words}\n{pad} {words}\n{pad} {words}'\n")
    };
    (0..6000).map(text).collect()
}

fn texts(criterion: &mut Criterion) {
    let quoted = quoted_texts();
    assert!(quoted.len() > 1_000_000);
    let mut group = criterion.benchmark_group("yaml");
    group.sample_size(10);
    group.bench_function("6000 quoted texts", |bencher| {
        bencher.iter(|| iib_bundle::parse_yaml(&quoted).unwrap());
    });
    group.finish();
}

/// A copy on disk: what a change costs at least.
fn copied(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
    File::open(to).unwrap().sync_all().unwrap();
}

fn databases(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let full = index(folder.path());
    let copy = folder.path().join("copy.db");
    let shape = SqliteIndex.shape(&full).unwrap();
    let packages: Vec<String> = shape.packages.keys().cloned().collect();
    let bundles = SqliteIndex.bundles(&full).unwrap();
    let last = packages.last().unwrap();
    let of_last = bundles.iter().filter(|bundle| bundle.package == *last);
    let heads: Vec<_> = shape.packages[last].channels.values().flatten().collect();
    let below = of_last
        .clone()
        .find(|bundle| !heads.contains(&&bundle.name));
    let below = below.map(|bundle| bundle.image.clone());

    let mut group = criterion.benchmark_group("index database");
    group.sample_size(10);
    group.bench_function("copy with fsync", |bencher| {
        bencher.iter(|| copied(&full, &copy));
    });
    let mut change = |name: &str, change: &dyn Fn(&Path)| {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || copied(&full, &copy),
                |()| {
                    change(&copy);
                    File::open(&copy).unwrap().sync_all().unwrap();
                },
                BatchSize::PerIteration,
            );
        });
    };
    for count in [1, 10, 100] {
        let new = next_bundles(&packages, count);
        if new.len() < count {
            continue;
        }
        let name = format!("add a bundle to each of {count} packages");
        change(&name, &|db| {
            SqliteIndex.add(db, &new, &AddOptions::default()).unwrap();
        });
    }
    change("rm 1 package", &|db| {
        let package = std::slice::from_ref(last);
        SqliteIndex.remove(db, package, Missing::Refuse).unwrap();
    });
    if let Some(below) = &below {
        change("deprecate 1 bundle", &|db| {
            let image = std::slice::from_ref(below);
            SqliteIndex
                .deprecate(db, image, &DeprecateOptions::default())
                .unwrap();
        });
    }
    change("prune to 10 packages", &|db| {
        let keep: Vec<String> = packages.iter().take(10).cloned().collect();
        SqliteIndex.prune(db, &keep, Missing::Refuse).unwrap();
    });
    change("prune stranded", &|db| {
        SqliteIndex.prune_stranded(db).unwrap();
    });
    group.finish();
}

fn catalogs(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let full = index(folder.path());
    let (catalog, again) = (folder.path().join("catalog"), folder.path().join("again"));
    migrate(&full, &catalog);
    let (cache, serde) = (folder.path().join("cache"), folder.path().join("serde"));
    write_cache(&catalog, &cache, ServeForm::Opm126).unwrap();

    let mut group = criterion.benchmark_group("catalog");
    group.sample_size(10);
    let mut anew = |name: &str, gone: &Path, work: &dyn Fn()| {
        group.bench_function(name, |bencher| {
            let gone = || {
                let _ = fs::remove_dir_all(gone);
            };
            bencher.iter_batched(gone, |()| work(), BatchSize::PerIteration);
        });
    };
    anew("read and write the same JSON with serde", &serde, &|| {
        through_serde(&catalog, &serde);
    });
    anew("migrate", &again, &|| migrate(&full, &again));
    anew("render the database", &again, &|| {
        let render = |_: &str, catalog: Catalog| -> Result<(), ExportError> {
            write_all(&catalog);
            Ok(())
        };
        SqliteIndex
            .export(&full, BundleForm::Objects, render)
            .unwrap();
    });
    anew("render the catalog", &again, &|| {
        let folder = CatalogFolder::open(&catalog).unwrap();
        for name in folder.packages() {
            write_all(&folder.package(name).unwrap());
        }
    });
    anew("validate", &again, &|| {
        assert!(CatalogFolder::open(&catalog).unwrap().check().is_clean());
    });
    anew(
        "read and write the JSON of the cache with serde",
        &serde,
        &|| {
            through_serde(&cache.join("cache"), &serde);
        },
    );
    let cache_again = folder.path().join("cache again");
    anew("serve cache", &cache_again, &|| {
        write_cache(&catalog, &cache_again, ServeForm::Opm126).unwrap();
    });
    group.finish();
}

fn migrate(index: &Path, to: &Path) {
    let mut writer = FolderWriter::new(to).unwrap();
    let write = |name: &str, catalog: Catalog| -> Result<(), ExportError> {
        writer.package(name, &catalog).unwrap();
        Ok(())
    };
    SqliteIndex
        .export(index, BundleForm::Objects, write)
        .unwrap();
    writer.finish().unwrap();
}

fn write_all(catalog: &Catalog) {
    for blob in catalog.blobs() {
        write_blob(blob, &mut io::sink()).unwrap();
    }
}

/// The same values from files to files.
fn through_serde(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(target).unwrap();
            continue;
        }
        let text = fs::read(entry.path()).unwrap();
        let mut out = BufWriter::new(File::create(target).unwrap());
        for value in serde_json::Deserializer::from_slice(&text).into_iter::<serde_json::Value>() {
            serde_json::to_writer_pretty(&mut out, &value.unwrap()).unwrap();
        }
        out.flush().unwrap();
    }
}

criterion_group!(benches, texts, databases, catalogs);
criterion_main!(benches);
