//! Deprecating a bundle and cutting off what is below it (spec index-database §9).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{PackageRows, Refusal};

/// The bundles of an index that a deprecation list names, in the index's order: those under just the pull
/// spec that is listed (worker flows §7.7).
pub fn named_of<'a>(list: &[String], bundles: impl Iterator<Item = &'a str>) -> Vec<String> {
    let list: BTreeSet<&str> = list.iter().map(String::as_str).collect();
    let named = bundles.filter(|image| list.contains(image));
    named.map(str::to_owned).collect()
}

/// What happens to names that are not in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// The call is refused.
    #[default]
    Refuse,
    /// They are passed over, and reported.
    PassOver,
}

/// Whether a package may go when all of its heads are deprecated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PackageRemoval {
    /// It may.
    Allowed,
    /// Deprecating the head of the default channel is refused.
    #[default]
    Refused,
}

/// What happens to the head of a default channel that may not be deprecated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DefaultHeads {
    /// The call is refused.
    #[default]
    Refuse,
    /// It stays as it is, and the other images are deprecated (the reference's permissive mode).
    PassOver,
}

/// How to deprecate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeprecateOptions {
    /// What happens to images that are not in the index.
    pub missing: Missing,
    /// Whether packages may go.
    pub package_removal: PackageRemoval,
    /// What happens to heads of default channels.
    pub default_heads: DefaultHeads,
}

/// The images of the heads of a package that is to be removed, because its default channel's head
/// is among the deprecated images; `None` if that one is not (§9.2).
///
/// # Errors
/// Another channel's head is not among them: the first, by the channels' names.
pub fn heads_to_remove(
    rows: &PackageRows,
    deprecated: &BTreeSet<&str>,
) -> Result<Option<BTreeSet<String>>, Refusal> {
    let image_of = |channel: &str| {
        let head = rows.channels.get(channel)?.head.as_ref()?;
        rows.present.get(head)?.image.as_deref()
    };
    let default = rows.default_channel.as_deref().and_then(image_of);
    if !default.is_some_and(|image| deprecated.contains(image)) {
        return Ok(None);
    }
    let mut heads = BTreeSet::new();
    for channel in rows.channels.keys() {
        let Some(image) = image_of(channel) else {
            continue;
        };
        if !deprecated.contains(image) {
            return Err(Refusal::DeprecateOtherHeads {
                package: rows.name.clone(),
                image: image.to_owned(),
                channel: channel.clone(),
            });
        }
        heads.insert(image.to_owned());
    }
    Ok(Some(heads))
}

/// What deprecating a bundle does to the rows of its package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Truncation {
    /// Entries that replace nothing any more, by number.
    pub unlinked: BTreeSet<i64>,
    /// Entries that go, by number.
    pub dropped: BTreeSet<i64>,
    /// Names that go altogether, with their bundles.
    pub removed: Vec<String>,
    /// Channels that go with their entries: those the bundle heads.
    pub channels: Vec<String>,
}

/// The head of the default channel would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutsDefaultHead;

/// What deprecating `bundle` does to its package (§9.3, a to c).
///
/// What is below it, over all edges and in all channels, leaves the channels that the bundle is
/// in; it goes altogether if it is in no other channel and nothing from above leads to it.
///
/// # Errors
/// The head of the default channel is the bundle or below it.
pub fn truncate(rows: &PackageRows, bundle: &str) -> Result<Truncation, CutsDefaultHead> {
    let names = rows.names();
    let mut below: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut above: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for entry in &rows.entries {
        if let Some(target) = entry.replaces.and_then(|target| names.get(&target)) {
            below.entry(&entry.bundle).or_default().insert(target);
            above.entry(target).or_default().insert(&entry.bundle);
        }
    }
    let tail = reached_from(bundle, &below);
    let default_head = rows
        .default_channel
        .as_ref()
        .and_then(|channel| rows.channels.get(channel)?.head.as_deref());
    if default_head.is_some_and(|head| tail.contains(head)) {
        return Err(CutsDefaultHead);
    }

    let channels = rows.channels_of(bundle);
    let mut cut = Truncation::default();
    for name in tail.iter().copied().filter(|name| *name != bundle) {
        let dropped = rows
            .entries
            .iter()
            .filter(|entry| entry.bundle == name && channels.contains(entry.channel.as_str()));
        cut.dropped.extend(dropped.map(|entry| entry.id));
        let leads_here = above.get(name).into_iter().flatten();
        if rows.channels_of(name).is_subset(&channels)
            && leads_here.copied().all(|name| tail.contains(name))
        {
            cut.removed.push(name.to_owned());
        }
    }
    let unlinked = rows.entries.iter().filter(|entry| {
        entry.bundle == bundle
            || entry
                .replaces
                .is_some_and(|target| cut.dropped.contains(&target))
    });
    cut.unlinked = unlinked.map(|entry| entry.id).collect();
    cut.channels = rows
        .channels
        .iter()
        .filter(|(_, channel)| channel.head.as_deref() == Some(bundle))
        .map(|(name, _)| name.clone())
        .collect();
    Ok(cut)
}

fn reached_from<'a>(
    bundle: &'a str,
    below: &BTreeMap<&str, BTreeSet<&'a str>>,
) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::from([bundle]);
    let mut next = VecDeque::from([bundle]);
    while let Some(name) = next.pop_front() {
        let names = below.get(name).into_iter().flatten().copied();
        next.extend(names.filter(|name| seen.insert(name)));
    }
    seen
}

#[cfg(test)]
mod tests;
