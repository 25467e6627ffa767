//! Steps that several kinds of requests have in common.

pub(crate) mod binary_image;
pub(crate) mod bundles;
pub(crate) mod customizations;
pub(crate) mod deprecation;
pub(crate) mod gating;
pub(crate) mod inputs;
pub(crate) mod lookups;
pub(crate) mod related_images;
