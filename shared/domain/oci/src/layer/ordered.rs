//! Work on all cores, with results in the order of the input and a bound on what is under way.

use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// How many threads compress or decompress. The bytes that come out do not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads(NonZeroUsize);

impl Threads {
    /// This many.
    pub fn new(count: NonZeroUsize) -> Self {
        Self(count)
    }

    /// One for each core that this process may use.
    pub fn available() -> Self {
        Self(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// The number.
    pub fn get(self) -> usize {
        self.0.get()
    }
}

/// The results, in the order in which the input came.
pub(super) struct Results<O, E>(Receiver<Receiver<Result<O, E>>>);

impl<O, E> Results<O, E> {
    /// The next result; `None` when all are taken.
    pub(super) fn next(&mut self) -> Option<Result<O, E>> {
        self.0.recv().ok()?.recv().ok()
    }
}

/// Runs `produce` on one thread, a worker on each of `threads`, and `consume` on this one.
///
/// At most two items per thread and two more are under way, so a slow consumer stops the
/// producer instead of filling memory. An error of the producer comes as the last result.
/// When `consume` returns early, the producer is stopped at its next item.
pub(super) fn in_order<I, O, E, W, T>(
    threads: Threads,
    mut produce: impl FnMut() -> Result<Option<I>, E> + Send,
    new_worker: impl Fn() -> W + Sync,
    consume: impl FnOnce(&mut Results<O, E>) -> T,
) -> T
where
    I: Send,
    O: Send,
    E: Send,
    W: FnMut(I) -> Result<O, E>,
{
    type Job<I, O, E> = (I, Sender<Result<O, E>>);
    let bound = threads.get() * 2;
    let (jobs, queue) = sync_channel::<Job<I, O, E>>(bound);
    let (order, results) = sync_channel(bound);
    let queue = Mutex::new(queue);
    let (queue, new_worker) = (&queue, &new_worker);
    thread::scope(|scope| {
        scope.spawn(move || {
            loop {
                let (reply, result) = channel();
                let going_on = match produce() {
                    Ok(Some(item)) => {
                        order.send(result).is_ok() && jobs.send((item, reply)).is_ok()
                    }
                    Ok(None) => false,
                    Err(error) => {
                        // Nobody to tell: the consumer has left for another reason.
                        let _ = order
                            .send(result)
                            .is_ok_and(|()| reply.send(Err(error)).is_ok());
                        false
                    }
                };
                if !going_on {
                    break;
                }
            }
        });
        for _ in 0..threads.get() {
            scope.spawn(move || {
                let mut work = new_worker();
                loop {
                    let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((item, reply)) = job else { break };
                    if reply.send(work(item)).is_err() {
                        // The consumer has left; the producer will notice by itself.
                        continue;
                    }
                }
            });
        }
        let mut results = Results(results);
        consume(&mut results)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn threads(count: usize) -> Threads {
        Threads::new(NonZeroUsize::new(count).unwrap())
    }

    fn counting(end: usize) -> impl FnMut() -> Result<Option<usize>, &'static str> {
        let mut next = 0;
        move || {
            next += 1;
            Ok((next <= end).then_some(next))
        }
    }

    #[test]
    fn results_come_in_the_order_of_the_input() {
        for count in [1, 2, 7] {
            let all = in_order(
                threads(count),
                counting(100),
                || |n| Ok(n * 2),
                |results| std::iter::from_fn(|| results.next()).collect::<Result<Vec<_>, _>>(),
            );
            assert_eq!(all.unwrap(), (1..=100).map(|n| n * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_error_of_the_producer_comes_last() {
        let mut produce = counting(3);
        let all = in_order(
            threads(2),
            || produce()?.map_or(Err("cut"), |n| Ok(Some(n))),
            || Ok,
            |results| std::iter::from_fn(|| results.next()).collect::<Vec<_>>(),
        );
        assert_eq!(all, [Ok(1), Ok(2), Ok(3), Err("cut")]);
    }

    #[test]
    fn a_consumer_that_leaves_stops_an_endless_producer() {
        let produced = AtomicUsize::new(0);
        let first = in_order(
            threads(2),
            || Ok::<_, ()>(Some(produced.fetch_add(1, Ordering::Relaxed))),
            || Ok,
            Results::next,
        );
        assert_eq!(first, Some(Ok(0)));
        assert!(produced.load(Ordering::Relaxed) > 0);
    }

    #[test]
    fn a_slow_consumer_bounds_what_is_under_way() {
        let produced = AtomicUsize::new(0);
        in_order(
            threads(1),
            || {
                let made = produced.fetch_add(1, Ordering::SeqCst);
                Ok::<_, ()>((made < 50).then_some(made))
            },
            || Ok,
            |results| {
                let mut taken = 0;
                while results.next().is_some() {
                    taken += 1;
                    // Two wait, one is being handed over, one is being made.
                    assert!(produced.load(Ordering::SeqCst) <= taken + 4);
                }
            },
        );
    }
}
