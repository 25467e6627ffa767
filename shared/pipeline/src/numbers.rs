//! Which numbers a service that has no requests yet may count from.
//!
//! The number of a request is the tag of its result. A second service that pushes to the same repository, or
//! one whose data folder is new, would begin with numbers that are taken there.

use iib_ports::{Listing, PageQuery, Registry, StoreError};
use iib_request::{Filters, WorkSettings};

use crate::output::output;
use crate::{ImageError, StageError};

/// Whether no request has been made yet.
///
/// # Errors
/// [`StoreError`].
pub async fn is_first(listing: &dyn Listing) -> Result<bool, StoreError> {
    let query = PageQuery {
        filters: Filters::default(),
        page: 1,
        per_page: 1,
    };
    Ok(listing.page(&query).await?.total == 0)
}

/// How often the distance from the first number is doubled: far beyond what any service has counted to.
const DOUBLINGS: u32 = 40;

/// A number, `first` or above, that is no tag among the results while the number before it is one; none where
/// everything seems to be taken. Numbers are taken for a row without holes, so a few tags are looked at and
/// not all: a later number may be taken nevertheless, and the request that gets it fails then.
///
/// # Errors
/// [`ImageError::Inspect`]; [`crate::WorkError::OutputName`].
pub async fn first_free(
    registry: &dyn Registry,
    work: &WorkSettings,
    first: u64,
) -> Result<Option<u64>, StageError> {
    search(first, async |number| is_taken(registry, work, number).await).await
}

async fn search<E>(
    first: u64,
    is_taken: impl AsyncFn(u64) -> Result<bool, E>,
) -> Result<Option<u64>, E> {
    if !is_taken(first).await? {
        return Ok(Some(first));
    }
    let mut taken = first;
    let mut free = None;
    for doubling in 0..DOUBLINGS {
        let next = taken.saturating_add(1 << doubling);
        if !is_taken(next).await? {
            free = Some(next);
            break;
        }
        taken = next;
    }
    let Some(mut free) = free else {
        return Ok(None);
    };
    while free - taken > 1 {
        let middle = taken + (free - taken) / 2;
        match is_taken(middle).await? {
            true => taken = middle,
            false => free = middle,
        }
    }
    Ok(Some(free))
}

async fn is_taken(
    registry: &dyn Registry,
    work: &WorkSettings,
    number: u64,
) -> Result<bool, StageError> {
    let name = output(work, &number.to_string())?;
    let tag = name.reference().to_string();
    let found = registry.tagged(name.repository(), &tag).await;
    let found = found.map_err(|source| ImageError::Inspect {
        image: name.to_string(),
        source,
    })?;
    Ok(found.is_some())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use super::*;

    /// What is found where the numbers up to one are taken, and how many were looked at.
    async fn found(first: u64, taken: u64) -> (Option<u64>, u32) {
        let looked = Cell::new(0);
        let is_taken = async |number: u64| {
            looked.set(looked.get() + 1);
            Ok::<_, Infallible>(number <= taken)
        };
        let Ok(found) = search(first, is_taken).await;
        (found, looked.get())
    }

    #[tokio::test]
    async fn a_few_looks_find_the_first_free_number() {
        for first in [1, 2, 1000] {
            for taken in [0, 1, 2, 3, 7, 20, 1000, 1001, 2047] {
                let (free, _) = found(first, taken).await;
                assert_eq!(free, Some(first.max(taken + 1)), "{first} {taken}");
            }
        }
        let (free, looks) = found(1, 1_000_000).await;
        assert_eq!(free, Some(1_000_001));
        assert!(looks <= 40, "{looks}");
    }

    #[tokio::test]
    async fn where_everything_is_taken_the_search_ends() {
        assert_eq!(found(1, u64::MAX).await.0, None);
    }
}
