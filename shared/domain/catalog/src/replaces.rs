//! Placing bundles by what they replace (spec index-database §5.3): the whole rule of replaces mode.
//!
//! A call goes this way:
//!
//! 1. [`making_room`] names the bundles that are overwritten; [`make_room`](crate::make_room) takes
//!    each of them out of its channels (§7), and it is removed.
//! 2. The rows of every new bundle are written (§4), their `replaces` and `skips` among them.
//! 3. [`place_by_replaces`] makes the graph of each package that got a bundle, from nothing.
//!
//! Of the graph a package had, only this counts: which bundles are in which channels, and the default
//! channel. The new graph follows from
//!
//! - the **heads**: in each channel the bundle with the highest version;
//! - the **default channel**: what the highest version of the package asks for;
//! - the **chains**: from each head down along `replaces`, as it is stored with the bundles, to one
//!   that replaces nothing or is deprecated.
//!
//! What no chain meets is in no channel any more. A channel whose head is deprecated goes.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::placed::{NewEntry, PlacedChannel, PlacedPackage};
use crate::version::{Identifier, Version};
use crate::{Candidate, PackageRows, Refusal, Refusals};

/// The new bundles that take the place of one with the same name, which is removed before anything
/// is written (§5.3 step 1): of each package the first one noted.
pub fn making_room<'a>(
    new: &'a [Candidate],
    noted: &'a BTreeSet<String>,
) -> impl Iterator<Item = &'a Candidate> {
    let mut packages = BTreeSet::new();
    new.iter()
        .filter(|bundle| noted.contains(&bundle.name))
        .filter(move |bundle| packages.insert(&bundle.package))
}

/// What a chain has to know of a stored bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainNode {
    /// Its name is in `deprecated`: no chain goes on below it, whatever it replaces.
    Deprecated,
    /// Its edges, as stored.
    Live {
        /// What it replaces; empty for nothing.
        replaces: String,
        /// What it skips, in order.
        skips: Vec<String>,
    },
}

/// The graph of a package with new bundles in it, whose rows are stored already (§5.3 step 3).
/// `rows` is the package before. `stored` looks up a bundle of the index and answers `None` when
/// there is none; it is asked once for each head and each bundle on a chain, for nothing else.
///
/// # Errors
/// What `stored` fails with; within, every reason to refuse that is found.
pub fn place_by_replaces<E>(
    rows: &PackageRows,
    new: &[&Candidate],
    stored: impl FnMut(&str) -> Result<Option<ChainNode>, E>,
) -> Result<Result<PlacedPackage, Refusals>, E> {
    let (heads, default_channel) = match choose(rows, new) {
        Ok(chosen) => chosen,
        Err(refusal) => return Ok(Err(refusal.into())),
    };
    let mut index = Index::new(stored);
    let mut live = Vec::new();
    for (channel, head) in heads {
        if index.node(&head)? != Some(&ChainNode::Deprecated) {
            live.push((channel, head));
        }
    }
    let mut found = Vec::new();
    if !live.iter().any(|(channel, _)| *channel == default_channel) {
        found.push(Refusal::NoDefaultChannel {
            package: rows.name.clone(),
        });
    }
    let mut channels = BTreeMap::new();
    for (channel, head) in live {
        match walk(&head, &mut index)? {
            Ok(placed) => drop(channels.insert(channel, placed)),
            Err(refusal) => found.push(refusal),
        }
    }
    Ok(Refusals::check(found).map(|()| PlacedPackage {
        default_channel,
        channels,
    }))
}

// Heads and default channel.

/// A bundle of the package as the choice of heads sees it.
struct Member<'a> {
    name: &'a str,
    /// As written; empty for none.
    version: &'a str,
    /// With repetitions.
    channels: Vec<&'a str>,
    /// The default channel it asks for; empty for none.
    default_channel: &'a str,
}

/// The bundles that have entries in the package, with the channels of these and the default channel
/// the package has; then the new ones with their annotations.
fn members<'a>(rows: &'a PackageRows, new: &[&'a Candidate]) -> Vec<Member<'a>> {
    let channels = rows.channels_by_bundle();
    let present = rows.present.iter().map(|(name, row)| Member {
        name,
        version: &row.version,
        channels: channels
            .get(name.as_str())
            .into_iter()
            .flatten()
            .copied()
            .collect(),
        default_channel: rows.default_channel.as_deref().unwrap_or_default(),
    });
    let new = new.iter().map(|bundle| Member {
        name: &bundle.name,
        version: &bundle.version,
        channels: bundle.channels.iter().map(String::as_str).collect(),
        default_channel: &bundle.default_channel,
    });
    present.chain(new).collect()
}

#[derive(Clone, Default)]
struct Contender<'a> {
    name: &'a str,
    version: Version,
    /// How often this version was met; above one, the place is contested.
    count: usize,
}

/// The head of each channel, and the default channel.
///
/// The bundles are gone through once. One that is not below the head of a channel so far becomes its
/// head; one that is not below all before it decides on the default channel, if it asks for one.
fn choose(
    rows: &PackageRows,
    new: &[&Candidate],
) -> Result<(BTreeMap<String, String>, String), Refusal> {
    let members = members(rows, new);
    let mut heads: BTreeMap<&str, Contender> = BTreeMap::new();
    let mut highest = Contender::default();
    let mut wanted = "";
    for member in &members {
        let mut current = contender(member)?;
        for channel in &member.channels {
            match heads.get(channel) {
                None => {}
                Some(head) => match compare(&current, head)? {
                    Ordering::Less => continue,
                    // The count is carried on to the member's other channels and to the highest
                    // version below: the reference counts so, and refuses a channel named twice.
                    Ordering::Equal => current.count += head.count,
                    Ordering::Greater => {}
                },
            }
            heads.insert(channel, current.clone());
        }
        match compare(&current, &highest)? {
            Ordering::Less => continue,
            Ordering::Equal => current.count += highest.count,
            Ordering::Greater => {}
        }
        highest = current;
        if !member.default_channel.is_empty() {
            wanted = member.default_channel;
        }
    }
    if highest.count > 1 {
        return Err(Refusal::HighestVersionTwice {
            package: rows.name.clone(),
            version: highest.version.to_string(),
        });
    }
    if let Some((channel, _)) = heads.iter().find(|(_, head)| head.count > 1) {
        return Err(Refusal::HeadContested {
            package: rows.name.clone(),
            channel: (*channel).to_owned(),
        });
    }
    let default_channel = match heads.keys().next() {
        Some(only) if heads.len() == 1 && wanted.is_empty() => *only,
        _ if heads.contains_key(wanted) => wanted,
        _ => {
            return Err(Refusal::DefaultChannelUnknown {
                package: rows.name.clone(),
                wanted: wanted.to_owned(),
                heads: print_heads(&heads),
            });
        }
    };
    let default_channel = default_channel.to_owned();
    let heads = heads
        .into_iter()
        .map(|(channel, head)| (channel.to_owned(), head.name.to_owned()))
        .collect();
    Ok((heads, default_channel))
}

fn contender<'a>(member: &Member<'a>) -> Result<Contender<'a>, Refusal> {
    // A bundle without a version is below every real one.
    let text = if member.version.is_empty() {
        "0.0.0-z"
    } else {
        member.version
    };
    let version = Version::parse(text).map_err(|fault| Refusal::BadVersion {
        name: member.name.to_owned(),
        version: text.to_owned(),
        fault,
    })?;
    Ok(Contender {
        name: member.name,
        version,
        count: 1,
    })
}

/// Build metadata decides between versions that are equal otherwise.
fn compare(current: &Contender, other: &Contender) -> Result<Ordering, Refusal> {
    current
        .version
        .build_cmp(&other.version)
        .map_err(|fault| Refusal::UncomparableVersions {
            name: current.name.to_owned(),
            fault,
        })
}

/// Prints heads like the `%+v` the reference's message is made with.
fn print_heads(heads: &BTreeMap<&str, Contender>) -> String {
    let mut out = String::from("map[");
    for (at, (channel, head)) in heads.iter().enumerate() {
        let Version {
            major,
            minor,
            patch,
            pre,
            build,
        } = &head.version;
        let pre: Vec<String> = pre
            .iter()
            .map(|part| match part {
                Identifier::Number(number) => {
                    format!("{{VersionStr: VersionNum:{number} IsNum:true}}")
                }
                Identifier::Word(word) => {
                    format!("{{VersionStr:{word} VersionNum:0 IsNum:false}}")
                }
            })
            .collect();
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "{}{channel}:{{name:{} version:{{Major:{major} Minor:{minor} Patch:{patch} \
             Pre:[{}] Build:[{}]}} count:{}}}",
            if at == 0 { "" } else { " " },
            head.name,
            pre.join(" "),
            build.join(" "),
            head.count,
        );
    }
    out.push(']');
    out
}

// Chains.

/// Stored bundles, each looked up once: channels share most of their chains.
struct Index<F> {
    stored: F,
    known: BTreeMap<String, Option<ChainNode>>,
}

impl<E, F: FnMut(&str) -> Result<Option<ChainNode>, E>> Index<F> {
    fn new(stored: F) -> Self {
        Self {
            stored,
            known: BTreeMap::new(),
        }
    }

    fn node(&mut self, name: &str) -> Result<Option<&ChainNode>, E> {
        if !self.known.contains_key(name) {
            let node = (self.stored)(name)?;
            self.known.insert(name.to_owned(), node);
        }
        Ok(self.known.get(name).and_then(Option::as_ref))
    }
}

/// The entries of a channel, from its head down: one for each bundle of the chain, which replaces
/// that of the next. Behind a bundle's own entry there is a pair for each name it skips, one for that
/// name, one that replaces it for the bundle again; a bundle of that name need not exist. Every
/// entry is one deeper than that of the chain or the pair before it.
fn walk<E, F: FnMut(&str) -> Result<Option<ChainNode>, E>>(
    head: &str,
    index: &mut Index<F>,
) -> Result<Result<PlacedChannel, Refusal>, E> {
    let mut entries = vec![NewEntry::new(head, 0)];
    let mut chain = Vec::new();
    let mut seen = BTreeSet::from([head.to_owned()]);
    let mut name = head.to_owned();
    let (mut own, mut depth) = (0, 1);
    // A row without a name is no bundle.
    while let Some(node) = index.node(&name)?.filter(|_| !name.is_empty()) {
        chain.push(name.clone());
        let ChainNode::Live { replaces, skips } = node else {
            break;
        };
        for skip in skips {
            entries.push(NewEntry::new(skip, depth));
            let skipped = entries.len() - 1;
            entries.push(NewEntry {
                replaces: Some(skipped),
                ..NewEntry::new(&name, depth)
            });
            depth += 1;
        }
        if replaces.is_empty() {
            break;
        }
        let replaces = replaces.clone();
        if !seen.insert(replaces.clone()) {
            return Ok(Err(Refusal::ReplacesCycle { name, replaces }));
        }
        if index.node(&replaces)?.is_none() {
            let head = head.to_owned();
            let near = None;
            return Ok(Err(Refusal::ReplacesMissing {
                head,
                replaces,
                near,
            }));
        }
        entries.push(NewEntry::new(&replaces, depth));
        let next = entries.len() - 1;
        if let Some(entry) = entries.get_mut(own) {
            entry.replaces = Some(next);
        }
        (own, name) = (next, replaces);
        depth += 1;
    }
    Ok(Ok(PlacedChannel {
        head: head.to_owned(),
        entries,
        properties_for: chain,
    }))
}

#[cfg(test)]
mod tests;
