//! Why a stage could not do its work: an error for each subject, with class and hint of each of its
//! variants in one table beside it.

mod bundle;
mod gating;
mod git;
mod image;
mod index;
mod input;
mod work;

use iib_ports::{
    ArtifactError, Class, Classify, IndexDbError, QueueError, RegistryError, StoreError,
};

pub use bundle::BundleError;
pub use gating::GatingError;
pub use git::GitError;
pub use image::ImageError;
pub use index::{IndexError, NoPackage};
pub use input::InputError;
pub use work::WorkError;

/// What a failure means: its class, and what the user can do about it, where its text and those of
/// its causes do not say so. What may pass needs no hint: the work is repeated, and at the end the
/// user is told to come back.
type Meaning = (Class, Option<&'static str>);

/// Why a stage could not do its work. What the user reads is [`StageError::reason`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// What the request says cannot be done.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The bundles do not pass a gate.
    #[error(transparent)]
    Gating(#[from] GatingError),
    /// An image, or the registry it is in, cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// An index, or what shall be done to it, cannot be used.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A bundle cannot be made anew, or looked behind.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The Git repository of an index cannot be used.
    #[error(transparent)]
    Git(#[from] GitError),
    /// Something on our side failed.
    #[error(transparent)]
    Work(#[from] WorkError),
    /// The artifact store failed.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The request store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The request has ended, or its lease has another owner. Nothing that this attempt did counts.
    #[error("somebody else took the request over, or it has ended")]
    Lost,
}

impl StageError {
    fn means(&self) -> Meaning {
        match self {
            Self::Input(error) => error.means(),
            Self::Gating(error) => error.means(),
            Self::Image(error) => error.means(),
            Self::Index(error) => error.means(),
            Self::Bundle(error) => error.means(),
            Self::Git(error) => error.means(),
            Self::Work(error) => error.means(),
            Self::Artifact(error) => (error.class(), None),
            Self::Store(error) => (error.class(), None),
            Self::Queue(error) => (error.class(), None),
            Self::Lost => (Class::Retry, None),
        }
    }

    /// What the user can do beside what [`StageError::reason`] says, as sentences without a full stop.
    pub(crate) fn hints(&self) -> Vec<String> {
        match self {
            Self::Index(error) => error.hints(),
            _ => Vec::new(),
        }
    }

    /// Whether it hangs on what an index has or is.
    pub(crate) fn is_of_an_index(&self) -> bool {
        matches!(self, Self::Index(error) if error.is_of_the_index())
    }

    /// What the user reads, on one line: the failure, its causes, and what to do next unless
    /// they say so themselves. Where the reference has a text of its own for an image that is not
    /// there, it stands alone, because users match it.
    pub fn reason(&self) -> String {
        if let Self::Image(ImageError::Inspect {
            source: RegistryError::NotFound { .. },
            ..
        }) = self
        {
            return self.to_string();
        }
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let told = error.to_string();
            if !text.contains(&told) {
                // Some texts of the reference are whole sentences.
                text.push_str(if text.ends_with('.') { " " } else { ": " });
                text.push_str(&told);
            }
            // What the database engine says is about statements and pages of ours; it is logged.
            cause = match error.downcast_ref::<IndexDbError>() {
                Some(_) => None,
                None => error.source(),
            };
        }
        if let (_, Some(hint)) = self.means() {
            text.push_str("; ");
            text.push_str(hint);
        }
        text
    }
}

impl Classify for StageError {
    fn class(&self) -> Class {
        self.means().0
    }
}
