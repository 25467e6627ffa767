//! Taking the latest bundle out of a package (mutable-registry O5, which the reference never got).

use std::collections::BTreeSet;

use crate::{PackageRows, Refusal, Version};

/// What happens to channels that have no other bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoneBundle {
    /// The call is refused.
    #[default]
    Refuse,
    /// They go with it; a package without any other bundle goes altogether.
    DropChannel,
}

/// What goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Latest {
    /// The bundle.
    Bundle(String),
    /// The bundle, and with it the package.
    Package,
}

/// Which bundle is the latest of a package: of those that head a channel, the one with the highest
/// version.
///
/// # Errors
/// There is no such package; a channel would be empty, or the default channel.
pub fn latest(rows: &PackageRows, lone: LoneBundle) -> Result<Latest, Refusal> {
    let heads = rows.channels.values().filter_map(|row| row.head.as_deref());
    let mut newest: Option<(&str, Option<Version>)> = None;
    for head in heads.collect::<BTreeSet<_>>() {
        let row = rows.present.get(head);
        let version = row.and_then(|row| Version::parse(&row.version).ok());
        let is_newer = match (&newest, &version) {
            (None, _) | (Some((_, None)), Some(_)) => true,
            (Some((_, Some(newest))), Some(version)) => version
                .build_cmp(newest)
                .is_ok_and(std::cmp::Ordering::is_gt),
            (Some(_), None) => false,
        };
        if is_newer {
            newest = Some((head, version));
        }
    }
    let Some((bundle, _)) = newest else {
        return Err(Refusal::NoPackage {
            package: rows.name.clone(),
            near: None,
        });
    };
    let is_alone_in = |channel: &str| {
        let mut others = rows.entries.iter().filter(|entry| entry.channel == channel);
        !others.any(|entry| entry.bundle != bundle && rows.present.contains_key(&entry.bundle))
    };
    let alone = rows
        .channels_of(bundle)
        .into_iter()
        .filter(|channel| is_alone_in(channel));
    let alone: BTreeSet<&str> = alone.collect();
    let Some(first) = alone.first() else {
        return Ok(Latest::Bundle(bundle.to_owned()));
    };
    let default = rows.default_channel.as_deref();
    let emptied_default = default.filter(|default| alone.contains(default));
    match lone {
        LoneBundle::DropChannel if alone.len() == rows.channels.len() => Ok(Latest::Package),
        LoneBundle::DropChannel if emptied_default.is_none() => {
            Ok(Latest::Bundle(bundle.to_owned()))
        }
        LoneBundle::DropChannel | LoneBundle::Refuse => Err(Refusal::OnlyInChannel {
            package: rows.name.clone(),
            channel: emptied_default.unwrap_or(first).to_owned(),
            bundle: bundle.to_owned(),
            is_default: emptied_default.is_some(),
        }),
    }
}

/// Whether every other bundle is where it was: a head may have been the only way to bundles that it
/// skipped, or the graph may not be made of what its bundles replace.
///
/// # Errors
/// A bundle that would fall out of a channel, the first.
pub fn check_kept(before: &PackageRows, after: &PackageRows, gone: &str) -> Result<(), Refusal> {
    for name in before.present.keys().filter(|name| *name != gone) {
        let left = after.channels_of(name);
        let lost = before.channels_of(name);
        if let Some(channel) = lost.difference(&left).next() {
            return Err(Refusal::OnlyWay {
                package: before.name.clone(),
                channel: (*channel).to_owned(),
                bundle: name.clone(),
                gone: gone.to_owned(),
            });
        }
    }
    Ok(())
}
