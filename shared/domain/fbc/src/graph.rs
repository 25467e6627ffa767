//! The upgrade graph of a channel, as far as its checks and the cache need it (spec
//! index-database §13.6).

use std::collections::{BTreeMap, BTreeSet};

use crate::blob::ChannelEntry;
use crate::rules::Rules;

/// What is wrong with a channel's graph. `Display` is the reference's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GraphFault {
    #[error("no channel head found in graph")]
    NoHead,
    #[error("multiple channel heads found in graph: {}", .0.join(", "))]
    SeveralHeads(Vec<String>),
    #[error("detected cycle in replaces chain of upgrade graph: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
    #[error("channel contains one or more stranded bundles: {}", .0.join(", "))]
    Stranded(Vec<String>),
}

/// The entry that nothing replaces or skips.
pub(crate) fn head(entries: &[ChannelEntry]) -> Result<&ChannelEntry, GraphFault> {
    let mut below: BTreeSet<&str> = BTreeSet::new();
    for entry in entries {
        if !entry.replaces.is_empty() {
            below.insert(&entry.replaces);
        }
        below.extend(entry.skips.iter().map(String::as_str));
    }
    let mut tops = entries
        .iter()
        .filter(|entry| !below.contains(entry.name.as_str()));
    match (tops.next(), tops.next()) {
        (Some(head), None) => Ok(head),
        (None, _) => Err(GraphFault::NoHead),
        (Some(first), Some(second)) => {
            let mut names: Vec<String> = [first, second]
                .into_iter()
                .chain(tops)
                .map(|entry| entry.name.clone())
                .collect();
            names.sort();
            Err(GraphFault::SeveralHeads(names))
        }
    }
}

/// One head, a way down from it that ends, and every entry on that way or skipped. By the newest rules
/// the way ends above what any entry skips (newest-opm §4 "Tree").
pub(crate) fn check(entries: &[ChannelEntry], rules: Rules) -> Result<(), GraphFault> {
    let by_name: BTreeMap<&str, &ChannelEntry> = entries
        .iter()
        .map(|entry| (entry.name.as_str(), entry))
        .collect();
    let skipped = entries.iter().flat_map(|entry| &entry.skips);
    let skipped: BTreeSet<&str> = skipped.map(String::as_str).collect();
    let mut chain: Vec<&str> = Vec::new();
    let mut at = Some(head(entries)?);
    while let Some(entry) = at {
        let name = entry.name.as_str();
        if let Some(before) = chain.iter().position(|seen| *seen == name) {
            let circle = chain.iter().skip(before).chain([&name]);
            return Err(GraphFault::Cycle(circle.map(ToString::to_string).collect()));
        }
        chain.push(name);
        let ends = rules.are_newest() && skipped.contains(entry.replaces.as_str());
        let next = (!ends).then(|| by_name.get(entry.replaces.as_str()));
        at = next.flatten().copied();
    }
    let reached: BTreeSet<&str> = chain.into_iter().chain(skipped).collect();
    let stranded: Vec<String> = by_name
        .keys()
        .filter(|name| !reached.contains(*name))
        .map(ToString::to_string)
        .collect();
    if stranded.is_empty() {
        Ok(())
    } else {
        Err(GraphFault::Stranded(stranded))
    }
}

/// What a way down from the head leads to, skips included; nothing without a single head.
pub(crate) fn reached(entries: &[ChannelEntry]) -> BTreeSet<&str> {
    let by_name: BTreeMap<&str, &ChannelEntry> = entries
        .iter()
        .map(|entry| (entry.name.as_str(), entry))
        .collect();
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = head(entries)
        .iter()
        .map(|head| head.name.as_str())
        .collect();
    while let Some(name) = open.pop() {
        if reached.insert(name)
            && let Some(entry) = by_name.get(name)
        {
            open.push(&entry.replaces);
            open.extend(entry.skips.iter().map(String::as_str));
        }
    }
    reached
}
