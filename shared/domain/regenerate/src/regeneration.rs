//! The steps, one after the other (regenerate-bundle §7).

use std::collections::{BTreeMap, VecDeque};

use iib_bundle::{ImageName, YamlDocument, yaml_text};

use crate::csv::Replacements;
use crate::error::PACKAGE;
use crate::manifests::{Manifests, is_bundle, known};
use crate::metadata::{self, Metadata};
use crate::{Customization, RegenerateError, Template, package};

/// The label of bundles whose images are pinned.
pub const PINNED_LABEL: &str = "com.redhat.iib.pinned";

/// What is to be adapted, and for whom.
#[derive(Debug, Clone, Default)]
pub struct Bundle {
    /// The files below `manifests/` and `metadata/`, by their paths from there on, which begin so.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Whether it is asked for by an organization; annotations are added only then.
    pub has_organization: bool,
    /// Whether its label says that its images are pinned.
    pub is_pinned: bool,
    /// Bundles by those that they replace.
    pub replacements: BTreeMap<String, String>,
}

/// A question about an image, by a pull spec with a tag or digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lookup {
    /// Its digest.
    Digest(String),
    /// Its labels.
    Labels(String),
}

impl Lookup {
    /// The pull spec.
    pub fn image(&self) -> &str {
        match self {
            Self::Digest(image) | Self::Labels(image) => image,
        }
    }
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A digest, with its algorithm.
    Digest(String),
    /// Labels.
    Labels(BTreeMap<String, String>),
    /// The image cannot be read.
    Unreadable,
}

/// Answers by questions.
pub type Answers = BTreeMap<Lookup, Answer>;

/// How it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next<T> {
    /// What has to be known first, each question once. Whoever has all answers asks again.
    Ask(Vec<Lookup>),
    /// All is done.
    Done(T),
}

/// An adapted bundle.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Regenerated {
    /// Files that changed, by their paths, with their whole text.
    pub files: BTreeMap<String, String>,
    /// Labels for the new image.
    pub labels: BTreeMap<String, String>,
    /// The images that are bundles, in the order of their places; none if no step listed them.
    pub related_bundles: Option<Vec<String>>,
    /// What people should know: values that could not be changed in their places, images that got one name.
    pub notes: Vec<String>,
}

/// A bundle that is being adapted.
#[derive(Debug)]
pub struct Regeneration {
    manifests: Manifests,
    metadata: Metadata,
    steps: VecDeque<Customization>,
    has_organization: bool,
    is_pinned: bool,
    replacements: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    related_bundles: Option<Vec<String>>,
    notes: Vec<String>,
    /// Files beside the annotations that state the package, with its new name.
    renamed: BTreeMap<String, YamlDocument>,
    texts: BTreeMap<String, Vec<u8>>,
}

/// What a step comes to.
enum Step {
    Done,
    Ask(Vec<Lookup>),
}

impl Regeneration {
    /// Reads the manifests, then the annotations.
    ///
    /// # Errors
    /// [`RegenerateError`], the first.
    pub fn new(bundle: Bundle, steps: Vec<Customization>) -> Result<Self, RegenerateError> {
        Ok(Self {
            manifests: Manifests::read(&bundle.files)?,
            metadata: Metadata::read(bundle.files.get(metadata::FILE))?,
            steps: steps.into(),
            has_organization: bundle.has_organization,
            is_pinned: bundle.is_pinned,
            replacements: bundle.replacements,
            labels: BTreeMap::new(),
            related_bundles: None,
            notes: Vec::new(),
            renamed: BTreeMap::new(),
            texts: bundle.files,
        })
    }

    /// Goes on as far as the answers reach.
    ///
    /// # Errors
    /// [`RegenerateError`].
    pub fn next(&mut self, answers: &Answers) -> Result<Next<Regenerated>, RegenerateError> {
        while let Some(step) = self.steps.front().cloned() {
            match self.step(&step, answers)? {
                Step::Ask(questions) => return Ok(Next::Ask(questions)),
                Step::Done => {
                    self.steps.pop_front();
                }
            }
        }
        Ok(Next::Done(self.result()?))
    }

    /// The manifests as they are now.
    pub fn into_manifests(self) -> Manifests {
        self.manifests
    }

    fn result(&self) -> Result<Regenerated, RegenerateError> {
        let mut result = Regenerated {
            labels: self.labels.clone(),
            related_bundles: self.related_bundles.clone(),
            notes: self.notes.clone(),
            ..Regenerated::default()
        };
        let csvs = self
            .manifests
            .csvs
            .iter()
            .map(|csv| (&*csv.file, &csv.document));
        let renamed = self
            .renamed
            .iter()
            .map(|(file, document)| (&**file, document));
        let annotations = (metadata::FILE, &self.metadata.document);
        for (file, document) in csvs.chain([annotations]).chain(renamed) {
            let rewritten = document.rewritten();
            if !rewritten.is_faithful {
                return Err(RegenerateError::Unwritten(file.to_owned()));
            }
            let before = self.texts.get(file).map(Vec::as_slice);
            if before != Some(rewritten.text.as_bytes()) {
                result.files.insert(file.to_owned(), rewritten.text);
            }
            let notes = rewritten.anew.into_iter().map(|line| {
                format!("{file}: line {line}: the value could not be changed in its place, and was written anew")
            });
            result.notes.extend(notes);
        }
        Ok(result)
    }

    fn step(&mut self, step: &Customization, answers: &Answers) -> Result<Step, RegenerateError> {
        match step {
            Customization::ResolveImagePullspecs => self.pin(answers),
            Customization::RelatedBundles => self.list_bundles(answers),
            Customization::PerformBundleReplacements => self.replace_bundles(answers),
            Customization::PackageNameSuffix { suffix } => {
                self.add_suffix(suffix);
                Ok(Step::Done)
            }
            Customization::RegistryReplacements { replacements } => self.rename_some(|image| {
                let registry = replacements.get(image.registry.as_deref()?)?.clone();
                let registry = Some(registry);
                Some(ImageName {
                    registry,
                    ..image.clone()
                })
            }),
            Customization::ImageNameFromLabels { template } => match template {
                Some(template) if !template.is_empty() => self.name_by_labels(template, answers),
                _ => Ok(Step::Done),
            },
            Customization::CsvAnnotations { annotations } => self.annotate(annotations),
            Customization::EncloseRepo {
                namespace,
                enclosure_glue,
            } => match namespace.is_empty() || enclosure_glue.is_empty() {
                true => Ok(Step::Done),
                false => self.rename_all(|image| enclosed(image, namespace, enclosure_glue)),
            },
        }
    }

    fn pin(&mut self, answers: &Answers) -> Result<Step, RegenerateError> {
        if self.is_pinned {
            return Ok(Step::Done);
        }
        let images = self.manifests.images()?;
        let digests = match known(&images, Lookup::Digest, answers)? {
            Ok(digests) => digests,
            Err(questions) => return Ok(Step::Ask(questions)),
        };
        let mut replacements = Replacements::new();
        for (image, digest) in images.into_iter().zip(digests) {
            let Answer::Digest(digest) = digest else {
                return Err(RegenerateError::Images(vec![image.to_string()]));
            };
            if !image.tag.contains(':') {
                let pinned = image.pinned(digest);
                replacements.insert(image, pinned);
            }
        }
        if !replacements.is_empty() {
            self.replace(&replacements)?;
            self.labels
                .insert(PINNED_LABEL.to_owned(), "true".to_owned());
        }
        Ok(Step::Done)
    }

    fn list_bundles(&mut self, answers: &Answers) -> Result<Step, RegenerateError> {
        Ok(match self.manifests.related_bundles(answers)? {
            Next::Ask(questions) => Step::Ask(questions),
            Next::Done(bundles) => {
                self.related_bundles = Some(bundles);
                Step::Done
            }
        })
    }

    fn replace_bundles(&mut self, answers: &Answers) -> Result<Step, RegenerateError> {
        if self.replacements.is_empty() {
            return Ok(Step::Done);
        }
        let old: Vec<ImageName> = self
            .replacements
            .keys()
            .map(|old| ImageName::of(old))
            .collect();
        let found = match known(&old, Lookup::Labels, answers)? {
            Ok(found) => found,
            Err(questions) => return Ok(Step::Ask(questions)),
        };
        let new = self.replacements.values().map(|new| ImageName::of(new));
        let pairs = old.into_iter().zip(new).zip(found);
        let pairs = pairs.filter(|(_, labels)| is_bundle(labels));
        let replacements = pairs.map(|(pair, _)| pair).collect();
        self.replace(&replacements)?;
        Ok(Step::Done)
    }

    fn add_suffix(&mut self, suffix: &str) {
        let package = self.metadata.package().into_owned();
        if suffix.is_empty() || package.ends_with(suffix) {
            return;
        }
        let new = format!("{package}{suffix}");
        for csv in &mut self.manifests.csvs {
            csv.rename_package(&package, &new);
        }
        self.rename_in_properties(&package, &new);
        self.metadata.rename_package(&new);
        self.labels.insert(PACKAGE.to_owned(), new);
    }

    /// Files with properties; what is none, or is no YAML, is not for us.
    fn rename_in_properties(&mut self, old: &str, new: &str) {
        let others = self.texts.iter();
        let others = others.filter(|(file, _)| file.starts_with(metadata::FOLDER));
        for (file, bytes) in others.filter(|(file, _)| *file != metadata::FILE) {
            let known = self.renamed.get(file).cloned();
            let read = || yaml_text(bytes).and_then(YamlDocument::parse).ok();
            let Some(mut document) = known.or_else(read) else {
                continue;
            };
            if package::in_document(&document, old).is_empty() {
                continue;
            }
            document.write_out_aliases();
            for name in package::in_document(&document, old) {
                document.set_text(name, new);
            }
            self.renamed.insert(file.clone(), document);
        }
    }

    fn name_by_labels(
        &mut self,
        template: &Template,
        answers: &Answers,
    ) -> Result<Step, RegenerateError> {
        let images = self.manifests.images()?;
        let found = match known(&images, Lookup::Labels, answers)? {
            Ok(found) => found,
            Err(questions) => return Ok(Step::Ask(questions)),
        };
        let mut replacements = Replacements::new();
        for (image, labels) in images.into_iter().zip(found) {
            let Answer::Labels(labels) = labels else {
                return Err(RegenerateError::Images(vec![image.to_string()]));
            };
            let name = template.fill(|name| labels.get(name).map(String::as_str));
            let name = name.ok_or_else(|| RegenerateError::Label {
                image: image.to_string(),
                template: template.to_string(),
                available: labels.keys().cloned().collect(),
            })?;
            let (namespace, repo) = match name.split_once('/') {
                Some((namespace, repo)) => (Some(namespace.to_owned()), repo.to_owned()),
                None => (None, name),
            };
            replacements.insert(
                image.clone(),
                ImageName {
                    namespace,
                    repo,
                    ..image
                },
            );
        }
        self.replace(&replacements)?;
        Ok(Step::Done)
    }

    fn annotate(
        &mut self,
        annotations: &BTreeMap<String, Template>,
    ) -> Result<Step, RegenerateError> {
        if !self.has_organization {
            return Ok(Step::Done);
        }
        let package = self.metadata.package().into_owned();
        for csv in &mut self.manifests.csvs {
            for (name, template) in annotations {
                let is_package = |field: &str| field == crate::customization::PACKAGE_NAME;
                // Told when the service starts, and here to whoever asked meanwhile.
                let value = template.fill(|field| is_package(field).then_some(&*package));
                let value = value.ok_or_else(|| RegenerateError::Field {
                    annotation: name.clone(),
                    template: template.to_string(),
                })?;
                csv.annotate(name, &value)?;
            }
        }
        Ok(Step::Done)
    }

    /// Gives images other names, if any gets one.
    fn rename_some(
        &mut self,
        rename: impl Fn(&ImageName) -> Option<ImageName>,
    ) -> Result<Step, RegenerateError> {
        let images = self.manifests.images()?.into_iter();
        let renamed = images.filter_map(|image| rename(&image).map(|new| (image, new)));
        let replacements: Replacements = renamed.collect();
        if !replacements.is_empty() {
            self.replace(&replacements)?;
        }
        Ok(Step::Done)
    }

    /// Gives all images other names.
    fn rename_all(
        &mut self,
        rename: impl Fn(&ImageName) -> ImageName,
    ) -> Result<Step, RegenerateError> {
        let images = self.manifests.images()?.into_iter();
        let replacements = images
            .map(|image| (image.clone(), rename(&image)))
            .collect();
        self.replace(&replacements)?;
        Ok(Step::Done)
    }

    fn replace(&mut self, replacements: &Replacements) -> Result<(), RegenerateError> {
        let images = self.manifests.images()?;
        let notes = of_one_name(&images, replacements)
            .into_iter()
            .map(|(name, images)| format!("{} have one name now, {name}", images.join(" and ")));
        self.notes.extend(notes);
        let mut csvs = self.manifests.csvs.iter_mut();
        csvs.try_for_each(|csv| csv.replace(replacements))
    }
}

/// The images that have one name afterwards, by it. With a digest it is one image anyway.
fn of_one_name<'a>(
    images: &'a [ImageName],
    replacements: &'a Replacements,
) -> BTreeMap<&'a ImageName, Vec<String>> {
    let mut by_name: BTreeMap<&ImageName, Vec<String>> = BTreeMap::new();
    for old in images {
        let new = replacements.get(old).unwrap_or(old);
        if !new.tag.contains(':') {
            by_name.entry(new).or_default().push(old.to_string());
        }
    }
    by_name.retain(|_, images| images.len() > 1);
    by_name
}

/// The name of an image in one namespace, with what it was before as one word.
fn enclosed(image: &ImageName, namespace: &str, glue: &str) -> ImageName {
    let before = image
        .namespace
        .as_deref()
        .filter(|before| *before != namespace && !before.is_empty());
    let parts = before.into_iter().chain(image.repo.split('/'));
    ImageName {
        registry: image.registry.clone(),
        namespace: Some(namespace.to_owned()),
        repo: parts.collect::<Vec<_>>().join(glue),
        tag: image.tag.clone(),
    }
}

#[cfg(test)]
mod tests;
