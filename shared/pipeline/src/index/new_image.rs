//! An index image that is made without a request: on the layers of the one it came from, or on
//! another image (ADR 12).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;
use iib_oci::{Arch, ImageFormat, Pinned, PullSpec, Reference, RunSettings};
use iib_ports::{BlobSource, BlobStream, Registry, RegistryError};
use iib_request::{Serves, created_after};
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::io::AsyncReadExt as _;

use super::{layer, places};
use crate::image;
use crate::labels;
use crate::layered::{Base, Edit, LayeredImage, TopLayer, manifest_list, push_images, push_list};
use crate::parts::InputLayer;
use crate::steps::inputs::Index;
use crate::transfer::blocking;
use crate::{IndexError, InputError, StageError, WorkError};

/// The image that an index came from.
#[derive(Debug)]
pub(crate) struct Origin {
    /// As it was named.
    pub(crate) spec: PullSpec,
    pub(crate) index: Index,
}

impl Origin {
    /// The image by digest.
    pub(crate) fn resolved(&self) -> &Pinned {
        &self.index.read.resolved
    }
}

/// An index image that is to be.
pub(crate) struct NewImage<'a> {
    /// The image it came from.
    pub(crate) origin: Option<&'a Origin>,
    /// The image it is built on. Without one, on what the image is built on that it came from;
    /// else on nothing.
    pub(crate) binary_image: Option<&'a PullSpec>,
    /// Which documents it gets.
    pub(crate) format: ImageFormat,
    /// What it has.
    pub(crate) serves: Serves,
    /// Where that is in the image.
    pub(crate) place: &'a str,
}

/// What is packed.
pub(crate) struct ToPack {
    pub(crate) items: Vec<layer::Item>,
    /// A layer of which unchanged parts are taken over.
    pub(crate) input: Option<InputLayer>,
    /// Where the packed layer goes.
    pub(crate) file: PathBuf,
}

/// What the new layer lies on.
pub(crate) struct Ground {
    bases: Vec<(Arch, Base)>,
    /// Whether something may be below at the places of the new layer, which must not be seen.
    pub(crate) hides: bool,
}

impl Ground {
    /// The folder of the serve cache that the images say they are run with, if it is not that of those which
    /// are made here.
    pub(crate) fn cache_elsewhere(&self) -> Option<String> {
        let documents = self.bases.iter().map(|(_, base)| base.config.document());
        let mut folders = documents.filter_map(cache_folder);
        folders.find(|folder| folder.trim_end_matches('/') != places::CACHE)
    }
}

impl NewImage<'_> {
    /// Looks up what to build on.
    ///
    /// # Errors
    /// [`StageError`] naming the image.
    pub(crate) async fn ground(&self, registry: &dyn Registry) -> Result<Ground, StageError> {
        let mut ground = Ground {
            bases: self.bases(registry).await?,
            hides: false,
        };
        if self.binary_image.is_none() {
            for (_, base) in &mut ground.bases {
                // Else every change would leave a layer behind.
                base.remove_layer(&self.content(false));
                if base.replaced.is_some() || self.serves == Serves::Database {
                    continue;
                }
                base.remove_layer(&self.content(true));
                ground.hides |= !base.layers.is_empty();
            }
        }
        Ok(ground)
    }

    /// What the history of the image says of the layer. A file takes the place of the one below it; a
    /// folder has to say so.
    fn content(&self, hides: bool) -> String {
        let place = self.place.trim_start_matches('/');
        match hides {
            true => format!("/{place} in place of what is below"),
            false => format!("/{place}"),
        }
    }

    /// Pushes images for all architectures, and the list over them under the tag of `target`. A
    /// tag that was read from is only moved if nobody else moved it meanwhile.
    ///
    /// # Errors
    /// [`StageError`] naming the image.
    pub(crate) async fn push(
        &self,
        registry: &Arc<dyn Registry>,
        target: &PullSpec,
        ground: Ground,
        to_pack: ToPack,
    ) -> Result<Pinned, StageError> {
        let (layer, file) = pack(to_pack, self.format).await?;
        let content = self.content(ground.hides);
        let run = match self.serves {
            Serves::Database => RunSettings::serve_database(),
            Serves::Catalog => RunSettings::serve_catalog(),
        };
        let edit = Edit {
            layer_content: &content,
            labels: self.labels(),
            run: (self.binary_image.is_some()).then_some(run),
            created: self.created(target, &layer, &ground.bases),
            format: self.format,
        };
        let mut images = Vec::new();
        for (arch, base) in ground.bases {
            images.push(LayeredImage::on(base, &arch, &layer, &edit)?);
        }
        push_images(
            &**registry,
            registry,
            target,
            &images,
            (&layer, &file),
            |image| Reference::Digest(image.digest()),
        )
        .await?;
        let list = manifest_list(self.format, &images)?;
        self.check_unmoved(&**registry, target).await?;
        push_list(&**registry, target, &list).await?;
        Ok(target.pin(list.digest()))
    }

    /// Later than the index it came from, as for requests; an index that is as it was has the date
    /// that it had.
    fn created(&self, target: &PullSpec, layer: &TopLayer, bases: &[(Arch, Base)]) -> Timestamp {
        let Some(origin) = self.origin else {
            return Timestamp::UNIX_EPOCH;
        };
        let digest = &layer.descriptor.digest;
        match bases
            .iter()
            .all(|(_, base)| base.replaced.as_ref() == Some(digest))
        {
            true => origin.index.created.unwrap_or_default(),
            false => created_after(origin.index.created, origin.spec == *target),
        }
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        if self.origin.is_none() || self.binary_image.is_some() {
            let form = match self.serves {
                Serves::Database => labels::DATABASE,
                Serves::Catalog => labels::CONFIGS,
            };
            labels.insert(form.to_owned(), places::of(self.serves).to_owned());
        }
        if let (Some(origin), Some(_)) = (self.origin, self.binary_image) {
            labels.insert(labels::VERSION.to_owned(), origin.index.version.clone());
            let scope = origin.index.scope.clone();
            labels.extend(scope.map(|scope| (labels::SCOPE.to_owned(), scope)));
        }
        labels
    }

    /// What to build on, by architecture.
    async fn bases(&self, registry: &dyn Registry) -> Result<Vec<(Arch, Base)>, StageError> {
        let wanted = self.origin.map(|origin| &origin.index.arches);
        let images = match (self.binary_image, self.origin) {
            (Some(image), _) => image::resolve(registry, image).await?,
            (None, Some(origin)) => {
                image::resolve(registry, &origin.resolved().to_pull_spec()).await?
            }
            (None, None) => {
                let arch = Arch::amd64();
                let base = Base::scratch(&arch);
                return Ok(vec![(arch, base)]);
            }
        };
        let images = images.by_arch(registry).await?;
        let missing: Vec<&str> = wanted
            .into_iter()
            .flatten()
            .filter(|arch| !images.contains_key(*arch))
            .map(Arch::as_str)
            .collect();
        if !missing.is_empty() {
            return Err(InputError::MissingArches(missing.join(", ")).into());
        }
        let mut bases = Vec::new();
        for (arch, image) in images {
            if wanted.is_some_and(|wanted| !wanted.contains(&arch)) {
                continue;
            }
            bases.push((arch, Base::image(registry, &image).await?));
        }
        Ok(bases)
    }

    /// Registries offer no compare-and-swap; this leaves a gap of one call.
    async fn check_unmoved(
        &self,
        registry: &dyn Registry,
        target: &PullSpec,
    ) -> Result<(), StageError> {
        let Some(origin) = self.origin.filter(|origin| origin.spec == *target) else {
            return Ok(());
        };
        let now = image::resolve(registry, target).await?.resolved;
        if now.digest() != origin.resolved().digest() {
            return Err(IndexError::Moved {
                image: target.to_string(),
                read: origin.resolved().digest().to_string(),
                now: now.digest().to_string(),
            }
            .into());
        }
        Ok(())
    }
}

/// The folder of the serve cache that the command of an image names.
fn cache_folder(config: &Map<String, Value>) -> Option<String> {
    const OPTION: &str = "--cache-dir";
    let run = config.get("config")?;
    let words = ["Entrypoint", "Cmd"].into_iter();
    let words = words.filter_map(|part| run.get(part)?.as_array());
    let mut words = words.flatten().filter_map(Value::as_str);
    let word = words.find(|word| word.starts_with(OPTION))?;
    match word.strip_prefix(OPTION)? {
        "" => words.next().map(str::to_owned),
        value => value.strip_prefix('=').map(str::to_owned),
    }
}

async fn pack(to_pack: ToPack, format: ImageFormat) -> Result<(TopLayer, LayerFile), StageError> {
    blocking(move || -> Result<_, WorkError> {
        let scratch = layer::scratch("written");
        let ToPack { items, input, file } = to_pack;
        let mut out = io::BufWriter::new(File::create(&file).map_err(&scratch)?);
        let file = LayerFile(file);
        let layer = layer::pack(items, format, input.as_ref(), &mut out)?;
        out.flush().map_err(scratch)?;
        let layer = TopLayer {
            descriptor: layer.descriptor(format),
            diff_id: layer.diff_id,
        };
        Ok((layer, file))
    })
    .await
}

/// A packed layer on disk, which goes with this value.
struct LayerFile(PathBuf);

impl Drop for LayerFile {
    fn drop(&mut self) {
        // Left behind in the worst case, in a folder of temporary files.
        let _ = fs::remove_file(&self.0);
    }
}

/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;

#[async_trait]
impl BlobSource for LayerFile {
    async fn open(&self) -> Result<BlobStream, RegistryError> {
        let name = self.0.display().to_string();
        let failed = move |error: io::Error| RegistryError::Source {
            what: name.clone(),
            source: Box::new(error),
        };
        let file = tokio::fs::File::open(&self.0).await.map_err(&failed)?;
        let chunks = stream::try_unfold(file, move |mut file| {
            let failed = failed.clone();
            async move {
                let mut chunk = Vec::with_capacity(CHUNK);
                let read = file.read_buf(&mut chunk).await.map_err(failed)?;
                Ok((read > 0).then(|| (Bytes::from(chunk), file)))
            }
        });
        Ok(Box::pin(chunks))
    }
}
