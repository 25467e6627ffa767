//! Listing requests.

use std::collections::BTreeSet;

use iib_ports::{Listing, Older, OlderQuery, Page, PageQuery, StoreError};
use iib_request::{Cursor, Filters, Operators, Record, Refusal, State, Window};

use super::{IntakeDeps, IntakeError};

/// Reads the page of the requests that the filters hold for, newest first. A page past the end is
/// empty. The window comes as it was read, because what is wrong with it is told after what is wrong
/// with the filters (spec rest-api §7).
///
/// # Errors
/// [`IntakeError::Refused`] and [`IntakeError::Store`].
pub async fn list(
    listing: &dyn Listing,
    filters: Filters,
    window: Result<Window, Refusal>,
) -> Result<(Window, Page), IntakeError> {
    check_sought(listing, &filters).await?;
    let window = window?;
    let query = PageQuery {
        filters,
        page: window.page.into(),
        per_page: window.per_page,
    };
    Ok((window, listing.page(&query).await?))
}

/// Reads the requests that the filters hold for from a cursor on, newest first.
///
/// # Errors
/// As [`list`].
pub async fn older(
    listing: &dyn Listing,
    filters: Filters,
    window: &Window,
    cursor: Cursor,
) -> Result<Older, IntakeError> {
    check_sought(listing, &filters).await?;
    let query = OlderQuery {
        filters,
        before: cursor.before,
        limit: window.per_page,
    };
    Ok(listing.older(&query).await?)
}

/// Refuses filters by images that nobody has used.
async fn check_sought(listing: &dyn Listing, filters: &Filters) -> Result<(), IntakeError> {
    for (sought, unseen) in filters.sought() {
        if !listing.is_seen(sought).await? {
            return Err(unseen.into());
        }
    }
    Ok(())
}

/// The operators of the bundles that these requests show, as they are recorded for all requests.
///
/// # Errors
/// [`StoreError`].
pub async fn operators_of(
    deps: &IntakeDeps,
    records: impl IntoIterator<Item = &Record>,
) -> Result<Operators, StoreError> {
    let bundles = records
        .into_iter()
        .flat_map(|record| record.request.bundles());
    let bundles: BTreeSet<&str> = bundles.map(String::as_str).collect();
    match bundles.is_empty() {
        true => Ok(Operators::new()),
        false => deps.operators.of(&bundles).await,
    }
}

/// Refuses requests of a user who would have more that go on than the settings allow. Calls at the same
/// time may come to somewhat more.
///
/// # Errors
/// [`IntakeError::TooManyLive`] and [`IntakeError::Store`].
pub async fn check_live(
    deps: &IntakeDeps,
    listing: &dyn Listing,
    user: Option<&str>,
    more: u64,
) -> Result<(), IntakeError> {
    let limit = deps.api.max_live_requests;
    let Some(user) = user.filter(|_| limit > 0) else {
        return Ok(());
    };
    let query = |dry_runs| PageQuery {
        filters: Filters {
            state: Some(State::InProgress),
            user: Some(user.to_owned()),
            dry_runs,
            ..Filters::default()
        },
        page: 1,
        per_page: 1,
    };
    let (live, dry_runs) = (query(false), query(true));
    let (live, dry_runs) = futures::try_join!(listing.page(&live), listing.page(&dry_runs))?;
    let live = live.total.saturating_add(dry_runs.total);
    match live.saturating_add(more) > u64::from(limit) {
        true => Err(IntakeError::TooManyLive {
            user: user.to_owned(),
            live,
            limit,
        }),
        false => Ok(()),
    }
}
