//! Comparing two packages.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use serde_json::Value;

use super::value::{differing, digest, value};
use super::{CatalogChange, EntryLinks, IconMark, ObjectMark};
use crate::base64::{BASE64, without_line_breaks};
use crate::blob::{
    Catalog, CatalogBundle, CatalogPackage, Channel, ChannelEntry, DEPRECATIONS, Icon, Other,
    Property, RelatedImage,
};
use crate::deprecations::deprecation_entries;
use crate::graph;
use crate::property::{OBJECT, as_json};

/// What differs between two states of one package, of which both have all that belongs to it. With
/// an empty name: between the objects of no package.
pub fn package_changes(package: &str, before: &Catalog, after: &Catalog) -> Vec<CatalogChange> {
    let mut found = Found {
        package,
        changes: Vec::new(),
    };
    match (is_there(before), is_there(after)) {
        (false, true) => found.push(|package| CatalogChange::PackageAdded { package }),
        (true, false) => found.push(|package| CatalogChange::PackageRemoved { package }),
        _ => {}
    }
    found.package_itself(before.packages.first(), after.packages.first());
    for (channel, old, new) in pairs(&before.channels, &after.channels, |found| &found.name) {
        found.channel(channel, old, new);
    }
    for (bundle, old, new) in pairs(&before.bundles, &after.bundles, |found| &found.name) {
        found.bundle(bundle, old, new);
    }
    found.deprecations(&before.others, &after.others);
    found.others(&before.others, &after.others);
    found.changes
}

fn is_there(catalog: &Catalog) -> bool {
    !(catalog.packages.is_empty() && catalog.channels.is_empty() && catalog.bundles.is_empty())
}

/// Things of both sides by name. A name that is there more than once, which no catalog may have, is
/// paired in the order of the lists.
fn pairs<'a, T>(
    before: &'a [T],
    after: &'a [T],
    name: impl Fn(&T) -> &String,
) -> Vec<(&'a T, Option<&'a T>, Option<&'a T>)>
where
    T: 'a,
{
    let mut sides: BTreeMap<&str, (Vec<&T>, Vec<&T>)> = BTreeMap::new();
    for old in before {
        sides.entry(name(old)).or_default().0.push(old);
    }
    for new in after {
        sides.entry(name(new)).or_default().1.push(new);
    }
    let mut pairs = Vec::new();
    for (old, new) in sides.into_values() {
        for at in 0..old.len().max(new.len()) {
            let (old, new) = (old.get(at).copied(), new.get(at).copied());
            pairs.extend(old.or(new).map(|any| (any, old, new)));
        }
    }
    pairs
}

/// What is left of two lists when everything with the same key on both sides is taken out.
fn unlike<T, K: Ord>(before: Vec<T>, after: Vec<T>, key: impl Fn(&T) -> K) -> (Vec<T>, Vec<T>) {
    let mut counts: BTreeMap<K, usize> = BTreeMap::new();
    for new in &after {
        *counts.entry(key(new)).or_default() += 1;
    }
    let mut matched: BTreeMap<K, usize> = BTreeMap::new();
    let mut gone = Vec::new();
    for old in before {
        let key = key(&old);
        match counts.get_mut(&key) {
            Some(left) if *left > 0 => {
                *left -= 1;
                *matched.entry(key).or_default() += 1;
            }
            _ => gone.push(old),
        }
    }
    let mut come = after;
    come.retain(|new| match matched.get_mut(&key(new)) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    });
    (gone, come)
}

/// Before and after of one thing; one of them may not be there.
type Sides<T> = (Option<T>, Option<T>);

/// Parts of both sides that are not the same, by what they are. `text` is what tells equal ones
/// without a look at what they say, which `meaning` takes. One and one are the same part changed;
/// of several nobody can tell which became which.
fn parts<'a, T, K: Ord, X: Ord, M: Ord>(
    before: &'a [T],
    after: &'a [T],
    what: impl Fn(&'a T) -> K,
    text: impl Fn(&'a T) -> X,
    meaning: impl Fn(&'a T) -> M,
) -> Vec<(K, Sides<&'a T>)> {
    let (old, new) = (before.iter().collect(), after.iter().collect());
    let (old, new) = unlike(old, new, |part: &&'a T| (what(part), text(part)));
    let (old, new) = unlike(old, new, |part: &&'a T| (what(part), meaning(part)));
    let mut sides: BTreeMap<K, (Vec<&T>, Vec<&T>)> = BTreeMap::new();
    for part in old {
        sides.entry(what(part)).or_default().0.push(part);
    }
    for part in new {
        sides.entry(what(part)).or_default().1.push(part);
    }
    let mut parts = Vec::new();
    for (_, (old, new)) in sides {
        if let ([old], [new]) = (old.as_slice(), new.as_slice()) {
            parts.push((what(new), (Some(*old), Some(*new))));
            continue;
        }
        parts.extend(old.into_iter().map(|old| (what(old), (Some(old), None))));
        parts.extend(new.into_iter().map(|new| (what(new), (None, Some(new)))));
    }
    parts
}

fn property_parts<'a>(
    before: &'a [&'a Property],
    after: &'a [&'a Property],
) -> Vec<(&'a String, Sides<&'a &'a Property>)> {
    parts(
        before,
        after,
        |property| &property.kind,
        |property| property.text(),
        |property| value_of(property).to_string(),
    )
}

fn value_of(property: &Property) -> Value {
    value(property.text())
}

struct Found<'a> {
    package: &'a str,
    changes: Vec<CatalogChange>,
}

impl Found<'_> {
    fn push(&mut self, change: impl FnOnce(String) -> CatalogChange) {
        self.changes.push(change(self.package.to_owned()));
    }

    fn package_itself(&mut self, old: Option<&CatalogPackage>, new: Option<&CatalogPackage>) {
        let text = |side: Option<&CatalogPackage>, of: fn(&CatalogPackage) -> &String| {
            let text = side.map(of).filter(|text| !text.is_empty());
            text.cloned()
        };
        let channel: fn(&CatalogPackage) -> &String = |package| &package.default_channel;
        let (before, after) = (text(old, channel), text(new, channel));
        if before != after {
            self.push(|package| CatalogChange::DefaultChannel {
                package,
                before,
                after,
            });
        }
        // What a package says for itself goes with it.
        let (Some(old), Some(new)) = (old, new) else {
            return;
        };
        let words: fn(&CatalogPackage) -> &String = |package| &package.description;
        let (before, after) = (text(Some(old), words), text(Some(new), words));
        if before != after {
            self.push(|package| CatalogChange::PackageDescription {
                package,
                before,
                after,
            });
        }
        let (before, after) = (icon(old.icon.as_ref()), icon(new.icon.as_ref()));
        if before != after {
            self.push(|package| CatalogChange::PackageIcon {
                package,
                before,
                after,
            });
        }
        self.properties(
            &old.properties,
            &new.properties,
            |package, kind, before, after| CatalogChange::PackageProperty {
                package,
                kind,
                before,
                after,
            },
        );
    }

    fn properties(
        &mut self,
        old: &[Property],
        new: &[Property],
        change: impl Fn(String, String, Option<Value>, Option<Value>) -> CatalogChange,
    ) {
        let (old, new): (Vec<_>, Vec<_>) = (old.iter().collect(), new.iter().collect());
        for (kind, (before, after)) in property_parts(&old, &new) {
            let before = before.map(|property| value_of(property));
            let after = after.map(|property| value_of(property));
            self.push(|package| change(package, kind.clone(), before, after));
        }
    }

    fn channel(&mut self, any: &Channel, old: Option<&Channel>, new: Option<&Channel>) {
        let channel = any.name.clone();
        let (old, new) = match (old, new) {
            (Some(old), Some(new)) => (old, new),
            (old, None) => {
                let (head, entries) = old.map(outline).unwrap_or_default();
                return self.push(|package| CatalogChange::ChannelRemoved {
                    package,
                    channel,
                    head,
                    entries,
                });
            }
            (None, Some(new)) => {
                let (head, entries) = outline(new);
                return self.push(|package| CatalogChange::ChannelAdded {
                    package,
                    channel,
                    head,
                    entries,
                });
            }
        };
        let (before, after) = (head(old), head(new));
        if before != after {
            let channel = channel.clone();
            self.push(|package| CatalogChange::ChannelHead {
                package,
                channel,
                before,
                after,
            });
        }
        let entries = parts(
            &old.entries,
            &new.entries,
            |entry| &entry.name,
            |entry| (&entry.replaces, &entry.skips, &entry.skip_range),
            links,
        );
        for (entry, (before, after)) in entries {
            let (channel, entry) = (channel.clone(), entry.clone());
            self.push(|package| CatalogChange::ChannelEntry {
                package,
                channel,
                entry,
                before: before.map(links),
                after: after.map(links),
            });
        }
        self.properties(
            &old.properties,
            &new.properties,
            |package, kind, before, after| CatalogChange::ChannelProperty {
                package,
                channel: channel.clone(),
                kind,
                before,
                after,
            },
        );
    }

    fn bundle(
        &mut self,
        any: &CatalogBundle,
        old: Option<&CatalogBundle>,
        new: Option<&CatalogBundle>,
    ) {
        let (bundle, image) = (any.name.clone(), any.image.clone());
        let (old, new) = match (old, new) {
            (Some(old), Some(new)) => (old, new),
            (Some(_), None) => {
                return self.push(|package| CatalogChange::BundleRemoved {
                    package,
                    bundle,
                    image,
                });
            }
            (None, _) => {
                return self.push(|package| CatalogChange::BundleAdded {
                    package,
                    bundle,
                    image,
                });
            }
        };
        if old.image != new.image {
            let (before, after) = (old.image.clone(), new.image.clone());
            let bundle = bundle.clone();
            self.push(|package| CatalogChange::BundleImage {
                package,
                bundle,
                before,
                after,
            });
        }
        let (old_objects, old_others) = parted(&old.properties);
        let (new_objects, new_others) = parted(&new.properties);
        self.bundle_properties(&bundle, &old_others, &new_others);
        self.related_images(&bundle, &old.related_images, &new.related_images);
        self.objects(&bundle, &old_objects, &new_objects);
    }

    fn bundle_properties(&mut self, bundle: &str, old: &[&Property], new: &[&Property]) {
        for (kind, (before, after)) in property_parts(old, new) {
            let before = before.map(|property| value_of(property));
            let after = after.map(|property| value_of(property));
            self.push(|package| CatalogChange::BundleProperty {
                package,
                bundle: bundle.to_owned(),
                kind: kind.clone(),
                before,
                after,
            });
        }
    }

    fn related_images(&mut self, bundle: &str, old: &[RelatedImage], new: &[RelatedImage]) {
        let images = parts(
            old,
            new,
            |image| &image.name,
            |image| &image.image,
            |image| &image.image,
        );
        for (name, (before, after)) in images {
            self.push(|package| CatalogChange::RelatedImage {
                package,
                bundle: bundle.to_owned(),
                name: name.clone(),
                before: before.map(|found| found.image.clone()),
                after: after.map(|found| found.image.clone()),
            });
        }
    }

    fn objects<'a>(&mut self, bundle: &str, old: &[&'a Property], new: &[&'a Property]) {
        // Objects fill a catalog: those whose text is the same are not looked into.
        let (old, new) = unlike(old.to_vec(), new.to_vec(), |property: &&'a Property| {
            property.text()
        });
        let read =
            |side: Vec<&Property>| -> Vec<Object> { side.into_iter().map(Object::read).collect() };
        let (old, new) = (read(old), read(new));
        let objects = parts(
            &old,
            &new,
            |object| (&object.kind, &object.name),
            |object| &object.mark.digest,
            |object| object.value.to_string(),
        );
        for ((kind, name), (before, after)) in objects {
            let paths = match (before, after) {
                (Some(before), Some(after)) => differing(&before.value, &after.value),
                _ => Vec::new(),
            };
            self.push(|package| CatalogChange::BundleObject {
                package,
                bundle: bundle.to_owned(),
                kind: kind.clone(),
                name: name.clone(),
                before: before.map(|object| object.mark.clone()),
                after: after.map(|object| object.mark.clone()),
                paths,
            });
        }
    }

    fn deprecations(&mut self, old: &[Other], new: &[Other]) {
        let (old, new) = (words(old), words(new));
        let words = parts(
            &old,
            &new,
            |word| (&word.schema, &word.name),
            |word| &word.message,
            |word| &word.message,
        );
        for ((schema, name), (before, after)) in words {
            self.push(|package| CatalogChange::Deprecation {
                package,
                schema: schema.clone(),
                name: name.clone(),
                before: before.map(|word| word.message.clone()),
                after: after.map(|word| word.message.clone()),
            });
        }
    }

    fn others(&mut self, old: &[Other], new: &[Other]) {
        let objects = parts(
            old,
            new,
            |other| (&other.schema, &other.name),
            |other| other.blob.get(),
            |other| whole(other).to_string(),
        );
        for ((schema, name), (before, after)) in objects {
            if schema == DEPRECATIONS && is_told(before, after) {
                continue;
            }
            self.push(|package| CatalogChange::Object {
                package,
                schema: schema.clone(),
                name: name.clone(),
                before: before.map(whole),
                after: after.map(whole),
            });
        }
    }
}

fn head(channel: &Channel) -> Option<String> {
    let head = graph::head(&channel.entries).ok();
    head.map(|entry| entry.name.clone())
}

fn outline(channel: &Channel) -> (Option<String>, BTreeMap<String, EntryLinks>) {
    let entries = channel.entries.iter();
    let entries = entries.map(|entry| (entry.name.clone(), links(entry)));
    (head(channel), entries.collect())
}

fn links(entry: &ChannelEntry) -> EntryLinks {
    EntryLinks {
        replaces: entry.replaces.clone(),
        skips: entry.skips.iter().cloned().collect::<BTreeSet<_>>(),
        skip_range: entry.skip_range.clone(),
    }
}

fn icon(icon: Option<&Icon>) -> Option<IconMark> {
    let icon = icon?;
    let data = icon.base64data.as_deref().unwrap_or_default();
    let bytes = BASE64.decode(data).unwrap_or_else(|_| data.into());
    Some(IconMark {
        mediatype: icon.mediatype.clone(),
        size: bytes.len(),
        digest: digest(&bytes),
    })
}

/// Objects, and all other properties.
fn parted(properties: &[Property]) -> (Vec<&Property>, Vec<&Property>) {
    let properties = properties.iter();
    properties.partition(|property| property.kind == OBJECT)
}

/// An object of a bundle, by what it is.
struct Object {
    kind: String,
    name: String,
    value: Value,
    mark: ObjectMark,
}

impl Object {
    /// What cannot be read is an object without kind and name.
    fn read(property: &Property) -> Self {
        let whole = value_of(property);
        let data = whole.get("data").and_then(Value::as_str);
        let bytes = data.and_then(|data| BASE64.decode(&*without_line_breaks(data)).ok());
        let bytes = bytes.unwrap_or_else(|| property.text().as_bytes().to_vec());
        let value = as_json(&bytes).map_or(whole, |text| value(&text));
        let text = |path: &str| {
            let found = value.pointer(path).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        Self {
            kind: text("/kind"),
            name: text("/metadata/name"),
            mark: ObjectMark {
                size: bytes.len(),
                digest: digest(&bytes),
            },
            value,
        }
    }
}

/// A deprecation: what, and why.
struct Word {
    schema: String,
    name: String,
    message: String,
}

/// What all the deprecations of a package say. An object that cannot be read says nothing here.
fn words(others: &[Other]) -> Vec<Word> {
    let objects = others.iter().filter(|other| other.schema == DEPRECATIONS);
    let entries = objects.flat_map(|other| deprecation_entries(&other.blob).unwrap_or_default());
    entries
        .map(|entry| Word {
            schema: entry.schema,
            name: entry.name,
            message: entry.message,
        })
        .collect()
}

/// An object of another schema as it is compared: the order of deprecations has no meaning.
fn whole(other: &Other) -> Value {
    let mut whole = value(other.blob.get());
    if other.schema == DEPRECATIONS
        && let Some(entries) = whole.get_mut("entries").and_then(Value::as_array_mut)
    {
        entries.sort_by_cached_key(Value::to_string);
    }
    whole
}

/// Whether the words of two objects of deprecations tell all that is not the same in them.
fn is_told(before: Option<&Other>, after: Option<&Other>) -> bool {
    let sides = || [before, after].into_iter().flatten();
    let is_silent = |other| words(std::slice::from_ref(other)).is_empty();
    // One that says nothing and comes or goes would not be told at all.
    sides().all(has_only_words) && (sides().count() == 2 || !sides().all(is_silent))
}

/// Whether an object of deprecations has nothing in it but what [`words`] finds.
fn has_only_words(other: &Other) -> bool {
    let has_only = |value: &Value, names: &[&str]| {
        let members = value.as_object();
        members.is_some_and(|members| members.keys().all(|name| names.contains(&name.as_str())))
    };
    let whole = value(other.blob.get());
    let entries = whole.get("entries").and_then(Value::as_array);
    has_only(&whole, &["schema", "package", "name", "entries"])
        && deprecation_entries(&other.blob).is_ok()
        && entries.into_iter().flatten().all(|entry| {
            has_only(entry, &["reference", "message"])
                && entry
                    .get("reference")
                    .is_some_and(|reference| has_only(reference, &["schema", "name"]))
        })
}
