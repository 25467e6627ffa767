//! The image that a changed index or catalog goes to.

use std::sync::Arc;

use anyhow::bail;
use iib_edge::Config;
use iib_oci::{ImageFormat, PullSpec, Reference};
use iib_ports::Registry;

use crate::cli::ImageOptions;
use crate::source;

/// An index image that is to be.
pub(crate) struct ImageTarget {
    pub(crate) spec: PullSpec,
    pub(crate) binary_image: Option<PullSpec>,
    pub(crate) format: ImageFormat,
    pub(crate) config: Config,
    pub(crate) registry: Arc<dyn Registry>,
}

impl ImageTarget {
    pub(crate) fn new(spec: PullSpec, options: &ImageOptions) -> anyhow::Result<Self> {
        if let Reference::Digest(_) = spec.reference() {
            bail!("{spec} names an image by its digest, which no other can have: name a tag");
        }
        let binary_image = options.binary_image.as_deref();
        let config = Config::from_env()?;
        Ok(Self {
            spec,
            binary_image: binary_image.map(source::pull_spec).transpose()?,
            format: options.output_format.unwrap_or(config.work.output_format),
            registry: Arc::new(source::registry(&config)?),
            config,
        })
    }
}

/// Refuses options for an image where the result goes to something else.
pub(crate) fn check_no_image(what: &str, to: &str, options: &ImageOptions) -> anyhow::Result<()> {
    if let Some(image) = &options.binary_image {
        bail!("{to} is a {what}, which is not built on {image}: leave `--binary-image` out");
    }
    if options.output_format.is_some() {
        bail!("{to} is a {what}, which has no documents: leave `--output-format` out");
    }
    Ok(())
}
