//! A bundle that is made anew, whether a request asks for it or a command: what it is made of, its files as an
//! organization wants them, the layer with them, the images on top of those it had.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use iib_oci::layer::{self, EntryPath, PackEntry, PackedLayer, Threads};
use iib_oci::{Arch, ImageFormat, Pinned, PullSpec, Reference};
use iib_ports::{InMemory, Registry};
use iib_regenerate::{Bundle, Customization, PINNED_LABEL, Regenerated, Regeneration, is_true};
use iib_request::{BundlePlan, Unknown};
use jiff::Timestamp;

use crate::bundle_image::read_all;
use crate::labels::label;
use crate::layered::{Base, Edit, LayeredImage, TopLayer, manifest_list, push_images, push_list};
use crate::steps::lookups::Lookups;
use crate::transfer::blocking;
use crate::{BundleError, ImageError, StageError, WorkError, image};

/// What the layer holds, for the image's history.
pub(crate) const CONTENT: &str = "/manifests and /metadata";

/// Looks a bundle up.
///
/// # Errors
/// [`BundleError::NoArches`]; [`crate::ImageError`] naming the image.
pub(crate) async fn look_up(
    registry: &dyn Registry,
    spec: &PullSpec,
    output_format: ImageFormat,
) -> Result<BundlePlan, StageError> {
    let image = image::resolve(registry, spec).await;
    let image = image.map_err(|error| match error {
        ImageError::EmptyList(list) => BundleError::NoArches(list).into(),
        other => StageError::from(other),
    })?;
    let bases = image.by_arch(registry).await?;
    let (manifest, config) = image.any()?.config(registry).await?;
    Ok(BundlePlan {
        from: image.resolved,
        bases,
        layers: manifest.layers,
        is_pinned: label(&config, PINNED_LABEL).is_some_and(is_true),
        created: config.created().unwrap_or_default(),
        output_format,
        unknown: Unknown::default(),
    })
}

/// Adapts a bundle.
///
/// # Errors
/// [`BundleError`]; those of [`Lookups::settle`].
pub(crate) async fn adapt(
    lookups: &Lookups,
    bundle: Bundle,
    steps: Vec<Customization>,
) -> Result<Regenerated, StageError> {
    let read = move || Regeneration::new(bundle, steps).map_err(BundleError::from);
    let mut regeneration = blocking(read).await?;
    lookups.settle(|answers| regeneration.next(answers)).await
}

/// The images with a layer on those of a bundle, one for each architecture.
///
/// # Errors
/// [`StageError`] for one that cannot be built on.
pub(crate) async fn images(
    registry: &dyn Registry,
    plan: &BundlePlan,
    layer: &TopLayer,
    labels: BTreeMap<String, String>,
) -> Result<Vec<LayeredImage>, StageError> {
    let edit = edit(labels, plan.created, plan.output_format);
    let mut images = Vec::new();
    for (arch, base) in &plan.bases {
        let base = Base::image(registry, base).await?;
        images.push(LayeredImage::on(base, arch, layer, &edit)?);
    }
    Ok(images)
}

fn edit(
    labels: BTreeMap<String, String>,
    created: Timestamp,
    format: ImageFormat,
) -> Edit<'static> {
    Edit {
        layer_content: CONTENT,
        labels,
        run: None,
        created,
        format,
    }
}

/// What is wanted of a bundle beside its files.
#[derive(Debug, Clone, Default)]
pub struct Adapting {
    /// The steps, in their order.
    pub steps: Vec<Customization>,
    /// Whether they are those of an organization; annotations are added only then.
    pub has_organization: bool,
    /// Bundles by those that they replace.
    pub replacements: BTreeMap<String, String>,
    /// How long registries are waited for altogether.
    pub patience: Duration,
}

/// A bundle that is made anew without a request.
#[derive(Debug)]
pub struct BundleDraft {
    /// The image that it came from.
    origin: Option<BundlePlan>,
    files: BTreeMap<String, Vec<u8>>,
}

impl BundleDraft {
    /// A bundle in an image; at most `limit` bytes are unpacked of it.
    ///
    /// # Errors
    /// [`StageError`] naming the image.
    pub async fn of_image(
        registry: &dyn Registry,
        spec: &PullSpec,
        limit: u64,
    ) -> Result<Self, StageError> {
        let origin = look_up(registry, spec, ImageFormat::Docker).await?;
        let (repository, name) = (origin.from.repository(), origin.from.to_string());
        let files = read_all(registry, repository, &name, &origin.layers, limit).await?;
        Ok(Self {
            origin: Some(origin),
            files,
        })
    }

    /// A bundle of these files, by their paths below the folder that has `manifests/` and `metadata/`.
    pub fn of_files(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self {
            origin: None,
            files,
        }
    }

    /// Whether it came from an image, whose labels it keeps.
    pub fn is_of_image(&self) -> bool {
        self.origin.is_some()
    }

    /// Its files, as they are now.
    pub fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// Adapts it. What has to be said of images that cannot be read goes to `told`, also where that is an error.
    ///
    /// # Errors
    /// [`BundleError`]; [`crate::ImageError::Inspect`] for a registry that may answer another time.
    pub async fn adapt(
        &mut self,
        registry: Arc<dyn Registry>,
        asked: Adapting,
        told: &mut Vec<String>,
    ) -> Result<Regenerated, StageError> {
        let lookups = Lookups::new(registry, asked.patience);
        let bundle = Bundle {
            files: self.files.clone(),
            has_organization: asked.has_organization,
            is_pinned: self.origin.as_ref().is_some_and(|origin| origin.is_pinned),
            replacements: asked.replacements,
        };
        let done = adapt(&lookups, bundle, asked.steps).await;
        told.extend(lookups.take_told());
        let done = done?;
        let changed = done.files.iter();
        self.files
            .extend(changed.map(|(file, text)| (file.clone(), text.clone().into_bytes())));
        Ok(done)
    }

    /// Pushes it under a tag: on each of the images that it came from, or, if it came from none, as an image of its
    /// own for amd64.
    ///
    /// # Errors
    /// [`StageError`] naming the image.
    pub async fn push(
        self,
        registry: &Arc<dyn Registry>,
        target: &PullSpec,
        labels: BTreeMap<String, String>,
        format: ImageFormat,
    ) -> Result<Pinned, StageError> {
        let Self { origin, files } = self;
        let packing = move || {
            let mut bytes = Vec::new();
            pack(&files, format, &mut bytes).map(|packed| (packed, bytes))
        };
        let (packed, bytes) = blocking(packing).await?;
        let layer = TopLayer {
            descriptor: packed.descriptor(format),
            diff_id: packed.diff_id,
        };
        let images = match origin {
            Some(origin) => {
                let plan = BundlePlan {
                    output_format: format,
                    ..origin
                };
                images(&**registry, &plan, &layer, labels).await?
            }
            None => {
                let arch = Arch::amd64();
                let edit = edit(labels, Timestamp::UNIX_EPOCH, format);
                vec![LayeredImage::on(
                    Base::scratch(&arch),
                    &arch,
                    &layer,
                    &edit,
                )?]
            }
        };
        let content = InMemory(bytes.into());
        push_images(
            &**registry,
            registry,
            target,
            &images,
            (&layer, &content),
            |image| Reference::Digest(image.digest()),
        )
        .await?;
        let list = manifest_list(format, &images)?;
        push_list(&**registry, target, &list).await?;
        Ok(target.pin(list.digest()))
    }
}

/// Packs files, and the folders above them.
pub(crate) fn pack(
    files: &BTreeMap<String, Vec<u8>>,
    format: ImageFormat,
    out: &mut impl io::Write,
) -> Result<PackedLayer, WorkError> {
    let mut contents: BTreeMap<&str, Option<&[u8]>> = BTreeMap::new();
    for (path, content) in files {
        let ends = path.match_indices('/');
        contents.extend(ends.map(|(end, _)| (&path[..end], None)));
        contents.insert(path, Some(content));
    }
    let mut entries = Vec::new();
    for (path, content) in &mut contents {
        let path = EntryPath::parse(path.as_bytes());
        let path = path.map_err(|_| WorkError::Incomplete("pack"))?;
        entries.push(match content {
            Some(content) => PackEntry::file(path, content.len() as u64, content),
            None => PackEntry::directory(path),
        });
    }
    let packed = match format {
        ImageFormat::Docker => layer::pack(&mut entries, None, Threads::available(), out),
        ImageFormat::Oci => layer::pack_frame(&mut entries, out),
    };
    packed.map_err(WorkError::Pack)
}
