//! Indexes that are changed without a request: their database in a file, and back into an image.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;
use iib_catalog::CatalogShape;
use iib_oci::{Arch, Descriptor, ImageFormat, Pinned, PullSpec, Reference, RunSettings};
use iib_ports::{BlobSource, BlobStream, IndexDb, Registry, RegistryError};
use iib_request::created_after;
use jiff::Timestamp;
use tokio::io::AsyncReadExt as _;

use super::contents::copy_database;
use super::{Base, Edit, IndexImage, IndexLayer, manifest_list, push_images, push_list};
use super::{layer, places};
use crate::image;
use crate::labels;
use crate::parts::InputLayer;
use crate::steps::inputs::{Index, look_at_index};
use crate::transfer::blocking;
use crate::unpacked::Unpacked;
use crate::{IndexError, InputError, StageError, WorkError};

/// The database of an index image, in a file of this machine.
#[derive(Debug)]
pub struct IndexCopy {
    spec: PullSpec,
    index: Index,
    /// Where the database is in the image.
    place: String,
    database: PathBuf,
    input: Option<InputLayer>,
}

impl IndexCopy {
    /// Copies the database of an index image to `folder`, which it keeps for itself.
    ///
    /// # Errors
    /// [`StageError`] naming the image. At most `limit` bytes are unpacked of a layer.
    pub async fn fetch(
        registry: &dyn Registry,
        spec: &PullSpec,
        folder: &Path,
        limit: u64,
    ) -> Result<Self, StageError> {
        let index = look_at_index(registry, spec).await?;
        let Some(place) = index.database.clone() else {
            return Err(IndexError::FileBased(spec.to_string()).into());
        };
        let database = folder.join("index.db");
        let unpacked = Arc::new(Unpacked::off());
        let input =
            copy_database(registry, &index.read, &place, &database, limit, &unpacked).await?;
        Ok(Self {
            spec: spec.clone(),
            index,
            place,
            database,
            input,
        })
    }

    /// The database.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// The image by digest.
    pub fn resolved(&self) -> &Pinned {
        &self.index.read.resolved
    }
}

/// An index that is to become an image.
#[derive(Debug)]
pub struct NewIndex<'a> {
    /// Its database.
    pub database: &'a Path,
    /// The image it came from.
    pub origin: Option<&'a IndexCopy>,
    /// The image it is built on. Without one, on what the image is built on that it came from;
    /// else on nothing.
    pub binary_image: Option<&'a PullSpec>,
    /// Which documents it gets.
    pub format: ImageFormat,
}

impl NewIndex<'_> {
    /// Pushes images for all architectures, and the list over them under the tag of `target`. A
    /// tag that was read from is only moved if nobody else moved it meanwhile.
    ///
    /// # Errors
    /// [`StageError`] naming the image.
    pub async fn push(
        &self,
        registry: &Arc<dyn Registry>,
        target: &PullSpec,
    ) -> Result<Pinned, StageError> {
        let place = self.place();
        let (layer, file) = self.pack(place).await?;
        let content = format!("/{place}");
        let bases = self.bases(&**registry, &content).await?;
        let edit = Edit {
            layer_content: &content,
            labels: self.labels(),
            run: (self.binary_image.is_some()).then(RunSettings::serve_database),
            created: self.created(target, &layer, &bases),
            format: self.format,
        };
        let mut images = Vec::new();
        for (arch, base) in bases {
            images.push(IndexImage::on(base, &arch, &layer, &edit)?);
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

    /// The path of the database in the image: where it was, unless all else is new too.
    fn place(&self) -> &str {
        match (self.origin, self.binary_image) {
            (Some(origin), None) => &origin.place,
            _ => places::DATABASE.trim_start_matches('/'),
        }
    }

    /// Later than the index it came from, as for requests; an index that is as it was has the date
    /// that it had.
    fn created(&self, target: &PullSpec, layer: &IndexLayer, bases: &[(Arch, Base)]) -> Timestamp {
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
            labels.insert(labels::DATABASE.to_owned(), places::DATABASE.to_owned());
        }
        if let (Some(origin), Some(_)) = (self.origin, self.binary_image) {
            labels.insert(labels::VERSION.to_owned(), origin.index.version.clone());
            let scope = origin.index.scope.clone();
            labels.extend(scope.map(|scope| (labels::SCOPE.to_owned(), scope)));
        }
        labels
    }

    /// What to build on, by architecture.
    async fn bases(
        &self,
        registry: &dyn Registry,
        content: &str,
    ) -> Result<Vec<(Arch, Base)>, StageError> {
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
            let mut base = Base::image(registry, &image).await?;
            if self.binary_image.is_none() {
                // Else every change would leave a layer behind.
                base.remove_layer(content);
            }
            bases.push((arch, base));
        }
        Ok(bases)
    }

    async fn pack(&self, place: &str) -> Result<(IndexLayer, LayerFile), StageError> {
        let database = self.database.to_owned();
        let packed = self.database.with_extension("packed");
        let (place, format) = (place.to_owned(), self.format);
        // The copy of the layer is small beside the database, and stays with the original.
        let input = self.origin.and_then(|origin| origin.input.clone());
        blocking(move || -> Result<_, WorkError> {
            let scratch = layer::scratch("written");
            let mut out = io::BufWriter::new(File::create(&packed).map_err(&scratch)?);
            let file = LayerFile(packed);
            let items = layer::database(&database, &place);
            let layer = layer::pack(items, format, input.as_ref(), &mut out)?;
            out.flush().map_err(scratch)?;
            let layer = IndexLayer {
                descriptor: Descriptor {
                    media_type: format.own_layer_type(),
                    size: layer.size,
                    digest: layer.digest,
                },
                diff_id: layer.diff_id,
            };
            Ok((layer, file))
        })
        .await
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

/// The catalog of an index image: packages, channels, heads, bundles. Its database is copied to
/// the folder `scratch` on the way.
///
/// # Errors
/// [`StageError`] naming the image.
pub async fn read_catalog(
    registry: &dyn Registry,
    index_db: Arc<dyn IndexDb>,
    index: &PullSpec,
    scratch: &Path,
    limit: u64,
) -> Result<CatalogShape, StageError> {
    let index = IndexCopy::fetch(registry, index, scratch, limit).await?;
    blocking(move || {
        let image = index.resolved().to_string();
        index_db
            .shape(index.database())
            .map_err(|source| IndexError::Database { image, source })
    })
    .await
}
