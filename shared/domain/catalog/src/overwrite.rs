//! Taking a bundle out of its channels, so that another can have its name (spec index-database §7).

use crate::{PackageRows, Refusal};

/// A channel that gets another head for the time being.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterimHead {
    /// The channel.
    pub channel: String,
    /// The bundle below. `None` so that the channel outlives the bundle, and with it the package,
    /// whose default channel it is.
    pub head: Option<String>,
}

/// The heads that channels get before `bundle` is removed. Channels that are not named stay as they
/// are, and go with the bundle if it heads them.
///
/// # Errors
/// Something replaces the bundle.
pub fn make_room(rows: &PackageRows, bundle: &str) -> Result<Vec<InterimHead>, Refusal> {
    let channels = rows.channels_of(bundle);
    for channel in &channels {
        if let Some(by) = rows.replacer_of(bundle, channel) {
            return Err(Refusal::OverwriteReplaced {
                name: bundle.to_owned(),
                package: rows.name.clone(),
                by: by.to_owned(),
                channel: (*channel).to_owned(),
            });
        }
    }
    let mut interim = Vec::new();
    for channel in channels {
        let head = match below(rows, bundle, channel) {
            Some(below) => {
                let row = rows.channels.get(channel);
                if row.and_then(|row| row.head.as_deref()) != Some(bundle) {
                    continue;
                }
                Some(below.to_owned())
            }
            None if rows.default_channel.as_deref() == Some(channel) => None,
            None => continue,
        };
        interim.push(InterimHead {
            channel: channel.to_owned(),
            head,
        });
    }
    Ok(interim)
}

/// The existing bundle that the uppermost entry of `bundle` replaces.
fn below<'a>(rows: &'a PackageRows, bundle: &str, channel: &str) -> Option<&'a str> {
    let mut entries = rows.entries.iter().filter(|entry| entry.channel == channel);
    let own = entries.clone().filter(|entry| entry.bundle == bundle);
    let target = own.min_by_key(|entry| (entry.depth, entry.id))?.replaces?;
    let below = entries.find(|entry| entry.id == target)?;
    let exists = rows.present.contains_key(&below.bundle);
    exists.then_some(below.bundle.as_str())
}

#[cfg(test)]
mod tests {
    use super::{InterimHead, make_room};
    use crate::{ChannelRow, Entry, PackageRows, PresentRow};

    /// Channel `c`, whose head is the first bundle; each entry is (bundle, position of what it
    /// replaces).
    fn rows(entries: &[(&str, Option<i64>)], present: &[&str]) -> PackageRows {
        let head = ChannelRow {
            head: entries.first().map(|(bundle, _)| (*bundle).to_owned()),
        };
        let entry = |(id, (bundle, replaces)): (i64, &(&str, Option<i64>))| Entry {
            id,
            channel: "c".to_owned(),
            bundle: (*bundle).to_owned(),
            replaces: *replaces,
            depth: id,
        };
        let present = present.iter();
        PackageRows {
            name: "p".to_owned(),
            default_channel: Some("c".to_owned()),
            channels: [("c".to_owned(), head)].into(),
            entries: (0..).zip(entries).map(entry).collect(),
            present: present
                .map(|name| ((*name).to_owned(), PresentRow::default()))
                .collect(),
        }
    }

    fn interim(head: Option<&str>) -> Vec<InterimHead> {
        vec![InterimHead {
            channel: "c".to_owned(),
            head: head.map(str::to_owned),
        }]
    }

    #[test]
    fn the_bundle_below_becomes_the_head() {
        let rows = rows(&[("b", Some(1)), ("a", None)], &["a", "b"]);
        assert_eq!(make_room(&rows, "b"), Ok(interim(Some("a"))));
    }

    #[test]
    fn with_nothing_below_the_default_channel_stays_without_a_head() {
        let mut rows = rows(&[("b", Some(1)), ("gone", None)], &["b"]);
        assert_eq!(make_room(&rows, "b"), Ok(interim(None)));
        rows.default_channel = Some("other".to_owned());
        assert_eq!(make_room(&rows, "b"), Ok(Vec::new()));
    }

    #[test]
    fn what_does_not_head_the_channel_leaves_its_head_alone() {
        let mut rows = rows(&[("b", Some(1)), ("a", None)], &["a", "b"]);
        rows.channels.get_mut("c").unwrap().head = Some("z".to_owned());
        assert_eq!(make_room(&rows, "b"), Ok(Vec::new()));
    }

    #[test]
    fn what_something_replaces_or_skips_is_not_taken_out() {
        let rows = rows(&[("b", Some(1)), ("a", None)], &["a", "b"]);
        assert_eq!(
            make_room(&rows, "a").unwrap_err().to_string(),
            "cannot overwrite bundle a from package p: replaced by b on channel c"
        );
    }
}
