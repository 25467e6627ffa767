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

use std::convert::Infallible;
use std::fs::{self, File};
use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use iib_bundle::Bundle;
use iib_catalog::{AddOptions, DeprecateOptions, Missing};
use iib_catalog_folder::{FolderWriter, read_folder, write_cache};
use iib_fbc::{check, to_text};
use iib_indexdb::SqliteIndex;
use iib_indexdb::generate::Recipe;
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
    let new = Bundle::read(
        "registry.invalid/new@sha256:1",
        &Recipe::numbered(usize::MAX >> 32, PER_PACKAGE).files(),
    )
    .unwrap();
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
    change("add 1 bundle", &|db| {
        let new = std::slice::from_ref(&new);
        SqliteIndex.add(db, new, &AddOptions::default()).unwrap();
    });
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
    let catalog = folder.path().join("catalog");
    let migrate = |to: &Path| {
        let _ = fs::remove_dir_all(to);
        let mut writer = FolderWriter::new(to).unwrap();
        SqliteIndex
            .export(&full, |name, catalog| writer.package(name, &catalog))
            .unwrap();
        writer.finish().unwrap();
    };
    migrate(&catalog);
    let texts: Vec<Vec<u8>> = files(&catalog);

    let mut group = criterion.benchmark_group("catalog");
    group.sample_size(10);
    group.bench_function("read and write the same JSON with serde", |bencher| {
        bencher.iter(|| {
            for text in &texts {
                let values = serde_json::Deserializer::from_slice(text);
                for value in values.into_iter::<serde_json::Value>() {
                    black_box(serde_json::to_vec_pretty(&value.unwrap()).unwrap());
                }
            }
        });
    });
    group.bench_function("migrate", |bencher| {
        bencher.iter(|| migrate(&folder.path().join("again")));
    });
    group.bench_function("render the database", |bencher| {
        bencher.iter(|| {
            SqliteIndex
                .export(&full, |_, catalog| {
                    for blob in catalog.blobs() {
                        black_box(to_text(blob).unwrap());
                    }
                    Ok::<_, Infallible>(())
                })
                .unwrap();
        });
    });
    group.bench_function("render the catalog", |bencher| {
        bencher.iter(|| {
            for blob in read_folder(&catalog).unwrap().blobs() {
                black_box(to_text(blob).unwrap());
            }
        });
    });
    group.bench_function("validate", |bencher| {
        bencher.iter(|| assert!(check(&read_folder(&catalog).unwrap()).is_clean()));
    });
    let cache = folder.path().join("cache");
    group.bench_function("serve cache", |bencher| {
        bencher.iter(|| {
            let _ = fs::remove_dir_all(&cache);
            write_cache(&catalog, &cache).unwrap()
        });
    });
    group.finish();
}

fn files(root: &Path) -> Vec<Vec<u8>> {
    let packages = fs::read_dir(root).unwrap();
    packages
        .map(|package| fs::read(package.unwrap().path().join("catalog.json")).unwrap())
        .collect()
}

criterion_group!(benches, databases, catalogs);
criterion_main!(benches);
