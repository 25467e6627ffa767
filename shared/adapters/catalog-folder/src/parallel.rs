//! Work on files and packages each by itself, on several threads.

use std::sync::LazyLock;
use std::thread;

use rayon::iter::{
    IndexedParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _,
};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Each has a package in memory, or a file of YAML, so there are few, whatever the machine has.
const THREADS: usize = 4;

/// None if the system gives no threads.
static POOL: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let pool = ThreadPoolBuilder::new().num_threads(cores.min(THREADS));
    pool.thread_name(|number| format!("catalog-{number}"))
        .build()
        .ok()
});

/// What `work` makes of each item, in their order.
///
/// # Errors
/// That of the first item which has one.
pub(crate) fn each<I: Sync, O: Send, E: Send>(
    items: &[I],
    work: impl Fn(&I) -> Result<O, E> + Send + Sync,
) -> Result<Vec<O>, E> {
    let Some(pool) = &*POOL else {
        return items.iter().map(work).collect();
    };
    let done: Vec<Result<O, E>> =
        pool.install(|| items.par_iter().with_max_len(1).map(work).collect());
    done.into_iter().collect()
}
