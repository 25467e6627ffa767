//! What is done for a request: the three stages of each kind.

use async_trait::async_trait;
use iib_request::{Built, Plan, Request, Update};

use crate::StageError;
use crate::job::Job;

/// The work of a kind of request, stage by stage. Each may run twice, after a crash even while the
/// record says that it has not run; what it hands on goes into the record.
#[async_trait]
pub(crate) trait Flow: Sync {
    /// Settles everything that later stages have to know; what is named by a tag becomes a digest.
    ///
    /// # Errors
    /// [`StageError`], whose class says what becomes of the request.
    async fn pin(&self, job: &mut Job<'_>) -> Result<(Plan, Update), StageError>;

    /// Makes what is to be pushed, and puts it into the artifact store.
    ///
    /// # Errors
    /// As [`Flow::pin`].
    async fn mutate(&self, job: &mut Job<'_>) -> Result<Built, StageError>;

    /// Pushes it.
    ///
    /// # Errors
    /// As [`Flow::pin`].
    async fn push(&self, job: &mut Job<'_>) -> Result<Pushed, StageError>;
}

/// How a push ended.
#[derive(Debug)]
pub(crate) enum Pushed {
    /// All of it is there; the request's last change.
    Done(Box<Update>),
    /// The index that was to be overwritten is another one by now, so all has to be done anew.
    Rebase,
}

/// The only place here that tells kinds apart.
pub(crate) fn of(request: &Request) -> &dyn Flow {
    match request {
        Request::Add(add) => add,
        Request::CreateEmptyIndex(empty) => empty,
        Request::Rm(rm) => rm,
        Request::MergeIndexImage(merge) => merge,
        Request::FbcOperations(fragments) => fragments,
        Request::AddDeprecations(deprecations) => deprecations,
        Request::Rollback(rollback) => rollback,
        Request::RegenerateBundle(bundle) => bundle,
        Request::RecursiveRelatedBundles(bundle) => bundle,
    }
}
