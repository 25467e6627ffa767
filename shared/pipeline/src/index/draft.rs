//! Catalogs of indexes that are changed without a request, and put into an image.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use iib_fbc::{CatalogDiff, Deprecations, Filter};
use iib_oci::{ImageFormat, Pinned, PullSpec};
use iib_ports::Registry;
use iib_request::{IndexForm, Serves};

use super::catalog::{CatalogIndex, Changed, change_files};
use super::contents::Contents;
use super::forms::Forms;
use super::fragment::{self, Fragment};
use super::new_image::{NewImage, Origin, ToPack};
use super::{layer, places};
use crate::image;
use crate::labels::{self, label};
use crate::steps::inputs::{DEFAULT_VERSION, look_at_index};
use crate::transfer::blocking;
use crate::{Engine, IndexError, NoPackage, StageError};

/// An index with a file-based catalog that is about to be changed: a working copy, and what it came
/// from.
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct CatalogDraft {
    engine: Engine,
    /// As the user wrote it, for messages.
    name: String,
    contents: Contents,
    origin: Option<Origin>,
    version: String,
    folder: PathBuf,
    words: Vec<String>,
}

/// What is done to a catalog.
#[derive(Debug)]
pub enum CatalogEdit {
    /// These packages go.
    Remove(BTreeSet<String>),
    /// All other packages go.
    Keep(BTreeSet<String>),
    /// The packages of fragments come, in place of those of the same name.
    Merge(Vec<NamedFolder>),
    /// What a filter says stays; what the database behind the catalog has of a package of which something goes
    /// goes with it: it knows whole packages only.
    Filter(Filter),
    /// Deprecations come, in place of those of their package.
    Deprecate(Deprecations),
}

/// A catalog in a folder of this machine.
#[derive(Debug)]
pub struct NamedFolder {
    /// Where it came from, for messages.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
}

impl CatalogDraft {
    /// Copies what an index image holds to `folder`, which is empty.
    ///
    /// # Errors
    /// [`StageError`] naming the image.
    pub async fn of_image(
        engine: Engine,
        registry: &dyn Registry,
        spec: &PullSpec,
        folder: &Path,
    ) -> Result<Self, StageError> {
        let index = look_at_index(registry, spec).await?;
        if let IndexForm::Database(_) = index.read.form {
            return Err(IndexError::DatabaseBased(spec.to_string()).into());
        }
        let contents = Contents::copy(&engine, registry, Some(&index.read), folder).await?;
        Ok(Self {
            engine,
            name: spec.to_string(),
            contents,
            version: index.version.clone(),
            origin: Some(Origin {
                spec: spec.clone(),
                index,
            }),
            folder: folder.to_owned(),
            words: Vec::new(),
        })
    }

    /// Copies a catalog to `folder`, which is empty. It gets the version of the image that it will be
    /// built on.
    ///
    /// # Errors
    /// [`StageError`] naming the image.
    pub async fn of_folder(
        engine: Engine,
        registry: &dyn Registry,
        catalog: &NamedFolder,
        binary_image: Option<&PullSpec>,
        folder: &Path,
    ) -> Result<Self, StageError> {
        let version = match binary_image {
            Some(spec) => {
                let image = image::resolve(registry, spec).await?;
                let (_, config) = image::config(registry, &image.any()?.pinned).await?;
                label(&config, labels::VERSION).map(str::to_owned)
            }
            None => None,
        };
        Ok(Self {
            engine,
            name: catalog.name.clone(),
            contents: Contents::of_folder(&catalog.folder, folder).await?,
            version: version.unwrap_or_else(|| DEFAULT_VERSION.to_owned()),
            origin: None,
            folder: folder.to_owned(),
            words: Vec::new(),
        })
    }

    /// Changes the catalog and the database behind it, and writes the serve cache anew. It is to be done once.
    ///
    /// # Errors
    /// [`StageError`] that names what is not there or not right.
    pub async fn change(&mut self, edit: CatalogEdit) -> Result<CatalogDiff, StageError> {
        let (name, version) = (self.name.clone(), self.version.clone());
        let image = self.origin.as_ref();
        let image = image.map_or(name.clone(), |origin| origin.resolved().to_string());
        let work = self.prepared(edit).await?;
        let work = move |index: &mut CatalogIndex| work.apply(index, &name);
        let changed = change_files(&self.engine, &mut self.contents, image, &version, work).await?;
        let Changed { words, changes } = changed;
        self.words.extend(words);
        Ok(changes?.diff)
    }

    /// What was said while the catalog was changed.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Pushes images for all architectures, and the list over them under the tag of `target`. A
    /// tag that was read from is only moved if nobody else moved it meanwhile.
    ///
    /// # Errors
    /// [`StageError`] naming the image.
    pub async fn push(
        &self,
        registry: &Arc<dyn Registry>,
        target: &PullSpec,
        binary_image: Option<&PullSpec>,
        format: ImageFormat,
    ) -> Result<Pinned, StageError> {
        let kept = self.origin.as_ref().filter(|_| binary_image.is_none());
        let read = kept.map(|origin| &origin.index.read);
        let place = match read.map(|read| &read.form) {
            Some(IndexForm::Catalog(path)) => path,
            _ => places::CATALOG,
        };
        let hidden = read.and_then(|read| read.hidden.clone());
        let hidden = hidden.unwrap_or_else(|| self.engine.work.hidden_database.clone());
        let image = NewImage {
            origin: self.origin.as_ref(),
            binary_image,
            format,
            serves: Serves::Catalog,
            place,
        };
        let ground = image.ground(&**registry).await?;
        if let (Some(origin), Some(cache)) = (kept, ground.cache_elsewhere()) {
            return Err(IndexError::CacheElsewhere {
                image: origin.spec.to_string(),
                cache,
            }
            .into());
        }
        let (contents, at) = (self.contents.clone(), place.to_owned());
        let empty = ground.hides.then(|| self.folder.join("nothing"));
        let items = blocking(move || {
            let mut items = contents.items_at(&at, &hidden)?;
            if let Some(empty) = empty {
                for folder in [&at, places::CACHE] {
                    items.push(layer::hiding(folder, &empty)?);
                }
            }
            Ok::<_, StageError>(items)
        });
        let to_pack = ToPack {
            items: items.await?,
            input: self.contents.input.clone(),
            file: self.folder.join("packed"),
        };
        image.push(registry, target, ground, to_pack).await
    }

    /// Reads what an edit brings along.
    async fn prepared(&self, edit: CatalogEdit) -> Result<Prepared, StageError> {
        let rules = Forms::of(&self.version, &self.engine.work).rules;
        Ok(match edit {
            CatalogEdit::Remove(packages) => Prepared::Remove(packages),
            CatalogEdit::Keep(packages) => Prepared::Keep(packages),
            CatalogEdit::Filter(filter) => Prepared::Filter(filter),
            CatalogEdit::Deprecate(deprecations) => Prepared::Deprecate(Box::new(deprecations)),
            CatalogEdit::Merge(folders) => {
                let mut fragments = Vec::new();
                for NamedFolder { name, folder } in folders {
                    let catalogs = self.engine.catalogs.clone();
                    fragments.push(Fragment::read(catalogs, name, folder, rules).await?);
                }
                Prepared::Merge(fragments)
            }
        })
    }
}

/// An edit with all that it needs.
enum Prepared {
    Remove(BTreeSet<String>),
    Keep(BTreeSet<String>),
    Filter(Filter),
    Merge(Vec<Fragment>),
    Deprecate(Box<Deprecations>),
}

impl Prepared {
    /// Does to an index what the request of its kind does; unlike some of them it refuses what names something
    /// that is not there.
    fn apply(&self, index: &mut CatalogIndex, name: &str) -> Result<(), StageError> {
        match self {
            Self::Remove(packages) => {
                check_known(&index.packages()?, packages, name)?;
                index.remove(packages)?;
                index.follow_database()
            }
            Self::Keep(packages) => keep(index, packages, name),
            Self::Filter(Filter { packages }) => {
                keep(index, &packages.keys().cloned().collect(), name)?;
                for (package, filter) in packages {
                    index.filter(package, filter)?;
                }
                Ok(())
            }
            Self::Merge(fragments) => {
                for [package, earlier, later] in fragment::repeated(fragments) {
                    index.tell(format!(
                        "the package {package} is in {earlier} and in {later}, of which the latter counts"
                    ));
                }
                fragment::merge(index, fragments)
            }
            Self::Deprecate(deprecations) => {
                // The package may be in the database only.
                index.follow_database()?;
                let checked = deprecations.check(index.outline());
                checked.map_err(|source| IndexError::UnfitDeprecations {
                    image: name.to_owned(),
                    source,
                })?;
                index.deprecate(deprecations)
            }
        }
    }
}

/// Takes all other packages out.
fn keep(
    index: &mut CatalogIndex,
    packages: &BTreeSet<String>,
    name: &str,
) -> Result<(), StageError> {
    let known = index.packages()?;
    check_known(&known, packages, name)?;
    let others = known.difference(packages).cloned().collect();
    index.remove(&others)?;
    index.follow_database()
}

fn check_known(
    known: &BTreeSet<String>,
    named: &BTreeSet<String>,
    image: &str,
) -> Result<(), IndexError> {
    match named.difference(known).next() {
        None => Ok(()),
        Some(package) => Err(IndexError::NoPackage {
            image: image.to_owned(),
            missing: NoPackage::among(known, package),
        }),
    }
}
