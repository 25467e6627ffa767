//! The files of the serve cache: `packages.json`, one for each bundle in each channel (spec
//! index-database §14), and one for each object of another schema (newest-opm §7).

use std::collections::BTreeMap;
use std::hash::Hasher as _;

use fnv::FnvHasher;
use serde_json::value::RawValue;

use crate::anew::{AnewFault, Strings, json_anew};
use crate::blob::{
    Catalog, CatalogBundle, CatalogPackage, Channel, ChannelEntry, DEPRECATIONS, Other, PACKAGE,
    Property,
};
use crate::check::check;
use crate::csv_metadata::{CSV_METADATA, CsvMetadata};
use crate::deprecations::Messages;
use crate::fields::WrongType;
use crate::graph;
use crate::members::Members;
use crate::property::{self, Gvk, Known, ObjectFault};
use crate::rules::Rules;
use crate::write::compact;

/// A file of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeFile {
    /// Its path below the folder of the files, parts joined with slashes.
    pub path: String,
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
    /// An object of another schema that cannot be written anew.
    #[error("package {package:?}, object {name:?} of schema {schema:?}: {problem}")]
    Other {
        /// The package; empty for none.
        package: String,
        /// The schema.
        schema: String,
        /// The name; empty for none.
        name: String,
        /// What is wrong; part of the message.
        problem: AnewFault,
    },
    /// Deprecations that cannot be read.
    #[error("package {package:?}: parse deprecations: {problem}")]
    Deprecations {
        /// The package; empty for none.
        package: String,
        /// What is wrong; part of the message.
        problem: WrongType,
    },
    /// A name that cannot be part of a file's name.
    #[error(
        "{0:?} cannot be part of a file's name, which the cache needs it for: it has a slash or a \
         zero byte, or is one or two dots; choose another name"
    )]
    Name(String),
    /// A name for which there is no room in a file's name.
    #[error(
        "{0:?} is too long for a file's name, which the cache needs it for: no more than \
         {NAME_LIMIT} bytes have room there; choose another name"
    )]
    LongName(String),
}

/// Most bytes of a file's name on the file systems in use.
const NAME_LIMIT: usize = 255;

/// Which version of the reference a cache is written like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ServeForm {
    /// 1.26.4: without deprecations and objects of other schemas.
    Opm126,
    /// The newest (newest-opm §7).
    #[default]
    Newest,
}

impl ServeForm {
    fn strings(self) -> Strings {
        match self {
            Self::Opm126 => Strings::Opm126,
            Self::Newest => Strings::Newest,
        }
    }

    fn members(self) -> Members {
        Members::new(self.strings())
    }

    /// The text of a property's value.
    fn value(self, property: &Property) -> Result<String, AnewFault> {
        match self {
            Self::Opm126 => Ok(compact(property.text())),
            Self::Newest => json_anew(property.text()),
        }
    }
}

/// What a catalog becomes in a serve cache.
#[derive(Debug)]
pub struct ServePlan {
    form: ServeForm,
    deprecated: Messages,
    /// What the cache does not carry, and what the newest version of the reference refuses.
    pub warnings: Vec<String>,
}

impl ServePlan {
    /// The plan for a catalog that was found to be clean. An outline will do.
    ///
    /// # Errors
    /// [`ServeFault::Deprecations`], for the newest form.
    pub fn new(outline: &Catalog, form: ServeForm) -> Result<Self, ServeFault> {
        let mut warnings = Vec::new();
        let deprecated = match form {
            ServeForm::Opm126 => {
                warnings.extend(not_carried(outline));
                Messages::default()
            }
            ServeForm::Newest => {
                warnings.extend(refused_by_newest(outline));
                let found = Messages::of(outline, |text| warnings.push(text));
                found.map_err(|(package, problem)| ServeFault::Deprecations { package, problem })?
            }
        };
        Ok(Self {
            form,
            deprecated,
            warnings,
        })
    }

    /// The file with all packages. An outline will do.
    pub fn packages(&self, outline: &Catalog) -> ServeFile {
        let mut channels: BTreeMap<&str, BTreeMap<&str, &Channel>> = BTreeMap::new();
        for channel in &outline.channels {
            let of_package = channels.entry(&channel.package).or_default();
            of_package.insert(&channel.name, channel);
        }
        let mut packages = self.form.members();
        let by_name: BTreeMap<&str, &CatalogPackage> = outline
            .packages
            .iter()
            .map(|package| (package.name.as_str(), package))
            .collect();
        for (name, package) in by_name {
            let channels = channels.remove(name).unwrap_or_default();
            packages.raw(name, &self.package_text(package, &channels));
        }
        ServeFile {
            path: "packages.json".to_owned(),
            text: packages.finish(),
        }
    }

    /// The other files of one package, or of what has no package, one after the other.
    ///
    /// # Errors
    /// Those of `take`, which a [`ServeFault`] can become.
    pub fn package<E: From<ServeFault>>(
        &self,
        package: &Catalog,
        mut take: impl FnMut(ServeFile) -> Result<(), E>,
    ) -> Result<(), E> {
        let described = package.packages.first();
        for bundle in &package.bundles {
            let content = Content::read(bundle, described, self.form)?;
            for channel in &package.channels {
                let entries = channel.entries.iter();
                for entry in entries.filter(|entry| entry.name == bundle.name) {
                    let path = bundle_file_name([&bundle.package, &channel.name, &bundle.name])?;
                    let text = self.bundle_text(&content, bundle, &channel.name, entry);
                    take(ServeFile { path, text })?;
                }
            }
        }
        if self.form == ServeForm::Newest {
            for other in &package.others {
                if other.schema != DEPRECATIONS {
                    take(other_file(other)?)?;
                }
            }
        }
        Ok(())
    }

    fn package_text(
        &self,
        package: &CatalogPackage,
        channels: &BTreeMap<&str, &Channel>,
    ) -> String {
        let mut channel_texts = self.form.members();
        for (name, channel) in channels {
            channel_texts.raw(name, &self.channel_text(package, channel));
        }
        let mut members = self.form.members();
        members.string("name", &package.name);
        members.string("description", &package.description);
        match &package.icon {
            None => members.raw("icon", "null"),
            Some(icon) => {
                let mut parts = self.form.members();
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
        self.deprecation(&mut members, self.deprecated.package(&package.name));
        members.finish()
    }

    fn channel_text(&self, package: &CatalogPackage, channel: &Channel) -> String {
        let mut bundles = self.form.members();
        let by_name: BTreeMap<&str, &ChannelEntry> = channel
            .entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry))
            .collect();
        for (bundle, entry) in by_name {
            let mut members = self.form.members();
            members.string("package", &package.name);
            members.string("channel", &channel.name);
            members.string("name", bundle);
            members.string("replaces", &entry.replaces);
            match entry.skips.is_empty() {
                false => members.filled_texts("skips", &entry.skips),
                true if entry.has_empty_skips => members.raw("skips", "[]"),
                true => members.raw("skips", "null"),
            }
            bundles.raw(bundle, &members.finish());
        }
        let mut members = self.form.members();
        members.string("Name", &channel.name);
        // It has one: the catalog is clean.
        let head = graph::head(&channel.entries).map_or("", |head| &head.name);
        members.string("Head", head);
        members.raw("Bundles", &bundles.finish());
        let deprecated = self.deprecated.channel(&package.name, &channel.name);
        self.deprecation(&mut members, deprecated);
        members.finish()
    }

    /// The file of a bundle in a channel; what is empty is left out.
    fn bundle_text(
        &self,
        content: &Content,
        bundle: &CatalogBundle,
        channel: &str,
        entry: &ChannelEntry,
    ) -> String {
        let mut members = self.form.members();
        members.filled("csvName", &bundle.name);
        members.filled("packageName", &bundle.package);
        members.filled("channelName", channel);
        members.several(&content.objects);
        members.filled("bundlePath", &bundle.image);
        members.several(&content.apis);
        members.filled("skipRange", &entry.skip_range);
        members.several(&content.properties);
        members.filled("replaces", &entry.replaces);
        members.filled_texts("skips", &entry.skips);
        let deprecated = self.deprecated.bundle(&bundle.package, &bundle.name);
        self.deprecation(&mut members, deprecated);
        members.finish()
    }

    fn deprecation(&self, members: &mut Members, message: Option<&str>) {
        if let Some(message) = message {
            let mut deprecation = self.form.members();
            deprecation.string("message", message);
            members.raw("deprecation", &deprecation.finish());
        }
    }
}

/// Most refusals that are told one by one.
const REFUSALS: usize = 5;

/// What the newest version refuses in a catalog that 1.26.4 takes, as far as an outline tells. What is
/// wrong with deprecations is told with what the cache does about it.
fn refused_by_newest(outline: &Catalog) -> Vec<String> {
    let report = check(outline, Rules::OpmNewest);
    let faults = report.faults.iter();
    let faults: Vec<String> = faults
        .filter(|fault| !fault.is_of_deprecations())
        .map(|fault| {
            format!(
                "the newest opm refuses the catalog: {}{}",
                fault.place, fault.text
            )
        })
        .collect();
    let more = faults.len().saturating_sub(REFUSALS);
    let mut told = faults;
    told.truncate(REFUSALS);
    if more > 0 {
        told.push(format!(
            "the newest opm refuses the catalog for {more} more reasons, which `iib catalog validate` shows"
        ));
    }
    told
}

/// What the form of version 1.26.4 has no place for, in words.
fn not_carried(outline: &Catalog) -> Vec<String> {
    let mut words = Vec::new();
    let (deprecations, others): (Vec<&Other>, Vec<&Other>) =
        (outline.others.iter()).partition(|other| other.schema == DEPRECATIONS);
    if !deprecations.is_empty() {
        words.push(format!(
            "the cache of opm 1.26 has no deprecations: it leaves out {} of schema {DEPRECATIONS}",
            objects(deprecations.len())
        ));
    }
    if let Some(first) = others.first() {
        words.push(format!(
            "the cache of opm 1.26 has no other schemas: it leaves out {}, such as one of schema \
             {:?}",
            objects(others.len()),
            first.schema
        ));
    }
    let bundles = outline.bundles.iter();
    let alone: Vec<&CatalogBundle> = bundles
        .filter(|bundle| has_metadata_alone(bundle))
        .collect();
    if let Some(first) = alone.first() {
        words.push(format!(
            "the cache of opm 1.26 puts no CSV together from {CSV_METADATA}: bundles without a CSV \
             then: {}, such as {}",
            alone.len(),
            first.name
        ));
    }
    words
}

fn objects(count: usize) -> String {
    match count {
        1 => "1 object".to_owned(),
        count => format!("{count} objects"),
    }
}

fn has_metadata_alone(bundle: &CatalogBundle) -> bool {
    let has = |kind| bundle.properties.iter().any(|found| found.kind == kind);
    has(CSV_METADATA) && !has(property::OBJECT)
}

/// The file of an object of another schema: `metas/SCHEMA/PACKAGE/HASH.json`.
fn other_file(other: &Other) -> Result<ServeFile, ServeFault> {
    let mut path = "metas".to_owned();
    for part in [&other.schema, &other.package] {
        // It may have no package.
        if !part.is_empty() {
            path.push('/');
            path.push_str(file_name(part)?);
        }
    }
    let text = json_anew(other.blob.get()).map_err(|problem| ServeFault::Other {
        package: other.package.clone(),
        schema: other.schema.clone(),
        name: other.name.clone(),
        problem,
    })?;
    let text = format!("{text}\n");
    let mut hasher = FnvHasher::default();
    hasher.write(text.as_bytes());
    path.push_str(&format!("/{:x}.json", hasher.finish()));
    Ok(ServeFile { path, text })
}

fn bundle_file_name(parts: [&str; 3]) -> Result<String, ServeFault> {
    match parts.iter().find(|part| part.contains(['/', '\0'])) {
        Some(part) => Err(ServeFault::Name((*part).to_owned())),
        None => file_name(&format!("{}.json", parts.join("_"))).map(str::to_owned),
    }
}

/// A text that can be the name of a file or folder.
fn file_name(text: &str) -> Result<&str, ServeFault> {
    if text.contains(['/', '\0']) || text == "." || text == ".." {
        return Err(ServeFault::Name(text.to_owned()));
    }
    match text.len() > NAME_LIMIT {
        true => Err(ServeFault::LongName(text.to_owned())),
        false => Ok(text),
    }
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
    fn read(
        bundle: &CatalogBundle,
        package: Option<&CatalogPackage>,
        form: ServeForm,
    ) -> Result<Self, ServeFault> {
        let failed = |fault| ServeFault::Object {
            package: bundle.package.clone(),
            bundle: bundle.name.clone(),
            fault: Box::new(fault),
        };
        let said = Said::read(bundle, form).map_err(failed)?;
        let mut texts = property::objects(bundle).map_err(failed)?;
        let csv = texts.iter().position(|text| is_csv(text));
        let made = match (csv, &said.metadata) {
            (None, Some(metadata)) => Some(metadata.csv(bundle, &said.version, package)),
            _ => None,
        };
        let mut objects = form.members();
        let csv = csv.and_then(|at| texts.get(at)).or(made.as_ref());
        objects.filled("csvJson", csv.map_or("", String::as_str));
        if texts.is_empty() {
            texts.extend(made);
        }
        objects.filled_texts("object", &texts);
        let mut apis = form.members();
        apis.filled_list("providedApis", &said.provided);
        apis.filled_list("requiredApis", &said.required);
        apis.filled("version", &said.version);
        let mut last = form.members();
        last.filled_list("dependencies", &said.dependencies);
        last.filled_list("properties", &said.properties);
        Ok(Self {
            objects: objects.into_text(),
            apis: apis.into_text(),
            properties: last.into_text(),
        })
    }
}

/// What the properties of a bundle say, but for its objects. Lists have JSON texts.
#[derive(Default)]
struct Said {
    provided: Vec<String>,
    required: Vec<String>,
    version: String,
    dependencies: Vec<String>,
    properties: Vec<String>,
    metadata: Option<CsvMetadata>,
}

impl Said {
    fn read(bundle: &CatalogBundle, form: ServeForm) -> Result<Self, ObjectFault> {
        let mut said = Self::default();
        for (at, found) in bundle.properties.iter().enumerate() {
            if found.kind == property::OBJECT {
                continue;
            }
            let known = property::known(at, found)?;
            let faulty = |problem| ObjectFault::Property {
                at,
                kind: found.kind.clone(),
                problem,
            };
            let value = form
                .value(found)
                .map_err(|fault| faulty(fault.to_string()))?;
            if form == ServeForm::Newest && found.kind == CSV_METADATA {
                let metadata = metadata(&value).map_err(faulty)?;
                if said.metadata.replace(metadata).is_some() {
                    return Err(faulty(format!(
                        "expected at most 1 property of type {CSV_METADATA:?}: the bundle has more"
                    )));
                }
                continue;
            }
            said.properties.push(form.typed(&found.kind, &value));
            match known {
                Known::Gvk(gvk) => said.provided.push(form.api(&gvk)),
                Known::RequiredGvk(gvk) => {
                    said.required.push(form.api(&gvk));
                    said.dependencies.push(form.typed("olm.gvk", &value));
                }
                Known::RequiredPackage(required) => {
                    let value = form.plain([
                        ("packageName", &required.package_name),
                        ("version", &required.version_range),
                    ]);
                    said.dependencies.push(form.typed(PACKAGE, &value));
                }
                Known::Package(package) => said.version = package.version,
                Known::Object(_) | Known::Other => {}
            }
        }
        Ok(said)
    }
}

/// Reads a value that was written anew.
fn metadata(value: &str) -> Result<CsvMetadata, String> {
    let value: &RawValue = serde_json::from_str(value).map_err(|error| error.to_string())?;
    CsvMetadata::read(value).map_err(|wrong| wrong.to_string())
}

fn is_csv(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Kind {
        kind: String,
    }
    serde_json::from_str::<Kind>(text).is_ok_and(|found| found.kind == "ClusterServiceVersion")
}

impl ServeForm {
    fn typed(self, kind: &str, value: &str) -> String {
        let mut members = self.members();
        members.filled("type", kind);
        members.filled("value", value);
        members.finish()
    }

    fn api(self, gvk: &Gvk) -> String {
        let mut members = self.members();
        members.filled("group", &gvk.group);
        members.filled("version", &gvk.version);
        members.filled("kind", &gvk.kind);
        members.finish()
    }

    /// An object of texts without the escapes for HTML: those come when it becomes a text itself.
    fn plain<const N: usize>(self, members: [(&str, &str); N]) -> String {
        let member =
            |(name, value): (&str, &str)| format!("\"{name}\":{}", self.strings().plain(value));
        format!("{{{}}}", members.map(member).join(","))
    }
}
