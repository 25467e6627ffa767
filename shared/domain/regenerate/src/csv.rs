//! Images in a ClusterServiceVersion (regenerate-bundle §5, §6).

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use iib_bundle::{ImageName, NewValue, NodeId, YamlDocument, YamlValue, pull_specs_in_text};

use crate::{RegenerateError, package};

/// A CSV, and the file it is in.
#[derive(Debug)]
pub(crate) struct Csv {
    pub(crate) file: String,
    pub(crate) document: YamlDocument,
    root: NodeId,
    strings: Strings,
}

/// Where the strings of a CSV are.
#[derive(Debug, Default)]
struct Strings {
    /// The annotations of all objects, from outside to inside, but none below a `metadata`.
    annotations: Vec<NodeId>,
    /// Strings that are no annotations.
    outside: Vec<NodeId>,
    /// Strings in annotations below a `metadata`, which stay as they are.
    kept: Vec<NodeId>,
}

/// A place of a bundle that names an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedImage {
    /// The file, by its path in the bundle.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// Where in the document, such as `spec.relatedImages[0].image`.
    pub path: String,
    /// What stands there.
    pub image: String,
}

/// A place that names an image.
struct Place {
    /// The value that it is in.
    at: NodeId,
    /// Its text.
    image: String,
    /// What it is called among related images.
    name: String,
    /// Where it is, for people.
    told: String,
}

/// Images by those whose places they take.
pub(crate) type Replacements = BTreeMap<ImageName, ImageName>;

/// The variables of containers that name images begin so.
const VARIABLES: &str = "RELATED_IMAGE_";
/// The annotation whose whole value is an image.
const CONTAINER_IMAGE: &str = "containerImage";
const ANNOTATIONS: &str = "annotations";
const METADATA: &str = "metadata";
const RELATED_IMAGES: &str = "relatedImages";

/// What becomes of a string.
#[derive(Clone, PartialEq)]
enum Change {
    Keep,
    Whole(String),
    /// From last to first.
    Parts(Vec<(Range<usize>, String)>),
}

impl Csv {
    /// The document of a file if it is a CSV.
    pub(crate) fn of(file: &str, document: YamlDocument) -> Option<Self> {
        let root = document.root()?;
        let kind = document.get(root, "kind")?;
        let is_csv = document
            .text(kind)
            .is_some_and(|kind| kind == "ClusterServiceVersion");
        is_csv.then(|| Self {
            file: file.to_owned(),
            strings: Strings::of(&document, root),
            document,
            root,
        })
    }

    /// Every image that is named, each once, in the order of the places.
    ///
    /// # Errors
    /// Something is not made as it should be.
    pub(crate) fn images(&self) -> Result<Vec<ImageName>, RegenerateError> {
        let related = self.related_images()?;
        let places = related.into_iter().chain(self.places()?);
        let mut seen = BTreeSet::new();
        let images = places.map(|place| ImageName::of(&place.image));
        Ok(images.filter(|image| seen.insert(image.clone())).collect())
    }

    /// Every place, in the order of the file.
    ///
    /// # Errors
    /// As [`Csv::images`].
    pub(crate) fn named_images(&self) -> Result<Vec<NamedImage>, RegenerateError> {
        let mut paths = HashMap::new();
        self.note_paths(self.root, String::new(), &mut paths);
        let places = self.related_images()?.into_iter().chain(self.places()?);
        let named = places.map(|place| NamedImage {
            file: self.file.clone(),
            line: self.document.line(place.at).unwrap_or_default(),
            path: paths.get(&place.at).cloned().unwrap_or_default(),
            image: place.image,
        });
        let mut named: Vec<_> = named.collect();
        named.sort_by(|one, other| (one.line, &one.path).cmp(&(other.line, &other.path)));
        Ok(named)
    }

    /// Notes where each value is; one that several aliases stand for, where it is first.
    fn note_paths(&self, id: NodeId, path: String, paths: &mut HashMap<NodeId, String>) {
        for (number, item) in self.document.items(id).iter().enumerate() {
            self.note_paths(*item, format!("{path}[{number}]"), paths);
        }
        for (name, value) in self.document.members(id) {
            let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            let step = match name.chars().all(is_word) {
                true if path.is_empty() => name.into_owned(),
                true => format!(".{name}"),
                false => format!("[{name:?}]"),
            };
            self.note_paths(value, format!("{path}{step}"), paths);
        }
        paths.entry(id).or_insert(path);
    }

    /// Puts images in the places of others, and lists the related images if none are listed.
    ///
    /// # Errors
    /// Something is not made as it should be, or two images would have one name.
    pub(crate) fn replace(&mut self, replacements: &Replacements) -> Result<(), RegenerateError> {
        if self.document.has_alias_keys() {
            // Keys are no places.
            self.write_out_aliases();
        }
        let mut changes = self.changes(replacements);
        if changes.is_none() {
            // Some value is to differ in the places where it stands.
            self.write_out_aliases();
            changes = self.changes(replacements);
        }
        for (id, change) in changes.into_iter().flatten() {
            match change {
                Change::Keep => {}
                Change::Whole(text) => self.document.set_text(id, &text),
                Change::Parts(parts) => {
                    for (part, text) in parts {
                        self.document.set_part(id, part, &text);
                    }
                }
            }
        }
        self.list_related_images()
    }

    /// Sets an annotation of the CSV.
    ///
    /// # Errors
    /// The metadata are no mapping.
    pub(crate) fn annotate(&mut self, name: &str, value: &str) -> Result<(), RegenerateError> {
        self.write_out_aliases();
        let value = NewValue::Text(value.to_owned());
        let metadata = self.mapping(self.root, METADATA)?;
        let annotations = match metadata {
            Some(metadata) => self.mapping(metadata, ANNOTATIONS)?,
            None => None,
        };
        let one = || NewValue::Mapping(vec![(name.to_owned(), value.clone())]);
        let (within, member, value) = match (metadata, annotations) {
            (_, Some(annotations)) => (annotations, name, value),
            (Some(metadata), None) => (metadata, ANNOTATIONS, one()),
            (None, None) => {
                let annotations = vec![(ANNOTATIONS.to_owned(), one())];
                (self.root, METADATA, NewValue::Mapping(annotations))
            }
        };
        self.document.set_member(within, member, &value);
        self.strings = Strings::of(&self.document, self.root);
        Ok(())
    }

    /// Gives the package that the CSV's properties state another name.
    pub(crate) fn rename_package(&mut self, old: &str, new: &str) {
        let found = |csv: &Self| {
            let id = csv
                .document
                .at(csv.root, &[METADATA, ANNOTATIONS, package::PROPERTIES])?;
            let parts = package::in_text(&csv.document.text(id)?, old);
            (!parts.is_empty()).then_some((id, parts))
        };
        if found(self).is_some() {
            self.write_out_aliases();
        }
        let Some((id, parts)) = found(self) else {
            return;
        };
        for part in parts.into_iter().rev() {
            self.document.set_part(id, part, new);
        }
    }

    /// Lets every alias be a value of its own, so that changing one place changes no other.
    fn write_out_aliases(&mut self) {
        if self.document.has_aliases() {
            self.document.write_out_aliases();
            self.strings = Strings::of(&self.document, self.root);
        }
    }

    /// A member that is to be a mapping; none if it is not there, or null.
    fn mapping(&self, id: NodeId, name: &str) -> Result<Option<NodeId>, RegenerateError> {
        let Some(member) = self.document.get(id, name) else {
            return Ok(None);
        };
        match self.document.value(member) {
            YamlValue::Null => Ok(None),
            YamlValue::Mapping => Ok(Some(member)),
            _ => Err(self.fault(member, &format!("`{name}` is to be a mapping"))),
        }
    }

    fn fault(&self, id: NodeId, fault: &str) -> RegenerateError {
        RegenerateError::Shape {
            file: self.file.clone(),
            line: self.document.line(id).unwrap_or_default(),
            fault: fault.to_owned(),
        }
    }

    /// A string at a place that is to have one.
    fn string(&self, id: NodeId, name: &str, of: &str) -> Result<String, RegenerateError> {
        let member = self.document.get(id, name);
        let text = member.and_then(|member| self.document.text(member));
        let text = text.map(std::borrow::Cow::into_owned);
        text.ok_or_else(|| {
            let at = member.unwrap_or(id);
            self.fault(at, &format!("{of} is to have a text as its `{name}`"))
        })
    }

    fn list(&self, id: Option<NodeId>) -> &[NodeId] {
        id.map(|id| self.document.items(id)).unwrap_or_default()
    }

    /// The listed related images.
    fn related_images(&self) -> Result<Vec<Place>, RegenerateError> {
        let listed = self.list(self.document.at(self.root, &["spec", RELATED_IMAGES]));
        let listed = listed.iter().map(|image| {
            Ok(Place {
                at: self.document.get(*image, "image").unwrap_or(*image),
                image: self.string(*image, "image", "a related image")?,
                name: self.string(*image, "name", "a related image")?,
                told: String::new(),
            })
        });
        listed.collect()
    }

    /// All other places, in the order that decides which of two with one name counts as the first.
    fn places(&self) -> Result<Vec<Place>, RegenerateError> {
        let mut places = Vec::new();
        let mut in_texts = Vec::new();
        for annotations in &self.strings.annotations {
            for (name, value) in self.document.members(*annotations) {
                if name == CONTAINER_IMAGE {
                    let image = self.string(*annotations, CONTAINER_IMAGE, "an annotation")?;
                    places.push(annotated(value, &name, image));
                    continue;
                }
                let Some(text) = self.document.text(value) else {
                    continue;
                };
                let found = pull_specs_in_text(&text).into_iter();
                let found = found.filter_map(|part| text.get(part));
                in_texts.extend(found.map(|image| annotated(value, &name, image.to_owned())));
            }
        }
        let containers = self.containers("containers");
        let first = self.containers("initContainers");
        for (containers, told) in [(&containers, "container"), (&first, "initContainer")] {
            for container in containers {
                let name = self.string(*container, "name", "a container")?;
                places.push(Place {
                    at: self.document.get(*container, "image").unwrap_or(*container),
                    image: self.string(*container, "image", &format!("the container {name}"))?,
                    told: format!("{told} {name}"),
                    name,
                });
            }
        }
        for container in containers.into_iter().chain(first) {
            for variable in self.list(self.document.get(container, "env")) {
                places.extend(self.variable(*variable)?);
            }
        }
        places.extend(in_texts.into_iter().rev());
        Ok(places)
    }

    fn containers(&self, kind: &str) -> Vec<NodeId> {
        let deployments = ["spec", "install", "spec", "deployments"];
        let deployments = self.list(self.document.at(self.root, &deployments));
        let containers = deployments.iter().flat_map(|deployment| {
            let path = ["spec", "template", "spec", kind];
            self.list(self.document.at(*deployment, &path))
        });
        containers.copied().collect()
    }

    /// The image that a variable names, if it is one of those.
    fn variable(&self, id: NodeId) -> Result<Option<Place>, RegenerateError> {
        let variable = self.string(id, "name", "a variable")?;
        let Some(name) = variable.strip_prefix(VARIABLES) else {
            return Ok(None);
        };
        if self.document.get(id, "valueFrom").is_some() {
            let file = self.file.clone();
            return Err(RegenerateError::ValueFrom { file, variable });
        }
        Ok(Some(Place {
            at: self.document.get(id, "value").unwrap_or(id),
            image: self.string(id, "value", &format!("the variable {variable}"))?,
            name: name.to_lowercase(),
            told: format!("{variable} var"),
        }))
    }

    /// What becomes of strings; none if one would become different things in the places where it stands.
    fn changes(&self, replacements: &Replacements) -> Option<BTreeMap<NodeId, Change>> {
        let mut changes = Changes {
            document: &self.document,
            texts: spellings(replacements),
            changes: BTreeMap::new(),
            is_one: true,
        };
        for annotations in &self.strings.annotations {
            changes.in_annotations(*annotations);
        }
        for id in &self.strings.outside {
            changes.whole(*id);
        }
        for id in &self.strings.kept {
            changes.note(*id, Change::Keep);
        }
        changes.is_one.then_some(changes.changes)
    }

    /// Lists the images that the CSV names as related ones if it lists none.
    fn list_related_images(&mut self) -> Result<(), RegenerateError> {
        let spec = self.mapping(self.root, "spec")?;
        let listed = spec.and_then(|spec| self.document.get(spec, RELATED_IMAGES));
        if let Some(listed) = listed {
            match self.document.value(listed) {
                YamlValue::Null => {}
                YamlValue::List if self.document.items(listed).is_empty() => {}
                YamlValue::List => return Ok(()),
                _ => return Err(self.fault(listed, "`relatedImages` is to be a list")),
            }
        }
        let mut by_name: BTreeMap<String, Place> = BTreeMap::new();
        let (mut listed, mut conflicts) = (Vec::new(), Vec::new());
        for place in self.places()? {
            let image = ImageName::of(&place.image).to_string();
            let place = Place { image, ..place };
            match by_name.entry(place.name.clone()) {
                Entry::Occupied(first) => {
                    let first = first.get();
                    if first.image != place.image {
                        let told = |place: &Place| format!("{}: {}", place.told, place.image);
                        conflicts.push(format!("{} X {}", told(first), told(&place)));
                    }
                }
                Entry::Vacant(free) => {
                    listed.push(NewValue::Mapping(vec![
                        ("name".to_owned(), NewValue::Text(place.name.clone())),
                        ("image".to_owned(), NewValue::Text(place.image.clone())),
                    ]));
                    free.insert(place);
                }
            }
        }
        if !conflicts.is_empty() {
            let file = self.file.clone();
            return Err(RegenerateError::Conflicts { file, conflicts });
        }
        let listed = NewValue::List(listed);
        self.write_out_aliases();
        match spec {
            Some(spec) => self.document.set_member(spec, RELATED_IMAGES, &listed),
            None => {
                let spec = NewValue::Mapping(vec![(RELATED_IMAGES.to_owned(), listed)]);
                self.document.set_member(self.root, "spec", &spec);
            }
        }
        self.strings = Strings::of(&self.document, self.root);
        Ok(())
    }
}

/// An image in an annotation.
fn annotated(at: NodeId, annotation: &str, image: String) -> Place {
    let ImageName { repo, tag, .. } = ImageName::of(&image);
    let tag = tag.strip_prefix("sha256:").unwrap_or(&tag);
    Place {
        at,
        name: format!("{repo}-{tag}-annotation"),
        told: format!("{annotation} annotation"),
        image,
    }
}

impl Strings {
    fn of(document: &YamlDocument, root: NodeId) -> Self {
        let mut strings = Self::default();
        strings.collect_annotations(document, root);
        let found = strings.annotations.iter().map(|id| document.shared(*id));
        strings.collect_outside(document, root, false, &found.collect());
        strings
    }

    fn collect_annotations(&mut self, document: &YamlDocument, id: NodeId) {
        for item in document.items(id) {
            self.collect_annotations(document, *item);
        }
        let members = document.members(id);
        if members.is_empty() {
            return;
        }
        let metadata = members.iter().find(|(name, _)| name == METADATA);
        let annotations = metadata.and_then(|(_, metadata)| document.get(*metadata, ANNOTATIONS));
        let is_mapping = |id: &NodeId| document.value(*id) == YamlValue::Mapping;
        self.annotations.extend(annotations.filter(is_mapping));
        for (name, member) in members {
            if name != METADATA {
                self.collect_annotations(document, member);
            }
        }
    }

    /// Strings outside annotations, and those in annotations that are none of `annotations`.
    fn collect_outside(
        &mut self,
        document: &YamlDocument,
        id: NodeId,
        is_metadata: bool,
        annotations: &BTreeSet<NodeId>,
    ) {
        match document.value(id) {
            YamlValue::Text(_) => self.outside.push(id),
            YamlValue::List => {
                for item in document.items(id) {
                    self.collect_outside(document, *item, false, annotations);
                }
            }
            YamlValue::Mapping => {
                for (name, member) in document.members(id) {
                    let is_mapping = document.value(member) == YamlValue::Mapping;
                    if !(is_metadata && name == ANNOTATIONS && is_mapping) {
                        self.collect_outside(document, member, name == METADATA, annotations);
                    } else if !annotations.contains(&document.shared(member)) {
                        self.collect_kept(document, member);
                    }
                }
            }
            _ => {}
        }
    }

    fn collect_kept(&mut self, document: &YamlDocument, id: NodeId) {
        if document.text(id).is_some() {
            self.kept.push(id);
        }
        for (_, member) in document.members(id) {
            self.collect_kept(document, member);
        }
        for item in document.items(id) {
            self.collect_kept(document, *item);
        }
    }
}

/// The texts that are images to be replaced, and what takes their places: most strings of a CSV are none, and
/// need not be taken apart.
fn spellings(replacements: &Replacements) -> HashMap<String, String> {
    let mut texts = HashMap::new();
    for (old, new) in replacements {
        let without_tag = ImageName {
            tag: String::new(),
            ..old.clone()
        };
        let (name, tag) = (without_tag.to_string(), &old.tag);
        for text in [format!("{name}:{tag}"), format!("{name}@{tag}")] {
            texts.insert(text, new.to_string());
        }
        if tag == "latest" {
            texts.insert(name, new.to_string());
        }
    }
    // Not all of these texts are that image: a tag may have a colon in it, and a name another one.
    texts.retain(|text, _| replacements.contains_key(&ImageName::of(text)));
    texts
}

/// What becomes of the strings of a document.
struct Changes<'c> {
    document: &'c YamlDocument,
    /// What takes the place of texts.
    texts: HashMap<String, String>,
    changes: BTreeMap<NodeId, Change>,
    /// Whether each string becomes one thing.
    is_one: bool,
}

impl Changes<'_> {
    fn note(&mut self, id: NodeId, change: Change) {
        if change == Change::Keep && !self.document.has_aliases() {
            return;
        }
        match self.changes.entry(self.document.shared(id)) {
            Entry::Occupied(known) => self.is_one &= *known.get() == change,
            Entry::Vacant(free) => {
                free.insert(change);
            }
        }
    }

    fn whole(&mut self, id: NodeId) {
        if let Some(text) = self.document.text(id) {
            let new = self.texts.get(&*text);
            let change = new.map_or(Change::Keep, |new| Change::Whole(new.clone()));
            self.note(id, change);
        }
    }

    fn in_annotations(&mut self, id: NodeId) {
        for (name, value) in self.document.members(id) {
            if name == CONTAINER_IMAGE {
                self.whole(value);
                continue;
            }
            let Some(text) = self.document.text(value) else {
                continue;
            };
            let found = pull_specs_in_text(&text).into_iter().rev();
            let parts = found.filter_map(|part| {
                let new = self.texts.get(text.get(part.clone())?)?;
                Some((part, new.clone()))
            });
            let parts: Vec<_> = parts.collect();
            let change = match parts.is_empty() {
                true => Change::Keep,
                false => Change::Parts(parts),
            };
            self.note(value, change);
        }
    }
}
