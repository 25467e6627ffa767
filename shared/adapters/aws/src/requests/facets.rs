//! What a listing looks for, as attributes and counters of the table.
//!
//! Each request stands in an index for everything that clients filter by, and is counted under it. A
//! counter is some items of which a writer takes one by chance, because an item takes part in one
//! transaction at a time; their sum is the count. Of what is counted only the state changes.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use iib_request::{BatchId, Facets, Filters, LONGEST_IMAGE, Record, RequestId, State, kind_names};

use crate::table::{Item, as_text, number, text};

/// Items of a counter. A page of all requests reads those of three, which is one call.
pub(super) const SHARDS: u32 = 32;

/// The state under which a request is counted. Records of older versions have none.
pub(super) const COUNTED: &str = "counted";
/// Sort key of the indexes.
pub(super) const NUMBER: &str = "number";
/// Partition key of the index of those who ask for one index in one state.
const ASKED: &str = "asked";

/// The attributes by which a request is found.
pub(super) fn attributes(record: &Record) -> Item {
    let facets = record.facets();
    let place = Place::of(facets.is_dry_run);
    let mut item = Item::from([
        (NUMBER.to_owned(), number(record.id)),
        ("state".to_owned(), text(place.name(facets.state.as_str()))),
        ("kind".to_owned(), text(facets.kind)),
        ("batch".to_owned(), place.batch(facets.batch)),
        // Nobody looks for it; those who read the table's stream filter by it.
        ("updated".to_owned(), text(record.updated().to_string())),
    ]);
    // A key of an index cannot be empty.
    let named = |text: Option<&str>| Some(place.name(text.filter(|text| !text.is_empty())?));
    let optional = [
        ("user", named(facets.user)),
        ("from_index", named(facets.from_index)),
        ("index_image", facets.index_image.map(str::to_owned)),
        (ASKED, asked_by(&facets)),
    ];
    for (name, value) in optional {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            item.insert(name.to_owned(), text(value));
        }
    }
    item
}

/// Where requests stand in the indexes: dry runs apart, so that nobody who looks for others passes over them, or counts
/// them. Their keys begin with something that no name has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Others,
    DryRuns,
}

impl Place {
    pub(super) fn of(dry_runs: bool) -> Self {
        match dry_runs {
            true => Self::DryRuns,
            false => Self::Others,
        }
    }

    /// A state, a user or a pull spec; the beginning of one, too.
    pub(super) fn name(self, text: &str) -> String {
        match self {
            Self::Others => text.to_owned(),
            // As in `asked`.
            Self::DryRuns => format!("dry run\n{text}"),
        }
    }

    /// Batches have numbers from 1; dry runs stand under those below.
    pub(super) fn batch(self, BatchId(batch): BatchId) -> AttributeValue {
        match self {
            Self::Others => number(batch),
            Self::DryRuns => number(-i128::from(batch)),
        }
    }
}

fn asked_by(facets: &Facets<'_>) -> Option<String> {
    let asked = asked(facets.state, facets.user?, facets.from_index?);
    Some(Place::of(facets.is_dry_run).name(&asked))
}

/// No part of it has a line break in it: such names and pull specs are refused.
fn asked(state: State, user: &str, from_index: &str) -> String {
    format!("{state}\n{user}\n{from_index}")
}

/// Counters and by how much they change.
pub(super) type Counts = BTreeMap<String, i64>;

/// Counts a request, or takes it away, as it is in this state.
pub(super) fn count(counts: &mut Counts, record: &Record, state: State, by: i64) {
    let facets = Facets {
        state,
        ..record.facets()
    };
    let place = Place::of(facets.is_dry_run);
    let counted = [
        Some(of_state(&place.name(state.as_str()))),
        facets.user.map(|user| of_user(&place.name(user))),
        facets.from_index.map(|index| of_index(&place.name(index))),
        asked_by(&facets).map(|asked| of_asked(&asked)),
    ];
    for counter in counted.into_iter().flatten() {
        *counts.entry(counter).or_default() += by;
    }
    counts.retain(|_, by| *by != 0);
}

fn of_state(state: &str) -> String {
    format!("COUNT#state#{state}")
}

fn of_user(user: &str) -> String {
    format!("COUNT#user#{user}")
}

fn of_index(index: &str) -> String {
    format!("COUNT#from_index#{index}")
}

fn of_asked(asked: &str) -> String {
    format!("COUNT#asked#{asked}")
}

/// The state under which an item is counted.
pub(super) fn counted_state(item: &Item) -> Option<State> {
    let name = as_text(item, COUNTED)?;
    State::ALL.into_iter().find(|state| state.as_str() == name)
}

/// How the requests are found that filters hold for.
pub(super) struct Search {
    /// The index.
    pub(super) index: &'static str,
    /// Its partition key.
    pub(super) attribute: &'static str,
    /// The partitions that are looked into.
    pub(super) keys: Vec<AttributeValue>,
    /// What is looked at in what is found there.
    pub(super) rest: Filters,
    /// The counters that tell how many there are; without any they have to be counted.
    pub(super) counters: Vec<String>,
    /// Only those with lower numbers.
    pub(super) before: Option<RequestId>,
}

impl Search {
    /// The way that looks at the fewest requests; `None` if none can be found.
    pub(super) fn of(filters: &Filters) -> Option<Self> {
        if filters
            .kind
            .is_some_and(|kind| !kind_names().any(|name| name == kind))
        {
            return None;
        }
        let mut rest = filters.clone();
        // An index cannot be filtered by its own key.
        if let (Some(from), Some(prefix)) = (&filters.from_index, &filters.from_index_prefix) {
            if !from.starts_with(prefix.as_str()) {
                return None;
            }
            rest.from_index_prefix = None;
        }
        let texts = [&filters.user, &filters.from_index, &filters.index_image];
        // No request has a longer one, and keys of a table are bounded.
        if texts
            .into_iter()
            .flatten()
            .any(|text| text.len() > LONGEST_IMAGE)
        {
            return None;
        }
        let place = Place::of(filters.dry_runs);
        let (index, attribute, keys, counters) = if let Some(batch) = rest.batch.take() {
            ("by_batch", "batch", vec![place.batch(batch)], Vec::new())
        } else if let (Some(state), Some(user), Some(from)) =
            (&filters.state, &filters.user, &filters.from_index)
        {
            rest.state = None;
            rest.user = None;
            rest.from_index = None;
            let asked = place.name(&asked(*state, user, from));
            let counters = vec![of_asked(&asked)];
            ("by_asked", ASKED, vec![text(asked)], counters)
        } else if filters.state == Some(State::InProgress) {
            // Those that go on are few, whoever asked.
            rest.state = None;
            let state = place.name(State::InProgress.as_str());
            let counters = vec![of_state(&state)];
            let keys = vec![text(state)];
            ("by_state", "state", keys, counters)
        } else if let Some(from) = rest.from_index.take() {
            let from = place.name(&from);
            let counters = vec![of_index(&from)];
            ("by_from_index", "from_index", vec![text(from)], counters)
        } else if let Some(user) = rest.user.take() {
            let user = place.name(&user);
            let counters = vec![of_user(&user)];
            ("by_user", "user", vec![text(user)], counters)
        } else {
            let states = rest
                .state
                .take()
                .map_or(State::ALL.to_vec(), |state| vec![state]);
            let states = states.iter().map(|state| place.name(state.as_str()));
            let states: Vec<String> = states.collect();
            let keys = states.iter().map(text).collect();
            let counters = states.iter().map(|state| of_state(state)).collect();
            ("by_state", "state", keys, counters)
        };
        let all = Filters {
            dry_runs: rest.dry_runs,
            ..Filters::default()
        };
        let is_exact = rest == all;
        Some(Self {
            index,
            attribute,
            keys,
            rest,
            counters: if is_exact { counters } else { Vec::new() },
            before: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(filters: &Filters) -> (&'static str, usize, usize) {
        let search = Search::of(filters).unwrap();
        (search.index, search.keys.len(), search.counters.len())
    }

    #[test]
    fn what_clients_ask_for_is_found_and_counted_without_looking_at_others() {
        let user = || Some("ann".to_owned());
        let index = || Some("r.example/index:v1".to_owned());
        let none = Filters::default;
        for (filters, expected) in [
            (none(), ("by_state", 3, 3)),
            (
                Filters {
                    state: Some(State::Failed),
                    ..none()
                },
                ("by_state", 1, 1),
            ),
            (
                Filters {
                    user: user(),
                    ..none()
                },
                ("by_user", 1, 1),
            ),
            (
                Filters {
                    from_index: index(),
                    ..none()
                },
                ("by_from_index", 1, 1),
            ),
            (
                Filters {
                    state: Some(State::Complete),
                    user: user(),
                    from_index: index(),
                    ..none()
                },
                ("by_asked", 1, 1),
            ),
            // Those of a batch are few.
            (
                Filters {
                    batch: Some(BatchId(1)),
                    user: user(),
                    ..none()
                },
                ("by_batch", 1, 0),
            ),
            // Those that go on are few, too.
            (
                Filters {
                    user: user(),
                    state: Some(State::InProgress),
                    ..none()
                },
                ("by_state", 1, 0),
            ),
            // These have to be counted.
            (
                Filters {
                    user: user(),
                    state: Some(State::Failed),
                    ..none()
                },
                ("by_user", 1, 0),
            ),
            (
                Filters {
                    kind: Some("rm"),
                    ..none()
                },
                ("by_state", 3, 0),
            ),
            (
                Filters {
                    from_index_prefix: index(),
                    ..none()
                },
                ("by_state", 3, 0),
            ),
            (
                Filters {
                    user: user(),
                    dry_runs: true,
                    ..none()
                },
                ("by_user", 1, 1),
            ),
        ] {
            assert_eq!(found(&filters), expected, "{filters:?}");
        }
        assert!(
            Search::of(&Filters {
                kind: Some("generic"),
                ..none()
            })
            .is_none()
        );
    }
}
