//! Index images: one for each architecture, a manifest list over them (worker flows §5 and §6).

pub(crate) mod catalog;
pub(crate) mod contents;
mod copy;
mod draft;
pub(crate) mod forms;
pub(crate) mod fragment;
mod layer;
mod new_image;
mod overwrite;
pub(crate) mod places;
pub(crate) mod push;
mod tags;

pub use copy::{IndexCopy, NewIndex, read_catalog};
pub use draft::{CatalogDraft, CatalogEdit, NamedFolder};
use iib_request::{IndexForm, IndexPlan, IndexToRead};

pub(crate) use layer::scratch;

use crate::IndexError;

/// Refuses a plan whose index has no file-based catalog, in the words of the reference.
///
/// # Errors
/// [`IndexError::NotACatalog`].
pub(crate) fn check_is_catalog(plan: &IndexPlan) -> Result<(), IndexError> {
    match &plan.from {
        Some(IndexToRead {
            form: IndexForm::Catalog(_),
            ..
        }) => Ok(()),
        Some(other) => Err(IndexError::NotACatalog(other.resolved.to_string())),
        None => Err(IndexError::NotACatalog(String::new())),
    }
}
