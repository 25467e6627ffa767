//! Taking back the commit of a request that did not come to its end.

use iib_oci::{PullSpec, Reference};
use iib_ports::{
    Class, Classify as _, CommitNote, RegistryError, RepositoryError, Sent, StoreError,
};
use iib_request::{Committed, Record, Stage, revert_message};

use super::Rounds;
use crate::ending::line;
use crate::job::Job;
use crate::login;
use crate::output::output;
use crate::{Deps, GitError, ImageError, StageError};

/// How often a note is made anew because somebody else changed the record in between.
const RACES: u32 = 50;

/// Whoever has the request: a stage, or whoever puts away what is left of one that has ended.
enum Holder<'a, 'j> {
    Job(&'a mut Job<'j>),
    Ended(&'a Deps, Box<Record>),
}

/// Takes the commit of a request back that has ended and is not complete, unless its index names the result after all.
/// It may be called as often as one likes.
///
/// # Errors
/// What may pass; the rest is told in the log of the request, and as an error in that of the process.
pub(crate) async fn settle(deps: &Deps, record: &Record) -> Result<(), StageError> {
    if record.left_in_git().is_none() {
        return Ok(());
    }
    let mut holder = Holder::Ended(deps, Box::new(record.clone()));
    let Err(error) = holder.settle().await else {
        return Ok(());
    };
    if error.class() == Class::Retry {
        return Err(error);
    }
    let committed = record.left_in_git();
    let commit = committed.map_or("", |committed| &committed.commit);
    tracing::error!(
        event = "git_commit_left",
        request.id = record.id.0,
        commit,
        error = %iib_ports::chain(&error),
        "a commit of a request that failed is left in its Git repository"
    );
    holder
        .tell(format!(
            "the commit {commit} could not be taken back, and is left to be reverted by hand: {}",
            error.reason()
        ))
        .await;
    holder.note(|committed| committed.is_settled = true).await
}

/// The same in the hands of a stage, for a request that fails now or begins anew: then nothing is noted any more.
///
/// # Errors
/// [`GitError`]; [`StageError`] if the index cannot be looked at.
pub(crate) async fn settle_job(job: &mut Job<'_>) -> Result<(), StageError> {
    if job.record.committed.is_none() {
        return Ok(());
    }
    Holder::Job(job).settle().await?;
    job.save(|record| record.committed = None).await
}

impl Holder<'_, '_> {
    fn deps(&self) -> &Deps {
        match self {
            Self::Job(job) => job.deps,
            Self::Ended(deps, _) => deps,
        }
    }

    fn record(&self) -> &Record {
        match self {
            Self::Job(job) => &job.record,
            Self::Ended(_, record) => record,
        }
    }

    /// Says something in the log of the request.
    async fn tell(&mut self, text: String) {
        match self {
            Self::Job(job) => job.log(text),
            Self::Ended(deps, record) => {
                let line = line(deps.clock.now(), Stage::Push, &text);
                deps.ending().log(record.id, &[line]).await;
            }
        }
    }

    /// Notes something of the commit in the record.
    async fn note(&mut self, change: impl Fn(&mut Committed)) -> Result<(), StageError> {
        let change = |record: &mut Record| {
            if let Some(committed) = &mut record.committed {
                change(committed);
            }
        };
        let (deps, record) = match self {
            Self::Job(job) => return job.save(change).await,
            Self::Ended(deps, record) => (deps, record),
        };
        for _ in 0..RACES {
            let mut changed = (**record).clone();
            change(&mut changed);
            match deps.requests.replace(changed).await {
                Ok(saved) => {
                    **record = saved;
                    return Ok(());
                }
                Err(StoreError::Conflict(id)) => {
                    let found = deps.requests.get(id).await?;
                    **record = found.ok_or(StageError::Lost)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict(record.id).into())
    }

    async fn settle(&mut self) -> Result<(), StageError> {
        if self.was_overwritten().await? {
            self.tell("the index names the result, so its commit in Git stays".to_owned())
                .await;
            return self.note(|committed| committed.is_settled = true).await;
        }
        let mut rounds = Rounds::default();
        while rounds.are_left() {
            let sent = self.take_back().await;
            if !rounds.go_on(sent)? {
                return Ok(());
            }
        }
        let committed = self.record().committed.clone();
        let place = committed.map(|committed| (committed.repository, committed.branch));
        let (repository, branch) = place.unwrap_or_default();
        Err(rounds.failure(repository, branch))
    }

    /// Whether the tag of the index was moved to the result, though the request does not know it: the answer was lost, or it
    /// was ended from outside. Somebody else may have moved it on since; but the list of the result is in the
    /// repository of the index only if it was pushed with the tag.
    ///
    /// # Errors
    /// [`StageError`] if the index cannot be looked at with the request's login: then the commit stays, because the
    /// index may have what it says.
    async fn was_overwritten(&self) -> Result<bool, StageError> {
        let Some(overwritten) = &self.record().overwritten else {
            return Ok(false);
        };
        let Ok(index) = overwritten.index.parse::<PullSpec>() else {
            return Ok(false);
        };
        let deps = self.deps();
        let registry = deps
            .registries
            .with(login::keyring(deps, self.record()).await?);
        let Reference::Tag(tag) = index.reference() else {
            return Ok(false);
        };
        let not_seen = |source| ImageError::Inspect {
            image: overwritten.index.clone(),
            source,
        };
        let found = registry.tagged(index.repository(), tag).await;
        let result = &overwritten.result;
        if found.map_err(not_seen)?.as_ref() == Some(result) {
            return Ok(true);
        }
        let output = output(&deps.work, &self.record().id.to_string())?;
        if output.repository() == index.repository() {
            return Ok(false);
        }
        let list = Reference::Digest(result.clone());
        match registry.manifest(index.repository(), &list).await {
            Ok(_) => Ok(true),
            Err(RegistryError::NotFound { .. }) => Ok(false),
            Err(source) => Err(not_seen(source).into()),
        }
    }

    /// Fetches the branch and takes the commit back, if it is there and not taken back yet.
    async fn take_back(&mut self) -> Result<Sent, StageError> {
        let Some(committed) = self.record().committed.clone() else {
            return Ok(Sent::Pushed);
        };
        let Committed {
            repository,
            branch,
            commit,
            taken_back_by,
            ..
        } = committed;
        let repositories = self.deps().repositories.clone();
        let repositories = repositories.ok_or(GitError::NotConnected)?;
        let fetched = repositories.fetch(&repository, &branch).await;
        let mut there = match fetched {
            Ok(there) => there,
            // With the branch the commit is gone, too.
            Err(RepositoryError::NoBranch { .. }) => return Ok(Sent::Pushed),
            Err(error) => return Err(GitError::from(error).into()),
        };
        if let Some(back) = &taken_back_by
            && there.holds(back).await.map_err(GitError::from)?
        {
            return Ok(Sent::Pushed);
        }
        // It is looked for again whenever somebody comes along: a process that stood still may send it late.
        if !there.holds(&commit).await.map_err(GitError::from)? {
            return Ok(Sent::Pushed);
        }
        let note = CommitNote {
            message: revert_message(self.record().id, &commit),
            at: self.record().began(),
        };
        let reverted = there.revert(&commit, &note).await.map_err(GitError::from)?;
        let Some(back) = reverted.commit else {
            let nothing = format!("nothing in {repository} is as the commit {commit} left it");
            self.tell(nothing).await;
            self.note(|committed| committed.is_settled = true).await?;
            return Ok(Sent::Pushed);
        };
        self.note(|committed| committed.taken_back_by = Some(back.clone()))
            .await?;
        if let Self::Job(job) = self {
            // Whoever has taken the request over may count on the commit.
            job.renew().await?;
        }
        let sent = there.push(&back).await.map_err(GitError::from)?;
        if sent == Sent::Pushed {
            let all = match reverted.left[..] {
                [] => "nothing of it is left".to_owned(),
                _ => format!(
                    "others have changed these files since, which are left as they are: {}",
                    reverted.left.join(", ")
                ),
            };
            self.tell(format!(
                "the index was not overwritten, so the commit {commit} in the branch {branch} of {repository} was taken \
                 back by {back}; {all}"
            ))
            .await;
            self.note(|committed| committed.is_settled = true).await?;
        }
        Ok(sent)
    }
}
