//! Adding one bundle to an index of N made-up ones.
#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot start has nothing to measure"
)]

use std::fs;
use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use iib_bundle::Bundle;
use iib_catalog::AddOptions;
use iib_indexdb::SqliteIndex;
use iib_indexdb::generate::Recipe;
use iib_ports::IndexDb as _;

const PER_PACKAGE: usize = 17;

fn bundle(number: usize) -> Bundle {
    let recipe = Recipe::numbered(number, PER_PACKAGE);
    Bundle::read(&recipe.image(), &recipe.files()).unwrap()
}

fn add_one(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let options = AddOptions::default();
    let mut group = criterion.benchmark_group("add one bundle");
    group.sample_size(10);
    for count in [50, 500, 2000] {
        let full = folder.path().join(format!("{count}.db"));
        for start in (0..count).step_by(100) {
            let some: Vec<Bundle> = (start..count.min(start + 100)).map(bundle).collect();
            SqliteIndex.add(&full, &some, &options).unwrap();
        }
        let new = bundle(count);
        let copy = folder.path().join("copy.db");
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter_batched(
                || fs::copy(&full, &copy).unwrap(),
                |_| {
                    SqliteIndex
                        .add(&copy, black_box(std::slice::from_ref(&new)), &options)
                        .unwrap()
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn read(criterion: &mut Criterion) {
    let recipe = Recipe::numbered(1, PER_PACKAGE);
    let files = recipe.files();
    criterion.bench_function("read a bundle", |bencher| {
        bencher.iter(|| Bundle::read(&recipe.image(), black_box(&files)).unwrap());
    });
}

criterion_group!(benches, add_one, read);
criterion_main!(benches);
