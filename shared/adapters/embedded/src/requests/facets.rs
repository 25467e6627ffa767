//! Which requests a listing's filters hold for, without a look at the database.
//!
//! Counting rows costs as much as there are rows, whichever index they stand in, and a listing tells
//! how many there are. So the sets of numbers are held in memory, compressed: some bytes for each
//! request, counted and cut into pages in microseconds. Only this process writes the database, so
//! they are read once, and kept with every write.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::ops::Bound;

use iib_oci::Digest;
use iib_request::{Filters, RequestId};
use roaring::RoaringTreemap;

/// What stands beside a record in its row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) batch: Option<u64>,
    pub(super) state: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) user: Option<String>,
    pub(super) from_index: Option<String>,
    pub(super) index_image: Option<String>,
    pub(super) is_dry_run: bool,
}

/// Dry runs apart from the others: no listing has both.
#[derive(Debug, Default)]
pub(super) struct FacetIndexes {
    others: FacetIndex,
    dry_runs: FacetIndex,
}

impl FacetIndexes {
    fn of(&mut self, row: &Row) -> &mut FacetIndex {
        match row.is_dry_run {
            true => &mut self.dry_runs,
            false => &mut self.others,
        }
    }

    /// Takes a request in.
    pub(super) fn insert(&mut self, id: RequestId, row: &Row) {
        self.of(row).insert(id, row);
    }

    /// Notes that a request is as `row` says, and no longer as `before` says: state and result are what
    /// changes.
    pub(super) fn change(&mut self, id: RequestId, before: &Row, row: &Row) {
        self.of(row).change(id, before, row);
    }

    /// The numbers on a page, newest first, and how many requests the filters hold for.
    pub(super) fn page(&self, filters: &Filters, page: u64, per_page: u32) -> (Vec<u64>, u64) {
        let index = match filters.dry_runs {
            true => &self.dry_runs,
            false => &self.others,
        };
        index.page(filters, page, per_page)
    }

    /// The numbers below `before`, or the newest, newest first, at most `limit`, and whether there are more.
    pub(super) fn older(
        &self,
        filters: &Filters,
        before: Option<RequestId>,
        limit: u32,
    ) -> (Vec<u64>, bool) {
        let index = match filters.dry_runs {
            true => &self.dry_runs,
            false => &self.others,
        };
        let found = index.find(filters);
        let end = match before {
            None => found.len(),
            // How many are below it.
            Some(RequestId(before)) => before.checked_sub(1).map_or(0, |last| found.rank(last)),
        };
        let begin = end.saturating_sub(limit.into());
        let ids = (begin..end).rev().filter_map(|place| found.select(place));
        (ids.collect(), begin > 0)
    }
}

/// The numbers of requests by what a listing may look for.
#[derive(Debug, Default)]
struct FacetIndex {
    all: RoaringTreemap,
    by_state: HashMap<String, RoaringTreemap>,
    by_kind: HashMap<String, RoaringTreemap>,
    by_user: HashMap<String, RoaringTreemap>,
    /// Ordered, because prefixes are looked for.
    by_from_index: BTreeMap<String, RoaringTreemap>,
    by_batch: HashMap<u64, Few>,
    by_index_image: HashMap<Name, Few>,
}

/// Stands for a text of which there are as many as requests: half of its SHA-256, in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Name([u8; 32]);

impl Name {
    fn of(text: &str) -> Self {
        let mut name = [0; 32];
        let digest = Digest::of(text.as_bytes());
        for (place, digit) in name.iter_mut().zip(digest.hex().bytes()) {
            *place = digit;
        }
        Self(name)
    }
}

/// Numbers that are mostly one alone.
#[derive(Debug)]
enum Few {
    One(u64),
    More(RoaringTreemap),
}

impl Few {
    fn insert(&mut self, id: u64) {
        match self {
            Self::One(other) => *self = Self::More([*other, id].into_iter().collect()),
            Self::More(ids) => drop(ids.insert(id)),
        }
    }

    fn ids(&self) -> Cow<'_, RoaringTreemap> {
        match self {
            Self::One(id) => Cow::Owned([*id].into_iter().collect()),
            Self::More(ids) => Cow::Borrowed(ids),
        }
    }
}

impl FacetIndex {
    fn insert(&mut self, id: RequestId, row: &Row) {
        let id = id.0;
        self.all.insert(id);
        put(&mut self.by_state, row.state.as_ref(), id);
        put(&mut self.by_kind, row.kind.as_ref(), id);
        put(&mut self.by_user, row.user.as_ref(), id);
        if let Some(index) = &row.from_index {
            self.by_from_index
                .entry(index.clone())
                .or_default()
                .insert(id);
        }
        if let Some(batch) = row.batch {
            put_few(&mut self.by_batch, batch, id);
        }
        if let Some(image) = &row.index_image {
            put_few(&mut self.by_index_image, Name::of(image), id);
        }
    }

    fn change(&mut self, id: RequestId, before: &Row, row: &Row) {
        let id = id.0;
        if before.state != row.state {
            if let Some(ids) = before
                .state
                .as_ref()
                .and_then(|state| self.by_state.get_mut(state))
            {
                ids.remove(id);
            }
            put(&mut self.by_state, row.state.as_ref(), id);
        }
        if before.index_image != row.index_image {
            let former = before.index_image.as_deref().map(Name::of);
            if let Some(former) = former {
                take_few(&mut self.by_index_image, &former, id);
            }
            if let Some(image) = &row.index_image {
                put_few(&mut self.by_index_image, Name::of(image), id);
            }
        }
    }

    fn page(&self, filters: &Filters, page: u64, per_page: u32) -> (Vec<u64>, u64) {
        let found = self.find(filters);
        let total = found.len();
        let skipped = page.saturating_sub(1).saturating_mul(per_page.into());
        let newest = total.saturating_sub(skipped);
        let oldest = newest.saturating_sub(per_page.into());
        let ids = (oldest..newest)
            .rev()
            .filter_map(|place| found.select(place));
        (ids.collect(), total)
    }

    /// Those that the filters hold for.
    fn find(&self, filters: &Filters) -> Cow<'_, RoaringTreemap> {
        let mut sets: Vec<Option<Cow<'_, RoaringTreemap>>> = Vec::new();
        if let Some(batch) = filters.batch {
            sets.push(self.by_batch.get(&batch.0).map(Few::ids));
        }
        if let Some(image) = &filters.index_image {
            let found = self.by_index_image.get(&Name::of(image));
            sets.push(found.map(Few::ids));
        }
        if let Some(index) = &filters.from_index {
            sets.push(self.by_from_index.get(index).map(Cow::Borrowed));
        }
        if let Some(prefix) = &filters.from_index_prefix {
            sets.push(Some(Cow::Owned(self.beginning_with(prefix))));
        }
        if let Some(user) = &filters.user {
            sets.push(self.by_user.get(user).map(Cow::Borrowed));
        }
        if let Some(kind) = filters.kind {
            sets.push(self.by_kind.get(kind).map(Cow::Borrowed));
        }
        if let Some(state) = filters.state {
            sets.push(self.by_state.get(state.as_str()).map(Cow::Borrowed));
        }
        let Some(mut sets) = sets.into_iter().collect::<Option<Vec<_>>>() else {
            return Cow::Owned(RoaringTreemap::new());
        };
        // The smallest first: what follows can only make it smaller.
        sets.sort_by_key(|ids| ids.len());
        let both = |found: Cow<'_, RoaringTreemap>, other: Cow<'_, RoaringTreemap>| {
            Cow::Owned(&*found & &*other)
        };
        let found = sets.into_iter().reduce(both);
        found.unwrap_or(Cow::Borrowed(&self.all))
    }

    fn beginning_with(&self, prefix: &str) -> RoaringTreemap {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let from = self.by_from_index.range::<str, _>(from);
        let mut found = RoaringTreemap::new();
        for (_, ids) in from.take_while(|(index, _)| index.starts_with(prefix)) {
            found |= ids;
        }
        found
    }
}

fn put(sets: &mut HashMap<String, RoaringTreemap>, key: Option<&String>, id: u64) {
    let Some(key) = key else { return };
    match sets.get_mut(key) {
        Some(ids) => drop(ids.insert(id)),
        None => drop(sets.insert(key.clone(), [id].into_iter().collect())),
    }
}

fn put_few<K: Eq + Hash>(sets: &mut HashMap<K, Few>, key: K, id: u64) {
    sets.entry(key)
        .and_modify(|ids| ids.insert(id))
        .or_insert(Few::One(id));
}

fn take_few<K: Eq + Hash>(sets: &mut HashMap<K, Few>, key: &K, id: u64) {
    let is_empty = match sets.get_mut(key) {
        Some(Few::One(only)) => *only == id,
        Some(Few::More(ids)) => {
            ids.remove(id);
            ids.is_empty()
        }
        None => false,
    };
    if is_empty {
        sets.remove(key);
    }
}
