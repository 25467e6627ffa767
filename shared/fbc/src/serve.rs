//! The files of the serve cache (spec index-database §14): `packages.json`, and one for each bundle
//! in each channel.

use std::collections::BTreeMap;

use iib_bundle::{json_plain_string, json_string};

use crate::blob::{Catalog, CatalogBundle, CatalogPackage, Channel, ChannelEntry};
use crate::graph;
use crate::property::{self, Gvk, Known, ObjectFault};
use crate::write::compact;

/// A file of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeFile {
    /// Its name.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// A cache cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeFault {
    /// An object of a bundle cannot be read.
    #[error("package {package:?}, bundle {bundle:?}: {fault}")]
    Object {
        /// The package.
        package: String,
        /// The bundle.
        bundle: String,
        /// What is wrong; part of the message, so not a source.
        fault: Box<ObjectFault>,
    },
    /// A name that cannot be part of a file's name.
    #[error("{0:?} cannot be part of a file's name, which the cache needs it for")]
    Name(String),
}

/// The file with all packages of a catalog that was found to be clean. An outline will do.
pub fn serve_packages(catalog: &Catalog) -> ServeFile {
    let mut channels: BTreeMap<&str, BTreeMap<&str, &Channel>> = BTreeMap::new();
    for channel in &catalog.channels {
        let of_package = channels.entry(&channel.package).or_default();
        of_package.insert(&channel.name, channel);
    }
    let mut packages = Members::default();
    let by_name: BTreeMap<&str, &CatalogPackage> = catalog
        .packages
        .iter()
        .map(|package| (package.name.as_str(), package))
        .collect();
    for (name, package) in by_name {
        let channels = channels.remove(name).unwrap_or_default();
        packages.raw(name, &package_text(package, &channels));
    }
    ServeFile {
        name: "packages.json".to_owned(),
        text: packages.finish(),
    }
}

/// The files of the bundles of one package, which was found to be clean, one after the other.
///
/// # Errors
/// Those of `take`, which a [`ServeFault`] can become.
pub fn serve_bundles<E: From<ServeFault>>(
    package: &Catalog,
    mut take: impl FnMut(ServeFile) -> Result<(), E>,
) -> Result<(), E> {
    for bundle in &package.bundles {
        let content = Content::read(bundle)?;
        for channel in &package.channels {
            let entries = channel.entries.iter();
            for entry in entries.filter(|entry| entry.name == bundle.name) {
                let name = file_name([&bundle.package, &channel.name, &bundle.name])?;
                let text = content.text(bundle, &channel.name, entry);
                take(ServeFile { name, text })?;
            }
        }
    }
    Ok(())
}

fn file_name(parts: [&str; 3]) -> Result<String, ServeFault> {
    match parts.iter().find(|part| part.contains(['/', '\0'])) {
        Some(part) => Err(ServeFault::Name((*part).to_owned())),
        None => Ok(format!("{}.json", parts.join("_"))),
    }
}

fn package_text(package: &CatalogPackage, channels: &BTreeMap<&str, &Channel>) -> String {
    let mut channel_texts = Members::default();
    for (name, channel) in channels {
        let mut bundles = Members::default();
        let by_name: BTreeMap<&str, &ChannelEntry> = channel
            .entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry))
            .collect();
        for (bundle, entry) in by_name {
            let mut members = Members::default();
            members.string("package", &package.name);
            members.string("channel", name);
            members.string("name", bundle);
            members.string("replaces", &entry.replaces);
            match entry.skips.as_slice() {
                [] if !entry.has_empty_skips => members.raw("skips", "null"),
                skips => members.raw("skips", &list(skips.iter().map(|skip| json_string(skip)))),
            }
            bundles.raw(bundle, &members.finish());
        }
        let mut members = Members::default();
        members.string("Name", name);
        // It has one: the catalog is clean.
        let head = graph::head(&channel.entries).map_or("", |head| &head.name);
        members.string("Head", head);
        members.raw("Bundles", &bundles.finish());
        channel_texts.raw(name, &members.finish());
    }
    let mut members = Members::default();
    members.string("name", &package.name);
    members.string("description", &package.description);
    match &package.icon {
        None => members.raw("icon", "null"),
        Some(icon) => {
            let mut parts = Members::default();
            match &icon.base64data {
                Some(data) => parts.string("base64data", data),
                None => parts.raw("base64data", "null"),
            }
            parts.string("mediatype", &icon.mediatype);
            members.raw("icon", &parts.finish());
        }
    }
    members.string("defaultChannel", &package.default_channel);
    members.raw("Channels", &channel_texts.finish());
    members.finish()
}

/// What the files of a bundle have in common, whatever the channel: most of their text.
struct Content {
    /// `csvJson` and `object`.
    objects: String,
    /// `providedApis` to `version`.
    apis: String,
    /// `dependencies` and `properties`.
    properties: String,
}

impl Content {
    fn read(bundle: &CatalogBundle) -> Result<Self, ServeFault> {
        let failed = |fault| ServeFault::Object {
            package: bundle.package.clone(),
            bundle: bundle.name.clone(),
            fault: Box::new(fault),
        };
        let texts = property::objects(bundle).map_err(failed)?;
        let mut objects = Members::default();
        let csv = texts.iter().find(|text| is_csv(text));
        objects.filled("csvJson", csv.map_or("", |text| text));
        objects.filled_list("object", texts.iter().map(|text| json_string(text)));
        let (mut provided, mut required) = (Vec::new(), Vec::new());
        let (mut dependencies, mut properties) = (Vec::new(), Vec::new());
        let mut version = String::new();
        for (at, found) in bundle.properties.iter().enumerate() {
            if found.kind == property::OBJECT {
                continue;
            }
            let known = property::known(at, found).map_err(failed)?;
            properties.push(typed(&found.kind, &compact(found.text())));
            match known {
                Known::Gvk(gvk) => provided.push(api(&gvk)),
                Known::RequiredGvk(gvk) => {
                    required.push(api(&gvk));
                    dependencies.push(typed("olm.gvk", &compact(found.text())));
                }
                Known::RequiredPackage(required) => {
                    let value = plain([
                        ("packageName", &required.package_name),
                        ("version", &required.version_range),
                    ]);
                    dependencies.push(typed("olm.package", &value));
                }
                Known::Package(package) => version = package.version,
                Known::Object(_) | Known::Other => {}
            }
        }
        let mut apis = Members::default();
        apis.filled_list("providedApis", provided.into_iter());
        apis.filled_list("requiredApis", required.into_iter());
        apis.filled("version", &version);
        let mut last = Members::default();
        last.filled_list("dependencies", dependencies.into_iter());
        last.filled_list("properties", properties.into_iter());
        Ok(Self {
            objects: objects.text,
            apis: apis.text,
            properties: last.text,
        })
    }

    /// The file of the bundle in a channel; what is empty is left out.
    fn text(&self, bundle: &CatalogBundle, channel: &str, entry: &ChannelEntry) -> String {
        let mut members = Members::default();
        members.filled("csvName", &bundle.name);
        members.filled("packageName", &bundle.package);
        members.filled("channelName", channel);
        members.several(&self.objects);
        members.filled("bundlePath", &bundle.image);
        members.several(&self.apis);
        members.filled("skipRange", &entry.skip_range);
        members.several(&self.properties);
        members.filled("replaces", &entry.replaces);
        members.filled_list("skips", entry.skips.iter().map(|skip| json_string(skip)));
        members.finish()
    }
}

fn is_csv(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Kind {
        kind: String,
    }
    serde_json::from_str::<Kind>(text).is_ok_and(|found| found.kind == "ClusterServiceVersion")
}

fn typed(kind: &str, value: &str) -> String {
    let mut members = Members::default();
    members.filled("type", kind);
    members.filled("value", value);
    members.finish()
}

fn api(gvk: &Gvk) -> String {
    let mut members = Members::default();
    members.filled("group", &gvk.group);
    members.filled("version", &gvk.version);
    members.filled("kind", &gvk.kind);
    members.finish()
}

/// An object of texts without the escapes for HTML: those come when it becomes a text itself.
fn plain<const N: usize>(members: [(&str, &str); N]) -> String {
    let member = |(name, value): (&str, &str)| format!("\"{name}\":{}", json_plain_string(value));
    format!("{{{}}}", members.map(member).join(","))
}

/// A JSON object in the making, without its braces.
#[derive(Default)]
struct Members {
    text: String,
}

impl Members {
    fn raw(&mut self, name: &str, value: &str) {
        if !self.text.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(&json_string(name));
        self.text.push(':');
        self.text.push_str(value);
    }

    fn string(&mut self, name: &str, value: &str) {
        self.raw(name, &json_string(value));
    }

    fn filled(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.string(name, value);
        }
    }

    /// Members of another object.
    fn several(&mut self, members: &str) {
        if !self.text.is_empty() && !members.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(members);
    }

    fn filled_list(&mut self, name: &str, items: impl Iterator<Item = String>) {
        let text = list(items);
        if text != "[]" {
            self.raw(name, &text);
        }
    }

    fn finish(self) -> String {
        format!("{{{}}}", self.text)
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    format!("[{}]", items.join(","))
}
