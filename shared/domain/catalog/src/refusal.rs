//! Why an add is refused. `Display` is the reference's message, which users and tools know; what
//! to do about it is in [`Refusal::hint`].

use std::collections::BTreeSet;
use std::fmt;

use crate::{VersionError, nearest_bundle};

/// One reason to refuse an add (spec index-database §5.2 to §7, §15).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The package has an image among the new ones.
    #[error("Bundle {image} already exists")]
    ImageExists {
        /// The new bundle's image.
        image: String,
    },
    /// The name is in the package already.
    #[error("Bundle already added that provides package and csv")]
    CsvExists {
        /// The new bundle's name.
        name: String,
    },
    /// The bundle to be overwritten has a successor.
    #[error(
        "Cannot overwrite a bundle that is not at the head of a channel using --overwrite-latest"
    )]
    OverwriteNotHead {
        /// The new bundle's name.
        name: String,
        /// The channel in which it is replaced.
        channel: String,
    },
    /// Two overwrites in a package.
    #[error(
        "Cannot overwrite more than one bundle at a time for a given package using --overwrite-latest"
    )]
    OverwriteSeveral {
        /// The package.
        package: String,
    },
    /// The bundle to be overwritten has a successor, found while overwriting.
    #[error(
        "cannot overwrite bundle {name} from package {package}: replaced by {by} on channel {channel}"
    )]
    OverwriteReplaced {
        /// The bundle.
        name: String,
        /// Its package.
        package: String,
        /// Its successor.
        by: String,
        /// Where.
        channel: String,
    },
    /// The old bundle is no image.
    #[error("index add --overwrite-latest is only supported when using bundle images")]
    OverwriteWithoutImage {
        /// The bundle.
        name: String,
    },
    /// A name two packages of the call lay claim to.
    #[error("bundle {name} must belong to exactly one package, found on: [{low} {high}]")]
    NameInTwoPackages {
        /// The name.
        name: String,
        /// The lower package name.
        low: String,
        /// The higher one.
        high: String,
    },
    /// A name another package of the index has.
    #[error(
        "bundle {name} belongs to package {owner} on index, cannot be added as an edge for package {package}"
    )]
    NameInOtherPackage {
        /// The name.
        name: String,
        /// The package that has it.
        owner: String,
        /// The package of the new bundle.
        package: String,
    },
    /// The name exists in the index, wherever.
    #[error("failed to add bundle {name:?}: UNIQUE constraint failed: operatorbundle.name")]
    NameExists {
        /// The name.
        name: String,
    },
    /// Substitution without alpha features.
    #[error(
        "SubstitutesFor is an alpha-only feature. You must enable alpha features with the flag --enable-alpha in order to use this feature."
    )]
    AlphaNeeded {
        /// The bundle.
        name: String,
    },
    /// Two substitutes of one bundle with one version.
    #[error(
        "failed to add substitutes : cannot determine latest substitution because of duplicate versions"
    )]
    SubstitutionUnclear {
        /// The new bundle.
        name: String,
        /// The other substitute.
        other: String,
    },
    /// More than one bundle substitutes for the new one.
    #[error(
        "failed to add substitutes : programmer error: more than one substitution pointing to {name}"
    )]
    SubstitutedTwice {
        /// The new bundle.
        name: String,
    },
    /// A substitute whose version cannot be compared.
    #[error("failed to add substitutes : {fault}")]
    SubstituteVersion {
        /// The bundle whose version it is.
        name: String,
        /// What is wrong with it; part of the message, so not a source.
        fault: VersionError,
    },
    /// A version that is none.
    #[error("error parsing bundle {name} version {version}: {fault}")]
    BadVersion {
        /// The bundle.
        name: String,
        /// The version as written.
        version: String,
        /// What is wrong with it; part of the message, so not a source.
        fault: VersionError,
    },
    /// Versions that differ in uncomparable build metadata only.
    #[error("{fault}")]
    UncomparableVersions {
        /// The bundle.
        name: String,
        /// What is wrong; part of the message, so not a source.
        fault: VersionError,
    },
    /// The highest version occurs twice.
    #[error("more than one bundle with maximum version {version}")]
    HighestVersionTwice {
        /// The package.
        package: String,
        /// The version.
        version: String,
    },
    /// The highest version of a channel occurs twice.
    #[error("more than one potential channel head for {channel}")]
    HeadContested {
        /// The package.
        package: String,
        /// The channel.
        channel: String,
    },
    /// The default channel is not among the channels.
    #[error("unable to determine default channel among channel heads: {heads}")]
    DefaultChannelUnknown {
        /// The package.
        package: String,
        /// The default channel asked for; empty for none.
        wanted: String,
        /// The heads, printed as the reference prints them.
        heads: String,
    },
    /// The default channel's head is deprecated.
    #[error("no default channel specified for {package}")]
    NoDefaultChannel {
        /// The package.
        package: String,
    },
    /// The latest bundle is the only one in a channel.
    #[error("{bundle} is the only bundle in channel {channel} of package {package}")]
    OnlyInChannel {
        /// The package.
        package: String,
        /// The channel.
        channel: String,
        /// The bundle.
        bundle: String,
        /// Whether a default channel would be empty.
        is_default: bool,
    },
    /// The latest bundle is the only way to another one.
    #[error(
        "without {gone}, {bundle} is not reached any more in channel {channel} of package {package}"
    )]
    OnlyWay {
        /// The package.
        package: String,
        /// The channel.
        channel: String,
        /// The bundle that would fall out.
        bundle: String,
        /// The latest one.
        gone: String,
    },
    /// A chain that bites its tail.
    #[error("Cycle detected, {name} replaces {replaces}")]
    ReplacesCycle {
        /// The bundle.
        name: String,
        /// What it replaces.
        replaces: String,
    },
    /// A chain that leads nowhere.
    #[error("Invalid bundle {head}, replaces nonexistent bundle {replaces}")]
    ReplacesMissing {
        /// Head of the channel.
        head: String,
        /// The name that is not there.
        replaces: String,
        /// The name that is most like it, once it was looked for ([`Refusals::with_nearest`]).
        near: Option<String>,
    },
    /// The written graph cannot be read back.
    #[error("unable to verify added bundles for package {package}: {fault}")]
    NotVerified {
        /// The package.
        package: String,
        /// Why; part of the message, so not a source.
        fault: Box<Refusal>,
    },
    /// A channel has no top.
    #[error("no channel head found for {channel}")]
    NoHead {
        /// The package.
        package: String,
        /// The channel.
        channel: String,
    },
    /// A channel has several tops.
    #[error("multiple candidate channel heads found for {channel}: {heads}")]
    SeveralHeads {
        /// The package.
        package: String,
        /// The channel.
        channel: String,
        /// The heads, printed as the reference prints them.
        heads: String,
    },
    /// A new bundle nothing leads to.
    #[error("{0}")]
    Pruned(Box<PrunedBundle>),
    /// A version semver mode cannot place.
    #[error("Bundle version {version} is not valid")]
    SemverBadVersion {
        /// The bundle.
        name: String,
        /// The version as written.
        version: String,
    },
    /// A version that a channel of the bundle has already, builds aside.
    #[error("Bundle version {version} already added to index")]
    SemverVersionTwice {
        /// The bundle.
        name: String,
        /// The version as written.
        version: String,
    },
    /// The default channel is none of the channels.
    #[error("the default channel ({channel}) does not exist")]
    DefaultChannelAbsent {
        /// The package.
        package: String,
        /// The channel.
        channel: String,
    },
    /// A channel whose versions are no chain.
    #[error(
        "error loading bundle {name} into db: Invalid graph: some (non-bottom) nodes defined in the graph were not mentioned as replacements of any node ({nodes} != {walked})"
    )]
    GraphBroken {
        /// The new bundle.
        name: String,
        /// The channel.
        channel: String,
        /// How many bundles the channel has.
        nodes: usize,
        /// How many the way down from the head has.
        walked: usize,
    },
    /// A package that is not in the index.
    #[error(
        "error deleting packages from database: error removing operator package {package}: no package found for packagename {package}"
    )]
    NoPackage {
        /// The package.
        package: String,
        /// The name there that may be meant ([`crate::nearest_package`]).
        near: Option<String>,
    },
    /// Images that no bundle of the index has.
    #[error("no bundle of the index has these images: [{}]", .images.join(" "))]
    NoSuchImages {
        /// The images.
        images: Vec<String>,
    },
    /// Images to be deprecated that no bundle of the index has.
    #[error("target bundlepaths for deprecation missing from registry: [{}]", .images.join(" "))]
    DeprecateMissing {
        /// The images.
        images: Vec<String>,
    },
    /// The head of the default channel cannot go.
    #[error("error deprecating bundle {image}: Bundle deprecation causing default channel removal")]
    DeprecateDefaultHead {
        /// The image that was to be deprecated.
        image: String,
    },
    /// A package can only go as a whole.
    #[error(
        "cannot deprecate default channel head from package without removing all other channel heads in package {package}: must deprecate {image}, head of channel {channel}"
    )]
    DeprecateOtherHeads {
        /// The package.
        package: String,
        /// The image that would have to go, too.
        image: String,
        /// The channel that it heads.
        channel: String,
    },
}

/// A new bundle that cannot be reached from the head of one of its channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrunedBundle {
    /// The bundle.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Its package.
    pub package: String,
    /// The channel it should be in.
    pub channel: String,
    /// Head of that channel; empty when there is no such channel.
    pub head: String,
    /// What the head skips or replaces.
    pub edges: Vec<String>,
}

impl fmt::Display for PrunedBundle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            image,
            package,
            channel,
            head,
            edges,
        } = self;
        write!(
            out,
            "add prunes bundle {name} ({image}) from package {package}, channel {channel}: this \
             may be due to incorrect channel head ({head}, skips/replaces [{}]). Be aware that the \
             head of the channel {channel} where you are trying to add the {name} is {head}. \
             Upgrade graphs follows the Semantic Versioning 2.0.0 (https://semver.org/) which \
             means that is not possible add new versions lower then the head of the channel",
            edges.join(" ")
        )
    }
}

impl Refusal {
    /// What the user can do, as a sentence of its own; `None` where the message says it all.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::ReplacesMissing {
                replaces,
                near: None,
                ..
            } => Some(format!(
                "add {replaces} first or in the same request, or correct spec.replaces"
            )),
            Self::ReplacesMissing {
                replaces,
                near: Some(near),
                ..
            } => Some(format!(
                "if {near} is meant, the nearest name in its package, correct spec.replaces; \
                 else add {replaces} first or in the same request"
            )),
            Self::CsvExists { name } | Self::NameExists { name } => Some(format!(
                "the index has {name} with another image; give the bundle a new name and version"
            )),
            Self::OverwriteNotHead { name, channel } => Some(format!(
                "in channel {channel} {name} is replaced; publish a new version instead"
            )),
            Self::Pruned(pruned) => Some(format!(
                "use a version above that of {} in channel {}, or let a bundle on the way down \
                 from it replace or skip this one",
                pruned.head, pruned.channel
            )),
            Self::DefaultChannelUnknown { wanted, .. } if wanted.is_empty() => {
                Some("name the default channel in the bundle's annotations".to_owned())
            }
            Self::DefaultChannelUnknown { wanted, .. } => Some(format!(
                "add a bundle to channel {wanted}, or name one of the channels as default"
            )),
            Self::HighestVersionTwice { version, .. } => Some(format!(
                "give one of the bundles with version {version} another version"
            )),
            Self::BadVersion { .. } => {
                Some("set spec.version to MAJOR.MINOR.PATCH without leading v or zeroes".to_owned())
            }
            Self::SemverBadVersion { name, .. } => Some(format!(
                "set spec.version of {name} to MAJOR.MINOR.PATCH without leading v or zeroes"
            )),
            Self::SemverVersionTwice { name, .. } => Some(format!(
                "give {name} a version of its own; what follows a + does not tell versions apart"
            )),
            Self::DefaultChannelAbsent { package, channel } => Some(format!(
                "add a bundle of {package} to channel {channel}, or name one of its channels as default"
            )),
            Self::GraphBroken { channel, .. } => Some(format!(
                "bundles of channel {channel} are skipped and still in the index: use mode replaces \
                 for this package"
            )),
            Self::NoPackage {
                package,
                near: Some(near),
            } => Some(format!(
                "the index has no bundle of {package} in any channel: is {near} meant?"
            )),
            Self::NoPackage {
                package,
                near: None,
            } => Some(format!(
                "the index has no bundle of {package} in any channel: check its spelling, and name \
                 each package once"
            )),
            Self::DeprecateMissing { .. } | Self::NoSuchImages { .. } => Some(
                "name bundles as the index has them, by digest if it has them by digest".to_owned(),
            ),
            Self::DeprecateDefaultHead { .. } => Some(
                "add a newer bundle to the default channel first, or deprecate the heads of all \
                 channels and allow the removal of the package"
                    .to_owned(),
            ),
            Self::DeprecateOtherHeads { package, .. } => Some(format!(
                "deprecate the heads of all channels of {package}, and it is removed"
            )),
            Self::OnlyInChannel {
                package,
                is_default,
                ..
            } => Some(match is_default {
                true => format!(
                    "add a bundle to the default channel of {package} first, or remove the package"
                ),
                false => "say that channels may go which have no other bundle".to_owned(),
            }),
            Self::OnlyWay { gone, .. } => Some(format!(
                "add a bundle in the place of {gone} instead, overwriting the latest"
            )),
            Self::NotVerified { fault, .. } => fault.hint(),
            Self::ImageExists { .. }
            | Self::OverwriteSeveral { .. }
            | Self::OverwriteReplaced { .. }
            | Self::OverwriteWithoutImage { .. }
            | Self::NameInTwoPackages { .. }
            | Self::NameInOtherPackage { .. }
            | Self::AlphaNeeded { .. }
            | Self::SubstitutionUnclear { .. }
            | Self::SubstitutedTwice { .. }
            | Self::SubstituteVersion { .. }
            | Self::UncomparableVersions { .. }
            | Self::HeadContested { .. }
            | Self::NoDefaultChannel { .. }
            | Self::ReplacesCycle { .. }
            | Self::NoHead { .. }
            | Self::SeveralHeads { .. } => None,
        }
    }
}

/// All reasons one call found; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusals {
    /// Never empty: made by `check` and `from` only.
    reasons: Vec<Refusal>,
}

impl Refusals {
    /// `Ok` when there is nothing to refuse.
    ///
    /// # Errors
    /// The reasons, in the order given.
    pub fn check(reasons: Vec<Refusal>) -> Result<(), Self> {
        if reasons.is_empty() {
            Ok(())
        } else {
            Err(Self { reasons })
        }
    }

    /// The reasons in order.
    pub fn iter(&self) -> impl Iterator<Item = &Refusal> {
        self.reasons.iter()
    }

    /// The same with the nearest of these names, which are those of a package, for a bundle of it that is not
    /// there.
    #[must_use]
    pub fn with_nearest(mut self, names: &[&str]) -> Self {
        for reason in &mut self.reasons {
            let reason = match reason {
                Refusal::NotVerified { fault, .. } => &mut **fault,
                reason => reason,
            };
            if let Refusal::ReplacesMissing {
                head,
                replaces,
                near,
            } = reason
            {
                let others = names.iter().copied().filter(|name| name != head);
                *near = nearest_bundle(replaces, others).map(str::to_owned);
            }
        }
        self
    }

    /// The exit status of `opm registry add` (spec §15): 2 when an image exists, 3 when a name
    /// exists, else 1.
    pub fn exit_code(&self) -> u8 {
        if self
            .iter()
            .any(|refusal| matches!(refusal, Refusal::ImageExists { .. }))
        {
            2
        } else if self
            .iter()
            .any(|refusal| matches!(refusal, Refusal::CsvExists { .. }))
        {
            3
        } else {
            1
        }
    }

    /// The hints of all reasons, each once, in order.
    pub fn hints(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        self.iter()
            .filter_map(Refusal::hint)
            .filter(|hint| seen.insert(hint.clone()))
            .collect()
    }
}

impl From<Refusal> for Refusals {
    fn from(reason: Refusal) -> Self {
        Self {
            reasons: vec![reason],
        }
    }
}

impl fmt::Display for Refusals {
    /// Equal messages once; one message alone, several as `[A, B]` (spec §15).
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut seen = BTreeSet::new();
        let messages: Vec<String> = self
            .iter()
            .map(ToString::to_string)
            .filter(|message| seen.insert(message.clone()))
            .collect();
        match messages.as_slice() {
            [one] => out.write_str(one),
            several => write!(out, "[{}]", several.join(", ")),
        }
    }
}

impl std::error::Error for Refusals {}

#[cfg(test)]
mod tests {
    use super::{Refusal, Refusals};

    fn exists(image: &str) -> Refusal {
        Refusal::ImageExists {
            image: image.to_owned(),
        }
    }

    #[test]
    fn equal_messages_are_said_once() {
        let name = Refusal::CsvExists {
            name: "a".to_owned(),
        };
        let other = Refusal::CsvExists {
            name: "b".to_owned(),
        };
        let one = Refusals::check(vec![name.clone(), other.clone()]).unwrap_err();
        assert_eq!(
            one.to_string(),
            "Bundle already added that provides package and csv"
        );
        assert_eq!(one.exit_code(), 3);
        let both = Refusals::check(vec![exists("x"), name, other]).unwrap_err();
        assert_eq!(
            both.to_string(),
            "[Bundle x already exists, Bundle already added that provides package and csv]"
        );
        assert_eq!(both.exit_code(), 2);
    }

    #[test]
    fn nothing_found_is_no_refusal() {
        assert_eq!(Refusals::check(Vec::new()), Ok(()));
    }
}
