//! The manifests of a bundle, and the images that they name (regenerate-bundle §2 and §5).

use std::collections::{BTreeMap, BTreeSet};

use iib_bundle::{ImageName, YamlDocument, yaml_text};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use crate::csv::{Csv, NamedImage};
use crate::{Answer, Answers, Lookup, Next, RegenerateError, is_true};

/// The label of images that are bundles.
pub const BUNDLE_LABEL: &str = "com.redhat.delivery.operator.bundle";

/// Below it the manifests are.
const MANIFESTS: &str = "manifests/";

/// The CSVs of a bundle.
#[derive(Debug)]
pub struct Manifests {
    pub(crate) csvs: Vec<Csv>,
}

impl Manifests {
    /// Reads every file below `manifests/` whose name ends in `.yaml` or `.yml`; those that are no CSV are only
    /// looked at.
    ///
    /// # Errors
    /// [`RegenerateError::Yaml`], the first.
    pub fn read(files: &BTreeMap<String, Vec<u8>>) -> Result<Self, RegenerateError> {
        let is_yaml = |file: &str| file.ends_with(".yaml") || file.ends_with(".yml");
        let manifests: Vec<_> = files
            .iter()
            .filter(|(file, _)| file.starts_with(MANIFESTS) && is_yaml(file))
            .collect();
        // Large CRDs stand beside a CSV, and take as long to look at.
        let csvs: Vec<Result<Option<Csv>, RegenerateError>> = manifests
            .into_par_iter()
            .map(|(file, bytes)| {
                let document = yaml_text(bytes).and_then(YamlDocument::parse);
                match document {
                    Ok(document) => Ok(Csv::of(file, document)),
                    Err(fault) => Err(RegenerateError::Yaml {
                        file: file.clone(),
                        fault,
                    }),
                }
            })
            .collect();
        // The first fault by the names of the files.
        let csvs: Result<Vec<_>, _> = csvs.into_iter().collect();
        Ok(Self {
            csvs: csvs?.into_iter().flatten().collect(),
        })
    }

    /// The images that they name, each once.
    ///
    /// # Errors
    /// [`RegenerateError::Shape`].
    pub fn images(&self) -> Result<Vec<ImageName>, RegenerateError> {
        let mut images = Vec::new();
        for csv in &self.csvs {
            images.extend(csv.images()?);
        }
        let mut seen = BTreeSet::new();
        images.retain(|image| seen.insert(image.clone()));
        Ok(images)
    }

    /// Every place that names an image, file by file.
    ///
    /// # Errors
    /// As [`Manifests::images`].
    pub fn named_images(&self) -> Result<Vec<NamedImage>, RegenerateError> {
        let mut named = Vec::new();
        for csv in &self.csvs {
            named.extend(csv.named_images()?);
        }
        Ok(named)
    }

    /// Those of the images that are bundles, in the order of their places.
    ///
    /// # Errors
    /// As [`Manifests::images`]; [`RegenerateError::Images`].
    pub fn related_bundles(&self, answers: &Answers) -> Result<Next<Vec<String>>, RegenerateError> {
        let images = self.images()?;
        Ok(match known(&images, Lookup::Labels, answers)? {
            Err(questions) => Next::Ask(questions),
            Ok(found) => {
                let bundles = images.iter().zip(found);
                let bundles = bundles.filter(|(_, labels)| is_bundle(labels));
                Next::Done(bundles.map(|(image, _)| image.to_string()).collect())
            }
        })
    }
}

/// The answers about images, or the questions that are not answered yet.
///
/// # Errors
/// [`RegenerateError::Images`], all of those that cannot be read.
pub(crate) fn known<'a>(
    images: &[ImageName],
    lookup: fn(String) -> Lookup,
    answers: &'a Answers,
) -> Result<Result<Vec<&'a Answer>, Vec<Lookup>>, RegenerateError> {
    let lookups = images.iter().map(|image| lookup(image.to_string()));
    let (mut found, mut questions, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
    for lookup in lookups {
        match answers.get(&lookup) {
            Some(Answer::Unreadable) => unreadable.push(lookup.image().to_owned()),
            Some(answer) => found.push(answer),
            None => questions.push(lookup),
        }
    }
    if !unreadable.is_empty() {
        let mut seen = BTreeSet::new();
        unreadable.retain(|image| seen.insert(image.clone()));
        return Err(RegenerateError::Images(unreadable));
    }
    let mut seen = BTreeSet::new();
    questions.retain(|question| seen.insert(question.clone()));
    Ok(match questions.is_empty() {
        true => Ok(found),
        false => Err(questions),
    })
}

pub(crate) fn is_bundle(answer: &Answer) -> bool {
    let Answer::Labels(labels) = answer else {
        return false;
    };
    labels.get(BUNDLE_LABEL).is_some_and(|value| is_true(value))
}
