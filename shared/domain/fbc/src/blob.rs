//! The objects of a catalog (spec index-database §12, §13), as values.

use std::collections::BTreeMap;

use iib_catalog::{CatalogShape, PackageShape};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::fields::Fields;
use crate::graph;
use crate::newest::image_fault;
use crate::property::{OBJECT, known_newest};
use crate::read::without_html_escapes;
use crate::rules::Rules;
use crate::write::compact;

/// A catalog: what its files hold, in their order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Catalog {
    /// Packages.
    pub packages: Vec<CatalogPackage>,
    /// Channels.
    pub channels: Vec<Channel>,
    /// Bundles.
    pub bundles: Vec<CatalogBundle>,
    /// Objects of other schemas, kept as they are.
    pub others: Vec<Other>,
}

impl Catalog {
    /// Takes in what another one holds.
    pub fn extend(&mut self, other: Self) {
        self.packages.extend(other.packages);
        self.channels.extend(other.channels);
        self.bundles.extend(other.bundles);
        self.others.extend(other.others);
    }

    /// The same by package, names sorted; objects without a package are under the empty name.
    /// Within a package channels, bundles and others are sorted by name.
    pub fn by_package(self) -> BTreeMap<String, Self> {
        let mut packages: BTreeMap<String, Self> = BTreeMap::new();
        for package in self.packages {
            let part = packages.entry(package.name.clone()).or_default();
            part.packages.push(package);
        }
        for channel in self.channels {
            let part = packages.entry(channel.package.clone()).or_default();
            part.channels.push(channel);
        }
        for bundle in self.bundles {
            let part = packages.entry(bundle.package.clone()).or_default();
            part.bundles.push(bundle);
        }
        for other in self.others {
            let part = packages.entry(other.package.clone()).or_default();
            part.others.push(other);
        }
        packages.values_mut().for_each(Self::sort);
        packages
    }

    /// Sorts channels, bundles and others by name.
    pub fn sort(&mut self) {
        self.channels.sort_by(|low, high| low.name.cmp(&high.name));
        self.bundles.sort_by(|low, high| low.name.cmp(&high.name));
        self.others
            .sort_by(|low, high| (&low.schema, &low.name).cmp(&(&high.schema, &high.name)));
    }

    /// The same as newer versions do: objects of other schemas by schema, deprecations last (newest-opm
    /// §3).
    pub fn sort_as_newest(&mut self) {
        self.channels.sort_by(|low, high| low.name.cmp(&high.name));
        self.bundles.sort_by(|low, high| low.name.cmp(&high.name));
        let place = |other: &Other| (other.is_deprecations(), other.schema.clone());
        self.others.sort_by_cached_key(place);
    }

    /// Puts what is in bundles into the order the reference prints it in: related images by image,
    /// objects behind all other properties. Equal ones keep their order.
    pub fn sort_contents(&mut self) {
        for bundle in &mut self.bundles {
            bundle
                .related_images
                .sort_by(|low, high| low.image.cmp(&high.image));
            bundle.properties.sort_by_key(|found| found.kind == OBJECT);
        }
    }

    /// The catalog in outline. Channels whose graph has no single head have none.
    pub fn shape(&self) -> CatalogShape {
        let mut packages: BTreeMap<String, PackageShape> = BTreeMap::new();
        for package in &self.packages {
            let shape = packages.entry(package.name.clone()).or_default();
            shape.default_channel = Some(package.default_channel.clone());
        }
        for channel in &self.channels {
            let shape = packages.entry(channel.package.clone()).or_default();
            let head = graph::head(&channel.entries).ok();
            let head = head.map(|entry| entry.name.clone());
            shape.channels.insert(channel.name.clone(), head);
        }
        for bundle in &self.bundles {
            let shape = packages.entry(bundle.package.clone()).or_default();
            shape.bundles.insert(bundle.name.clone());
        }
        CatalogShape { packages }
    }

    /// Takes in one blob.
    pub fn push(&mut self, blob: OwnedBlob) {
        match blob {
            OwnedBlob::Package(package) => self.packages.push(package),
            OwnedBlob::Channel(channel) => self.channels.push(channel),
            OwnedBlob::Bundle(bundle) => self.bundles.push(bundle),
            OwnedBlob::Other(other) => self.others.push(other),
        }
    }

    /// Every object, packages first, then channels, bundles and others.
    pub fn blobs(&self) -> impl Iterator<Item = Blob<'_>> {
        let packages = self.packages.iter().map(Blob::Package);
        let channels = self.channels.iter().map(Blob::Channel);
        let bundles = self.bundles.iter().map(Blob::Bundle);
        let others = self.others.iter().map(Blob::Other);
        packages.chain(channels).chain(bundles).chain(others)
    }

    /// The same, given away.
    pub fn into_blobs(self) -> impl Iterator<Item = OwnedBlob> {
        let packages = self.packages.into_iter().map(OwnedBlob::Package);
        let channels = self.channels.into_iter().map(OwnedBlob::Channel);
        let bundles = self.bundles.into_iter().map(OwnedBlob::Bundle);
        let others = self.others.into_iter().map(OwnedBlob::Other);
        packages.chain(channels).chain(bundles).chain(others)
    }
}

/// One object of a catalog.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Blob<'a> {
    /// `olm.package`
    Package(&'a CatalogPackage),
    /// `olm.channel`
    Channel(&'a Channel),
    /// `olm.bundle`
    Bundle(&'a CatalogBundle),
    /// Any other schema.
    Other(&'a Other),
}

/// One object of a catalog as it was read.
#[derive(Debug, Clone, PartialEq)]
pub enum OwnedBlob {
    /// `olm.package`
    Package(CatalogPackage),
    /// `olm.channel`
    Channel(Channel),
    /// `olm.bundle`
    Bundle(CatalogBundle),
    /// Any other schema.
    Other(Other),
}

impl OwnedBlob {
    /// The name of the package it belongs to; empty for none.
    pub fn package(&self) -> &str {
        match self {
            Self::Package(package) => &package.name,
            Self::Channel(channel) => &channel.package,
            Self::Bundle(bundle) => &bundle.package,
            Self::Other(other) => &other.package,
        }
    }

    /// The same without what fills a catalog: as much of it as checking by these rules, comparing and
    /// drawing need. Related images go, and null stands for the values of properties, but those that
    /// say version and deprecation, and for what objects of other schemas than `olm.deprecations`
    /// hold.
    ///
    /// What rules that look at more than that find fault with stays: so an outline has every fault
    /// that the whole has.
    #[must_use]
    pub fn outlined(self, rules: Rules) -> Self {
        match self {
            Self::Bundle(mut bundle) => {
                for property in &mut bundle.properties {
                    if !matches!(property.kind.as_str(), PACKAGE | DEPRECATED) {
                        property.outline(rules);
                    }
                }
                let faulty = |found: &RelatedImage| image_fault(&found.image).is_some();
                if !rules.are_newest() || !bundle.related_images.iter().any(faulty) {
                    bundle.related_images = Vec::new();
                }
                Self::Bundle(bundle)
            }
            Self::Other(other) if other.schema != DEPRECATIONS => Self::Other(Other {
                blob: RawValue::NULL.to_owned(),
                ..other
            }),
            package_or_channel => package_or_channel,
        }
    }

    /// The schema, if it is one of templates: what a catalog is made from.
    pub fn template_schema(&self) -> Option<&str> {
        match self {
            Self::Other(other) if is_template(&other.schema) => Some(&other.schema),
            _ => None,
        }
    }

    /// Borrowed.
    pub fn as_blob(&self) -> Blob<'_> {
        match self {
            Self::Package(package) => Blob::Package(package),
            Self::Channel(channel) => Blob::Channel(channel),
            Self::Bundle(bundle) => Blob::Bundle(bundle),
            Self::Other(other) => Blob::Other(other),
        }
    }
}

/// The property that says package and version.
pub(crate) const PACKAGE: &str = "olm.package";
/// The property of a deprecated bundle.
pub(crate) const DEPRECATED: &str = "olm.deprecated";
/// The schema of objects that deprecate packages, channels and bundles.
pub(crate) const DEPRECATIONS: &str = "olm.deprecations";

/// Whether objects of a schema are templates: what a catalog is made from, not a part of one
/// (newest-opm §5).
pub(crate) fn is_template(schema: &str) -> bool {
    matches!(schema, "olm.semver" | "olm.composite")
        || ["olm.template.", "olm.composite.", "olm.builder."]
            .iter()
            .any(|family| schema.starts_with(family))
}

/// An `olm.package`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CatalogPackage {
    /// Its name.
    pub name: String,
    /// The name of its default channel.
    pub default_channel: String,
    /// Its icon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<Icon>,
    /// What it is, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Properties.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<Property>,
}

/// An icon.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Icon {
    /// The image, in base64; `None` if there is none, not even an empty one.
    pub base64data: Option<String>,
    /// Its media type.
    pub mediatype: String,
}

/// An `olm.channel`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// Its package.
    pub package: String,
    /// The bundles in it.
    pub entries: Vec<ChannelEntry>,
    /// Properties.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<Property>,
}

/// A bundle in a channel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelEntry {
    /// The bundle.
    pub name: String,
    /// The bundle it replaces; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub replaces: String,
    /// The bundles it skips.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skips: Vec<String>,
    /// Whether the list of skips is there and empty, which the serve cache tells from none.
    #[serde(skip)]
    pub has_empty_skips: bool,
    /// The versions it skips; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub skip_range: String,
}

/// An `olm.bundle`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CatalogBundle {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its package.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub package: String,
    /// Its image.
    pub image: String,
    /// Its properties, `olm.bundle.object` among them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<Property>,
    /// The images it uses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related_images: Vec<RelatedImage>,
}

impl CatalogBundle {
    /// The version in its property `olm.package`, if it has one that can be read; an outline has it, too.
    pub fn version(&self) -> Option<String> {
        let mut properties = self.properties.iter();
        let package = properties.find(|property| property.kind == PACKAGE)?;
        let fields = Fields::of(package.value.as_deref()?).ok()?;
        fields
            .string("version")
            .ok()
            .filter(|version| !version.is_empty())
    }
}

/// A property: a type, and a value as JSON text.
#[derive(Debug, Clone, Serialize)]
pub struct Property {
    /// The type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The value, null or not; `None` if there is none, which no catalog may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Box<RawValue>>,
}

impl Property {
    /// A property whose value is the text of a JSON value.
    ///
    /// # Errors
    /// The text is no JSON value.
    pub fn new(kind: &str, value: &str) -> Result<Self, serde_json::Error> {
        Ok(Self {
            kind: kind.to_owned(),
            value: Some(RawValue::from_string(value.to_owned())?),
        })
    }

    /// Leaves the value out, as far as the rules do not need it. Objects were looked at when they were
    /// read.
    fn outline(&mut self, rules: Rules) {
        if !rules.are_newest() || self.kind == OBJECT || known_newest(self).is_ok() {
            self.value = Some(RawValue::NULL.to_owned());
        }
    }

    /// The value's text, as it is written; empty if there is none.
    pub fn text(&self) -> &str {
        self.value.as_deref().map_or("", RawValue::get)
    }
}

/// White space and escapes for HTML play no part: reading a catalog undoes the latter.
impl PartialEq for Property {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && plain(self.text()) == plain(other.text())
    }
}

fn plain(text: &str) -> String {
    let text = without_html_escapes(text.as_bytes());
    compact(&String::from_utf8_lossy(&text))
}

/// An image that a bundle uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RelatedImage {
    /// What the bundle calls it.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// The image.
    #[serde(deserialize_with = "or_default")]
    pub image: String,
}

/// An object of another schema, kept as it is.
#[derive(Debug, Clone)]
pub struct Other {
    /// Its schema.
    pub schema: String,
    /// Its package; empty for none.
    pub package: String,
    /// Its name; empty for none.
    pub name: String,
    /// All of it, as JSON text.
    pub blob: Box<RawValue>,
}

impl Other {
    /// Whether it deprecates something of a package.
    pub fn is_deprecations(&self) -> bool {
        self.schema == DEPRECATIONS
    }
}

/// White space and escapes for HTML play no part.
impl PartialEq for Other {
    fn eq(&self, other: &Self) -> bool {
        plain(self.blob.get()) == plain(other.blob.get())
    }
}

/// Null is as good as absent.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
