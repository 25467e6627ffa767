//! Checking a catalog (spec index-database §13, newest-opm §4): every fault, each with its place.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use iib_catalog::Version;

use crate::blob::{Catalog, CatalogBundle, Channel, ChannelEntry};
use crate::deprecations::Judgement;
use crate::origins::Origins;
use crate::property::{self, Known};
use crate::rules::Rules;
use crate::{graph, konflux, newest, skip_range};

/// Where a fault is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The package.
    pub package: Option<String>,
    /// The channel.
    pub channel: Option<String>,
    /// The bundle.
    pub bundle: Option<String>,
}

/// Such as `package "p", channel "c": `; nothing for the catalog as a whole.
impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("package", &self.package),
            ("channel", &self.channel),
            ("bundle", &self.bundle),
        ];
        let parts = parts.into_iter();
        let parts = parts.filter_map(|(kind, name)| Some(format!("{kind} {:?}", name.as_ref()?)));
        match parts.collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => Ok(()),
            place => write!(out, "{place}: "),
        }
    }
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The step that found it: the reference does the steps in this order and ends with the first
    /// that finds anything.
    step: Step,
    /// Where it is.
    pub place: Place,
    /// What is wrong, in the reference's words.
    pub text: String,
    /// The files it is in, where the catalog comes from files.
    pub files: Vec<String>,
}

impl Fault {
    /// That a package is not where Konflux wants it.
    pub(crate) fn of_layout(package: &str, text: String, files: Vec<String>) -> Self {
        Self {
            step: Step::Konflux,
            place: Place::of(package, None, None),
            text,
            files,
        }
    }

    /// Whether it is one of deprecations.
    pub(crate) fn is_of_deprecations(&self) -> bool {
        self.step == Step::Deprecations || self.text.starts_with("invalid deprecation: ")
    }

    /// A fault of a bundle that was found when an index was read.
    pub fn of_bundle(package: &str, bundle: &str, text: String) -> Self {
        Self {
            step: Step::Bundles,
            place: Place::of(package, None, Some(bundle)),
            text,
            files: Vec::new(),
        }
    }
}

/// The steps of §13, 2 to 6; deprecations are one of the newest version, the last one is that of no
/// version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Packages,
    Channels,
    Bundles,
    Entries,
    Deprecations,
    Tree,
    Konflux,
}

/// What was found in a catalog.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Every fault, in the order they are found.
    pub faults: Vec<Fault>,
}

impl Report {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    /// What the reference says: the first fault, or the whole tree if there are none but those of
    /// the tree. `None` for a clean catalog.
    pub fn as_reference(&self) -> Option<String> {
        let first = self.faults.first()?;
        if first.step >= Step::Tree {
            return Some(tree(&self.faults, |fault| fault.text.clone()));
        }
        Some(first.text.clone())
    }

    /// The same with the files the faults are in.
    #[must_use]
    pub fn located(mut self, origins: &Origins) -> Self {
        for fault in &mut self.faults {
            fault.files = origins.of(&fault.place).to_vec();
        }
        self
    }
}

/// All faults as a tree, by package, channel and bundle.
impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&tree(&self.faults, |fault| match fault.files.as_slice() {
            [] => fault.text.clone(),
            files => format!("{} (in {})", fault.text, files.join(", ")),
        }))
    }
}

/// Checks a catalog that was read by these rules; an outline made for them will do. Faults of the
/// reading itself (broken documents, properties that cannot be read) are not in the report: such a
/// catalog cannot be had. What Konflux asks of files is [`crate::layout_fault`]'s.
pub fn check(catalog: &Catalog, rules: Rules) -> Report {
    let mut checker = Checker::new(rules);
    checker.packages(catalog);
    checker.channels(catalog);
    checker.bundles(catalog);
    if rules.are_newest() {
        checker.deprecations(catalog);
    }
    checker.tree();
    if let Rules::Konflux(form) = rules {
        for (place, text) in konflux::faults(catalog, form) {
            checker.found(Step::Konflux, place, text);
        }
    }
    let mut faults = checker.faults;
    // Stable: within a step the order of the files.
    faults.sort_by_key(|fault| fault.step);
    Report { faults }
}

/// The faults of the tree alone, for a catalog that comes from an index database: there the
/// reference does no other step.
pub fn check_tree(catalog: &Catalog, rules: Rules) -> Report {
    let mut report = check(catalog, rules);
    report.faults.retain(|fault| fault.step == Step::Tree);
    report
}

struct Checker<'a> {
    rules: Rules,
    faults: Vec<Fault>,
    /// Default channels by package.
    packages: BTreeMap<&'a str, &'a str>,
    /// Channels by package, in their order.
    channels: BTreeMap<&'a str, Vec<&'a Channel>>,
    /// Bundles by package and name.
    bundles: BTreeMap<(&'a str, &'a str), &'a CatalogBundle>,
    /// By the newest rules.
    deprecations: Judgement,
}

impl<'a> Checker<'a> {
    fn new(rules: Rules) -> Self {
        Self {
            rules,
            faults: Vec::new(),
            packages: BTreeMap::new(),
            channels: BTreeMap::new(),
            bundles: BTreeMap::new(),
            deprecations: Judgement::default(),
        }
    }

    fn found(&mut self, step: Step, place: Place, text: impl Into<String>) {
        self.faults.push(Fault {
            step,
            place,
            text: text.into(),
            files: Vec::new(),
        });
    }

    fn packages(&mut self, catalog: &'a Catalog) {
        for package in &catalog.packages {
            let name = package.name.as_str();
            if name.is_empty() {
                let text = "config contains package with no name";
                self.found(Step::Packages, Place::default(), text);
            }
            if self.packages.contains_key(name) {
                let text = format!("duplicate package {name:?}");
                self.found(Step::Packages, Place::of(name, None, None), text);
                continue;
            }
            if self.rules.are_newest()
                && !name.is_empty()
                && let Some(text) = newest::package_name_fault(name)
            {
                self.found(Step::Packages, Place::of(name, None, None), text);
            }
            self.packages.insert(name, &package.default_channel);
        }
    }

    fn channels(&mut self, catalog: &'a Catalog) {
        for channel in &catalog.channels {
            let (package, name) = (channel.package.as_str(), channel.name.as_str());
            let place = Place::of(package, Some(name), None);
            let text = if !self.packages.contains_key(package) {
                format!("unknown package {package:?} for channel {name:?}")
            } else if name.is_empty() {
                format!("package {package:?} contains channel with no name")
            } else if self.channel(package, name).is_some() {
                format!("package {package:?} has duplicate channel {name:?}")
            } else {
                let mut seen = BTreeSet::new();
                for entry in &channel.entries {
                    if !seen.insert(&entry.name) {
                        let text = format!(
                            "invalid package {package:?}, channel {name:?}: duplicate entry {:?}",
                            entry.name
                        );
                        self.found(Step::Channels, place.clone(), text);
                    }
                }
                self.channels.entry(package).or_default().push(channel);
                continue;
            };
            self.found(Step::Channels, place, text);
        }
    }

    fn channel(&self, package: &str, name: &str) -> Option<&'a Channel> {
        let channels = self.channels.get(package)?;
        channels
            .iter()
            .copied()
            .find(|channel| channel.name == name)
    }

    fn bundles(&mut self, catalog: &'a Catalog) {
        for bundle in &catalog.bundles {
            let (package, name) = (bundle.package.as_str(), bundle.name.as_str());
            let place = Place::of(package, None, Some(name));
            if package.is_empty() {
                let text = format!("package name must be set for bundle {name:?}");
                self.found(Step::Bundles, place.clone(), text);
            }
            if !self.packages.contains_key(package) {
                if !package.is_empty() {
                    let text = format!("unknown package {package:?} for bundle {name:?}");
                    self.found(Step::Bundles, place, text);
                }
                continue;
            }
            let Entry::Vacant(vacant) = self.bundles.entry((package, name)) else {
                let text = format!("package {package:?} has duplicate bundle {name:?}");
                self.found(Step::Bundles, place, text);
                continue;
            };
            vacant.insert(bundle);
            let faults = match self.rules.are_newest() {
                true => newest::bundle_faults(bundle),
                false => package_property_fault(bundle).into_iter().collect(),
            };
            for text in faults {
                self.found(Step::Bundles, place.clone(), text);
            }
            let mut channels = self.channels.get(package).into_iter().flatten();
            if channels.any(|channel| channel.entries.iter().any(|entry| entry.name == name)) {
                continue;
            }
            let text =
                format!("package {package:?}, bundle {name:?} not found in any channel entries");
            self.found(Step::Bundles, place, text);
        }
        // Of each package the reference looks at the last channel only; the tree has the others.
        let mut missing = Vec::new();
        for (package, channels) in &self.channels {
            let Some(last) = channels.last() else {
                continue;
            };
            let mut names: Vec<&str> = last
                .entries
                .iter()
                .map(|entry| entry.name.as_str())
                .filter(|name| !self.bundles.contains_key(&(*package, *name)))
                .collect();
            names.sort_unstable();
            if !names.is_empty() {
                let text = format!(
                    "no olm.bundle blobs found in package {package:?} for olm.channel entries [{}]",
                    names.join(" ")
                );
                missing.push((Place::of(package, Some(&last.name), None), text));
            }
        }
        for (place, text) in missing {
            self.found(Step::Entries, place, text);
        }
    }

    fn deprecations(&mut self, catalog: &Catalog) {
        self.deprecations = Judgement::of(catalog);
        for (package, text) in std::mem::take(&mut self.deprecations.faults) {
            let place = match package.as_str() {
                "" => Place::default(),
                package => Place::of(package, None, None),
            };
            self.found(Step::Deprecations, place, text);
        }
    }

    /// §13.6.
    fn tree(&mut self) {
        for (package, default) in self.packages.clone() {
            let channels = self.channels.get(package).cloned().unwrap_or_default();
            if package.is_empty() {
                let place = Place::of(package, None, None);
                self.found(Step::Tree, place, "package name must not be empty");
            }
            if default.is_empty() {
                let place = Place::of(package, None, None);
                self.found(Step::Tree, place, "default channel must be set");
            } else if self.channel(package, default).is_none() {
                // A default channel that is not there is one without bundles.
                let place = Place::of(package, Some(default), None);
                self.found(Step::Tree, place, EMPTY_CHANNEL);
            }
            if channels.is_empty() && default.is_empty() {
                let place = Place::of(package, None, None);
                let text = "package must contain at least one channel";
                self.found(Step::Tree, place, text);
            }
            if self.rules.are_newest() {
                self.package_tree(package, &channels);
            }
            for channel in channels {
                self.channel_tree(package, channel);
            }
        }
    }

    /// What the newest rules ask of a package.
    fn package_tree(&mut self, package: &str, channels: &[&Channel]) {
        let place = Place::of(package, None, None);
        let entries = channels.iter().flat_map(|channel| &channel.entries);
        let versions = entries.map(|entry| {
            let bundle = self.bundles.get(&(package, entry.name.as_str()));
            (entry.name.as_str(), newest::version_of(bundle.copied()))
        });
        if let Some(text) = newest::versions_fault(versions) {
            self.found(Step::Tree, place.clone(), text);
        }
        if let Some(text) = self.deprecations.silence(package, "olm.package", "") {
            self.found(Step::Tree, place, text);
        }
    }

    fn channel_tree(&mut self, package: &str, channel: &Channel) {
        let name = Some(channel.name.as_str());
        let place = Place::of(package, name, None);
        if let Some(text) = (self.deprecations).silence(package, "olm.channel", &channel.name) {
            self.found(Step::Tree, place.clone(), text);
        }
        if channel.entries.is_empty() {
            self.found(Step::Tree, place, EMPTY_CHANNEL);
            return;
        }
        if let Err(fault) = graph::check(&channel.entries, self.rules) {
            self.found(Step::Tree, place, fault.to_string());
        }
        for entry in &channel.entries {
            let place = Place::of(package, name, Some(&entry.name));
            for (at, _) in entry
                .skips
                .iter()
                .enumerate()
                .filter(|(_, skip)| skip.is_empty())
            {
                self.found(Step::Tree, place.clone(), format!("skip[{at}] is empty"));
            }
            if entry.name.is_empty() {
                self.found(Step::Tree, place.clone(), "name must be set");
            }
            let bundle = self.bundles.get(&(package, entry.name.as_str())).copied();
            let packages = bundle.map_or(0, |bundle| package_properties(bundle).count());
            if packages != 1 {
                let text = "must be exactly one property with type \"olm.package\"";
                self.found(Step::Tree, place.clone(), text);
            }
            let has_content = bundle.is_some_and(|bundle| {
                let mut properties = bundle.properties.iter();
                !bundle.image.is_empty() || properties.any(|known| known.kind == property::OBJECT)
            });
            if !has_content {
                self.found(Step::Tree, place.clone(), "bundle image must be set");
            }
            if self.rules.are_newest() {
                self.entry_tree(place, entry, bundle);
            }
        }
    }

    /// What the newest rules ask of an entry of a channel.
    fn entry_tree(&mut self, place: Place, entry: &ChannelEntry, bundle: Option<&CatalogBundle>) {
        let range = match entry.skip_range.as_str() {
            "" => None,
            range => skip_range::fault(range),
        };
        if let Some(fault) = range {
            let text = format!("invalid skipRange {:?}: {fault}", entry.skip_range);
            self.found(Step::Tree, place.clone(), text);
        }
        for text in bundle.map(newest::release_faults).unwrap_or_default() {
            self.found(Step::Tree, place.clone(), text);
        }
        let package = place.package.as_deref().unwrap_or_default();
        if let Some(text) = (self.deprecations).silence(package, "olm.bundle", &entry.name) {
            self.found(Step::Tree, place, text);
        }
    }
}

const EMPTY_CHANNEL: &str = "channel must contain at least one bundle";

impl Place {
    pub(crate) fn of(package: &str, channel: Option<&str>, bundle: Option<&str>) -> Self {
        Self {
            package: Some(package.to_owned()),
            channel: channel.map(str::to_owned),
            bundle: bundle.map(str::to_owned),
        }
    }
}

fn package_properties(bundle: &CatalogBundle) -> impl Iterator<Item = property::PackageProperty> {
    let properties = bundle.properties.iter().enumerate();
    // Those that cannot be read were refused before.
    properties.filter_map(|(at, known)| match property::known_package(at, known) {
        Some(Known::Package(package)) => Some(package),
        _ => None,
    })
}

fn package_property_fault(bundle: &CatalogBundle) -> Option<String> {
    let (package, name) = (&bundle.package, &bundle.name);
    let named: Vec<_> = package_properties(bundle).collect();
    let [only] = named.as_slice() else {
        return Some(format!(
            "package {package:?} bundle {name:?} must have exactly 1 \"olm.package\" property, \
             found {}",
            named.len()
        ));
    };
    if only.package_name != *package {
        return Some(format!(
            "package {package:?} does not match \"olm.package\" property {:?}",
            only.package_name
        ));
    }
    let version = &only.version;
    let fault = Version::parse(version).err()?;
    Some(format!(
        "error parsing bundle {name:?} version {version:?}: {fault}"
    ))
}

/// The faults as the reference lays a tree out, sorted by package, channel and bundle.
fn tree(faults: &[Fault], text: impl Fn(&Fault) -> String) -> String {
    let mut root = Branch::new("invalid index".to_owned());
    for fault in faults {
        let Place {
            package,
            channel,
            bundle,
        } = &fault.place;
        let mut at = &mut root;
        for (kind, name) in [
            ("package", package),
            ("channel", channel),
            ("bundle", bundle),
        ] {
            if let Some(name) = name {
                at = at.below(format!("invalid {kind} {name:?}"));
            }
        }
        at.faults.push(text(fault));
    }
    let mut out = String::new();
    root.draw(&mut out, "");
    out
}

struct Branch {
    title: String,
    faults: Vec<String>,
    below: BTreeMap<String, Branch>,
}

impl Branch {
    fn new(title: String) -> Self {
        Self {
            title,
            faults: Vec::new(),
            below: BTreeMap::new(),
        }
    }

    fn below(&mut self, title: String) -> &mut Self {
        let new = title.clone();
        self.below.entry(title).or_insert_with(|| Self::new(new))
    }

    fn draw(&self, out: &mut String, indent: &str) {
        out.push_str(&self.title);
        out.push(':');
        let count = self.faults.len() + self.below.len();
        let lines = |last: bool| match last {
            true => ("└── ", "    "),
            false => ("├── ", "│   "),
        };
        for (at, fault) in self.faults.iter().enumerate() {
            let (line, _) = lines(at + 1 == count);
            out.push_str(&format!("\n{indent}{line}{fault}"));
        }
        for (at, branch) in self.below.values().enumerate() {
            let (line, more) = lines(self.faults.len() + at + 1 == count);
            out.push_str(&format!("\n{indent}{line}"));
            branch.draw(out, &format!("{indent}{more}"));
        }
    }
}
