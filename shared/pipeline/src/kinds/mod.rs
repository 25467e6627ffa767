//! What is done for each kind of request; [`crate::flow`] says how.

mod add;
mod add_deprecations;
mod create_empty_index;
mod fbc_operations;
mod merge_index_image;
pub(crate) mod recursive_related_bundles;
mod regenerate_bundle;
mod rm;
mod rollback;
