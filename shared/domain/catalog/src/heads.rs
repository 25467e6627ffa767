//! Channel heads and default channel of a package in replaces mode (spec index-database §5.3).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::{Refusal, Version, version::Identifier};

/// A bundle of the package as this choice sees it: an existing one with the channels it has
/// entries in and the package's present default channel, or a new one with its annotations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its version as written; empty for none.
    pub version: String,
    /// Its channels, with repetitions.
    pub channels: Vec<String>,
    /// The default channel it names; empty for none.
    pub default_channel: String,
}

/// What was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageHeads {
    /// The default channel; one of `heads`.
    pub default_channel: String,
    /// Head of each channel.
    pub heads: BTreeMap<String, String>,
}

#[derive(Clone, Default)]
struct Contender {
    name: String,
    version: Version,
    /// How often this version was met; above one, the place is contested.
    count: usize,
}

/// Chooses heads and default channel from all bundles of a package: existing ones first, then the
/// new ones.
///
/// # Errors
/// A version that is none, a contested head, a default channel that is not among the channels.
pub fn choose_heads(package: &str, members: &[Member]) -> Result<PackageHeads, Refusal> {
    let mut heads: BTreeMap<String, Contender> = BTreeMap::new();
    let mut highest = Contender::default();
    let mut wanted = String::new();
    for member in members {
        let mut current = contender(member)?;
        for channel in &member.channels {
            match heads.get(channel) {
                None => {}
                Some(head) => match compare(member, &current, head)? {
                    Ordering::Less => continue,
                    // The count is carried on to the member's other channels and to the highest
                    // version below: the reference counts so, and refuses a channel named twice.
                    Ordering::Equal => current.count += head.count,
                    Ordering::Greater => {}
                },
            }
            heads.insert(channel.clone(), current.clone());
        }
        match compare(member, &current, &highest)? {
            Ordering::Less => continue,
            Ordering::Equal => current.count += highest.count,
            Ordering::Greater => {}
        }
        highest = current;
        if !member.default_channel.is_empty() {
            wanted.clone_from(&member.default_channel);
        }
    }
    if highest.count > 1 {
        return Err(Refusal::HighestVersionTwice {
            package: package.to_owned(),
            version: highest.version.to_string(),
        });
    }
    if let Some((channel, _)) = heads.iter().find(|(_, head)| head.count > 1) {
        return Err(Refusal::HeadContested {
            package: package.to_owned(),
            channel: channel.clone(),
        });
    }
    let default_channel = match heads.keys().next() {
        Some(only) if heads.len() == 1 && wanted.is_empty() => only.clone(),
        _ if heads.contains_key(&wanted) => wanted,
        _ => {
            return Err(Refusal::DefaultChannelUnknown {
                package: package.to_owned(),
                wanted,
                heads: print_heads(&heads),
            });
        }
    };
    let heads = heads
        .into_iter()
        .map(|(channel, head)| (channel, head.name))
        .collect();
    Ok(PackageHeads {
        default_channel,
        heads,
    })
}

fn contender(member: &Member) -> Result<Contender, Refusal> {
    // A bundle without a version is below every real one.
    let text = if member.version.is_empty() {
        "0.0.0-z"
    } else {
        &member.version
    };
    let version = Version::parse(text).map_err(|fault| Refusal::BadVersion {
        name: member.name.clone(),
        version: text.to_owned(),
        fault,
    })?;
    Ok(Contender {
        name: member.name.clone(),
        version,
        count: 1,
    })
}

fn compare(member: &Member, low: &Contender, high: &Contender) -> Result<Ordering, Refusal> {
    low.version
        .build_cmp(&high.version)
        .map_err(|fault| Refusal::UncomparableVersions {
            name: member.name.clone(),
            fault,
        })
}

/// Prints heads like the `%+v` the reference's message is made with.
fn print_heads(heads: &BTreeMap<String, Contender>) -> String {
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

#[cfg(test)]
mod tests {
    use super::{Member, choose_heads};

    fn member(name: &str, version: &str, channels: &[&str], default_channel: &str) -> Member {
        Member {
            name: name.to_owned(),
            version: version.to_owned(),
            channels: channels.iter().map(ToString::to_string).collect(),
            default_channel: default_channel.to_owned(),
        }
    }

    fn message(members: &[Member]) -> String {
        choose_heads("p", members).unwrap_err().to_string()
    }

    #[test]
    fn the_highest_version_heads_each_channel_and_names_the_default() {
        let chosen = choose_heads(
            "p",
            &[
                member("a", "1.0.0", &["x", "y"], "x"),
                member("c", "2.0.0", &["y"], "y"),
                member("b", "1.1.0", &["x"], "x"),
            ],
        )
        .unwrap();
        assert_eq!(chosen.default_channel, "y");
        assert_eq!(chosen.heads["x"], "b");
        assert_eq!(chosen.heads["y"], "c");
    }

    #[test]
    fn a_single_channel_is_the_default_when_none_is_named() {
        let chosen = choose_heads("p", &[member("a", "", &["x"], "")]).unwrap();
        assert_eq!(chosen.default_channel, "x");
    }

    #[test]
    fn a_default_that_is_no_channel_is_refused_with_the_heads() {
        assert_eq!(
            message(&[member("a.v1", "1.2.3-rc.1+b", &["x"], "stable")]),
            "unable to determine default channel among channel heads: map[x:{name:a.v1 \
             version:{Major:1 Minor:2 Patch:3 Pre:[{VersionStr:rc VersionNum:0 IsNum:false} \
             {VersionStr: VersionNum:1 IsNum:true}] Build:[b]} count:1}]"
        );
        assert!(message(&[member("a", "1.0.0", &[], "")]).ends_with("heads: map[]"));
    }

    #[test]
    fn equal_versions_are_refused() {
        for (members, words) in [
            (
                vec![
                    member("a", "1.0.0", &["x"], ""),
                    member("b", "1.0.0", &["y"], ""),
                ],
                "more than one bundle with maximum version 1.0.0",
            ),
            (
                vec![member("a", "1.0.0", &["x", "x"], "")],
                "more than one bundle with maximum version 1.0.0",
            ),
            (
                vec![
                    member("a", "1.0.0", &["x"], "y"),
                    member("b", "1.0.0", &["x"], "y"),
                    member("c", "2.0.0", &["y"], "y"),
                ],
                "more than one potential channel head for x",
            ),
        ] {
            assert_eq!(message(&members), words);
        }
    }

    #[test]
    fn build_metadata_decides_between_equal_versions() {
        let chosen = choose_heads(
            "p",
            &[
                member("a", "1.0.0+2", &["x"], ""),
                member("b", "1.0.0+10", &["x"], ""),
            ],
        )
        .unwrap();
        assert_eq!(chosen.heads["x"], "b");
    }
}
