//! Pages of requests, through the indexes.

use std::collections::{BTreeMap, VecDeque};

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::try_join_all;
use iib_ports::{Listed, Older, OlderQuery, Page, PageQuery, StoreError};
use iib_request::{BatchId, Filters, RequestId};

use super::facets::{NUMBER, Place, SHARDS, Search};
use super::item::HIDDEN;
use super::{DynamoRequests, unavailable};
use crate::table::{Item, as_number, key, number, text};

const ACTION: &str = "list the requests";

/// An entry of an index.
struct Entry {
    id: u64,
    /// The batch of one that is seen only once its batch is there.
    hidden_with: Option<BatchId>,
}

/// A partition of an index, read from the newest request on.
struct Partition {
    key: AttributeValue,
    read: VecDeque<Entry>,
    /// Where to read on.
    next: Option<Item>,
    ended: bool,
}

impl DynamoRequests {
    pub(super) async fn read_page(&self, query: &PageQuery) -> Result<Page, StoreError> {
        let Some(search) = Search::of(&query.filters) else {
            return Ok(Page {
                items: Vec::new(),
                total: 0,
            });
        };
        let per_page = u64::from(query.per_page);
        let skipped = query.page.saturating_sub(1).saturating_mul(per_page);
        let wanted = skipped.saturating_add(per_page);
        let (found, total) = if search.counters.is_empty() {
            self.walk(&search, skipped, wanted, true).await?
        } else {
            let (walked, total) = futures::try_join!(
                self.walk(&search, skipped, wanted, false),
                self.count(&search.counters)
            )?;
            (walked.0, total)
        };
        let read = self.read_all(&found).await?;
        let items = read
            .into_iter()
            .filter(|listed| holds(&query.filters, listed));
        Ok(Page {
            items: items.collect(),
            total,
        })
    }

    pub(super) async fn read_older(&self, query: &OlderQuery) -> Result<Older, StoreError> {
        let Some(mut search) = Search::of(&query.filters) else {
            return Ok(Older {
                items: Vec::new(),
                next: None,
            });
        };
        search.before = query.before;
        let limit = u64::from(query.limit);
        let wanted = limit.saturating_add(1);
        let (mut found, _) = self.walk(&search, 0, wanted, false).await?;
        let has_more = found.len() as u64 > limit;
        found.truncate(query.limit as usize);
        // Of those that are shown, also where the index was behind with the last of them.
        let next = found.last().copied().filter(|_| has_more);
        let read = self.read_all(&found).await?;
        let items = read
            .into_iter()
            .filter(|listed| holds(&query.filters, listed));
        Ok(Older {
            items: items.collect(),
            next,
        })
    }

    /// The requests from the `skipped`-th to before the `wanted`-th, and how many were seen: all, if
    /// they are to be counted.
    async fn walk(
        &self,
        search: &Search,
        skipped: u64,
        wanted: u64,
        to_the_end: bool,
    ) -> Result<(Vec<RequestId>, u64), StoreError> {
        let mut shown = BTreeMap::new();
        let partition = |key: &AttributeValue| Partition {
            key: key.clone(),
            read: VecDeque::new(),
            next: None,
            ended: false,
        };
        let mut partitions: Vec<Partition> = search.keys.iter().map(partition).collect();
        let (mut seen, mut found, mut last) = (0, Vec::new(), None);
        while to_the_end || seen < wanted {
            let limit = (!to_the_end).then(|| wanted.saturating_sub(seen));
            let empty = partitions.iter_mut();
            let empty = empty.filter(|partition| partition.read.is_empty() && !partition.ended);
            try_join_all(empty.map(|partition| self.read_on(search, partition, limit))).await?;
            let newest = partitions.iter_mut();
            let newest = newest.filter(|partition| !partition.read.is_empty());
            let newest = newest.max_by_key(|partition| partition.read.front().map(|e| e.id));
            let Some(entry) = newest.and_then(|partition| partition.read.pop_front()) else {
                break;
            };
            // One whose state has changed meanwhile may stand in two partitions.
            if last.replace(entry.id) == Some(entry.id) {
                continue;
            }
            if let Some(batch) = entry.hidden_with
                && !self.is_shown(batch, &mut shown).await?
            {
                continue;
            }
            if (skipped..wanted).contains(&seen) {
                found.push(RequestId(entry.id));
            }
            seen += 1;
        }
        Ok((found, seen))
    }

    /// Whether a batch is there, looked up once for each.
    async fn is_shown(
        &self,
        batch: BatchId,
        known: &mut BTreeMap<BatchId, bool>,
    ) -> Result<bool, StoreError> {
        if let Some(shown) = known.get(&batch) {
            return Ok(*shown);
        }
        let shown = self.is_batch_there(batch).await?;
        known.insert(batch, shown);
        Ok(shown)
    }

    /// Reads until there is an entry, or the partition ends: what a filter leaves of a part of it may be
    /// nothing, and the newest entry of all is only known when each has one.
    async fn read_on(
        &self,
        search: &Search,
        partition: &mut Partition,
        limit: Option<u64>,
    ) -> Result<(), StoreError> {
        while partition.read.is_empty() && !partition.ended {
            self.read_part(search, partition, limit).await?;
        }
        Ok(())
    }

    async fn read_part(
        &self,
        search: &Search,
        partition: &mut Partition,
        limit: Option<u64>,
    ) -> Result<(), StoreError> {
        let (filter, names, values) = expression(&search.rest);
        // Some more than wanted: a few may not count.
        let limit = limit.map(|limit| i32::try_from(limit.saturating_add(5)).unwrap_or(i32::MAX));
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(search.index)
            .key_condition_expression(match search.before {
                None => "#key = :key",
                Some(_) => "#key = :key AND #n < :before",
            })
            .expression_attribute_names("#key", search.attribute)
            .expression_attribute_values(":key", partition.key.clone())
            .set_filter_expression(filter)
            .scan_index_forward(false)
            .set_limit(limit)
            .set_exclusive_start_key(partition.next.take());
        let answer = match search.before {
            None => answer,
            Some(before) => answer
                .expression_attribute_names("#n", NUMBER)
                .expression_attribute_values(":before", number(before)),
        };
        let answer = names.into_iter().fold(answer, |query, (name, attribute)| {
            query.expression_attribute_names(name, attribute)
        });
        let answer = values.into_iter().fold(answer, |query, (name, value)| {
            query.expression_attribute_values(name, value)
        });
        let answer = answer.send().await.map_err(unavailable(ACTION))?;
        partition
            .read
            .extend(answer.items().iter().filter_map(entry));
        partition.next = answer.last_evaluated_key.filter(|key| !key.is_empty());
        partition.ended = partition.next.is_none();
        Ok(())
    }

    /// The sum of some counters.
    async fn count(&self, counters: &[String]) -> Result<u64, StoreError> {
        let shards = counters
            .iter()
            .flat_map(|counter| (0..SHARDS).map(move |shard| key(counter, shard.to_string())));
        let items = self.get_items(shards.collect(), ACTION).await?;
        let count = |item: &Item| as_number::<i64>(item, "count").unwrap_or(0);
        let sum: i64 = items.iter().map(count).sum();
        Ok(u64::try_from(sum).unwrap_or(0))
    }
}

/// Whether a request is one of those that were looked for: an index may be behind what is stored.
fn holds(filters: &Filters, listed: &Listed) -> bool {
    match listed {
        Ok(record) => filters.hold_for(&record.facets()),
        Err(_) => true,
    }
}

fn entry(item: &Item) -> Option<Entry> {
    let batch = match item.contains_key(HIDDEN) {
        true => as_number::<i64>(item, "batch"),
        false => None,
    };
    Some(Entry {
        id: as_number(item, NUMBER)?,
        // Those of dry runs are below zero.
        hidden_with: batch.map(|batch| BatchId(batch.unsigned_abs())),
    })
}

/// A filter in DynamoDB's language, with its names and values.
type Expression = (
    Option<String>,
    Vec<(String, &'static str)>,
    Vec<(String, AttributeValue)>,
);

fn expression(filters: &Filters) -> Expression {
    let place = Place::of(filters.dry_runs);
    let named = |value: &String| text(place.name(value));
    let equal = [
        (
            "state",
            filters.state.map(|state| text(place.name(state.as_str()))),
        ),
        ("batch", filters.batch.map(|batch| place.batch(batch))),
        ("kind", filters.kind.map(text)),
        ("user", filters.user.as_ref().map(named)),
        ("from_index", filters.from_index.as_ref().map(named)),
        ("index_image", filters.index_image.as_ref().map(text)),
    ];
    let (mut parts, mut names, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for (attribute, value) in equal {
        let Some(value) = value else { continue };
        parts.push(format!("#{attribute} = :{attribute}"));
        names.push((format!("#{attribute}"), attribute));
        values.push((format!(":{attribute}"), value));
    }
    if let Some(prefix) = &filters.from_index_prefix {
        parts.push("begins_with(#prefixed, :prefix)".to_owned());
        names.push(("#prefixed".to_owned(), "from_index"));
        values.push((":prefix".to_owned(), named(prefix)));
    }
    let filter = (!parts.is_empty()).then(|| parts.join(" AND "));
    (filter, names, values)
}
