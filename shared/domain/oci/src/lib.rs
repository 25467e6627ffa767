#![doc = include_str!("../README.md")]

mod config;
mod digest;
pub mod hosts;
mod image_format;
pub mod layer;
mod manifest;
mod media_type;
mod platform;
mod pull_spec;
mod small_image;
mod tag;

pub use config::{CONFIG_LIMIT, ConfigEdit, ConfigError, ImageConfig, RunSettings};
pub use digest::{Digest, DigestError, DigestHasher};
pub use image_format::{ImageFormat, NoImageFormat};
pub use manifest::{
    Descriptor, MANIFEST_LIMIT, Manifest, ManifestError, ManifestList, ManifestListEntry,
    RawManifest, Resolved,
};
pub use media_type::MediaType;
pub use platform::{Arch, ArchError, Platform};
pub use pull_spec::{Pinned, PullSpec, PullSpecError, Reference, Repository};
pub use small_image::{SmallImage, SmallImageError};
pub use tag::{TAG_GRAMMAR, is_tag};
