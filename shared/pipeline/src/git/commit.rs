//! Committing what a request changed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;

use iib_oci::layer::{EntryPath, FolderTree, LayerError, LayerReader, Part};
use iib_ports::{CatalogRepositories, CatalogUpdate, CommitNote, Sent};
use iib_request::{
    CATALOG_IN_GIT, Committed, Serves, Unknown, branch_of, commit_message, is_safe_package_name,
    repository_of,
};
use tempfile::TempDir;

use super::{Rounds, settle_job};
use crate::artifact::ArtifactFault;
use crate::changes::Changes;
use crate::index::scratch;
use crate::job::Job;
use crate::transfer::read_artifact;
use crate::{GitError, StageError, WorkError};

/// Files of changed packages at most; as many as a catalog may have.
const FILES: usize = 200_000;

/// Commits the packages that the request changed to the repository of the index, if it has one and a catalog, and
/// pushes that. Nothing is done again that an attempt before this one has done.
///
/// # Errors
/// [`GitError`]; [`StageError`] for what mutate should have left.
pub(crate) async fn commit(job: &mut Job<'_>, index: &str) -> Result<(), StageError> {
    let serves = job.record.built.as_ref().map(|built| built.serves);
    let map = &job.deps.work.git_repositories;
    // A repository without a name is none, as in the reference.
    let repository = repository_of(map, index).filter(|repository| !repository.is_empty());
    let (Some(repository), Some(branch), Some(Serves::Catalog)) =
        (repository, branch_of(index), serves)
    else {
        return Ok(());
    };
    let (repository, branch) = (repository.to_owned(), branch.to_owned());
    let changed = Changed::of(job).await?;
    if changed.update.removed.is_empty() && changed.update.written.is_empty() {
        job.log(format!(
            "nothing is put into the Git repository {repository}: no package has changed"
        ));
        return Ok(());
    }
    let repositories = job.deps.repositories.clone();
    let repositories = repositories.ok_or(GitError::NotConnected)?;
    let noted = job.record.committed.as_ref();
    if noted.is_some_and(|noted| noted.repository != repository || noted.branch != branch) {
        // The settings have changed since: nobody would look for it any more.
        settle_job(job).await?;
    }
    let mut rounds = Rounds::default();
    while rounds.are_left() {
        let is_first = rounds.made == 0;
        let place = (&*repository, &*branch);
        let sent = push_once(job, &*repositories, place, &changed.update, is_first).await;
        if !rounds.go_on(sent)? {
            return Ok(());
        }
    }
    Err(rounds.failure(repository, branch))
}

/// Fetches the branch, commits and pushes.
async fn push_once(
    job: &mut Job<'_>,
    repositories: &dyn CatalogRepositories,
    (repository, branch): (&str, &str),
    update: &CatalogUpdate,
    is_first: bool,
) -> Result<Sent, StageError> {
    let mut there = repositories
        .fetch(repository, branch)
        .await
        .map_err(GitError::from)?;
    let noted = job.record.committed.clone();
    let noted = noted.filter(|noted| noted.repository == repository && noted.branch == branch);
    // One that was to be taken back does not count.
    if let Some(noted) = noted.filter(|noted| noted.taken_back_by.is_none())
        && there.holds(&noted.commit).await.map_err(GitError::from)?
    {
        job.log(format!(
            "the branch {branch} of {repository} has the commit {}",
            noted.commit
        ));
        return Ok(Sent::Pushed);
    }
    let made = there.commit(update).await.map_err(GitError::from)?;
    if is_first {
        // Most packages have no deprecations, which is nothing to warn of.
        let is_of_package = |folder: &String| folder.matches('/').count() == 1;
        for folder in made.missing.into_iter().filter(is_of_package) {
            job.log(format!(
                "warning: {folder} is not in the branch {branch} of {repository}, so it is not removed there"
            ));
        }
    }
    let Some(commit) = made.commit else {
        job.log(format!(
            "the branch {branch} of {repository} has all of this already"
        ));
        return Ok(Sent::Pushed);
    };
    let note = Committed {
        repository: repository.to_owned(),
        branch: branch.to_owned(),
        commit: commit.clone(),
        taken_back_by: None,
        is_settled: false,
        dead_letters: 0,
        unknown: Unknown::default(),
    };
    job.save(|record| record.committed = Some(note.clone()))
        .await?;
    // Whoever takes this request over, or ends it, must not be followed by this.
    job.renew().await?;
    let sent = there.push(&commit).await.map_err(GitError::from)?;
    job.log(match sent {
        Sent::Pushed => format!("the branch {branch} of {repository} has the commit {commit} now"),
        Sent::Moved => format!(
            "the branch {branch} of {repository} was moved by somebody else meanwhile: the commit is made anew upon that"
        ),
    });
    Ok(sent)
}

/// What is put into the repository, and the folder where it lies until then.
struct Changed {
    update: CatalogUpdate,
    _folder: TempDir,
}

impl Changed {
    /// Reads which packages were changed, and takes their files out of the layer that mutate has made.
    async fn of(job: &mut Job<'_>) -> Result<Self, StageError> {
        let Changes {
            written, removed, ..
        } = Changes::of(job).await?;
        let folder = job.scratch_folder()?;
        let (safe, odd): (Vec<&String>, Vec<&String>) =
            (written.iter().chain(&removed)).partition(|package| is_safe_package_name(package));
        for package in odd {
            job.log(format!(
                "warning: the package {package:?} is not put into Git: its name cannot be that of a folder there"
            ));
        }
        let deprecations = format!("{CATALOG_IN_GIT}/{}", job.deps.work.deprecations_folder);
        let own = |package: &String| format!("{CATALOG_IN_GIT}/{package}");
        let deprecated = |package: &String| format!("{deprecations}/{package}");
        let both = |package: &String| [own(package), deprecated(package)];
        let is_safe = |package: &&String| safe.contains(package);
        let wanted = written.iter().filter(is_safe).flat_map(both).collect();
        let found = extract(job, wanted, folder.path()).await?;
        let mut gone: BTreeSet<String> = removed.iter().filter(is_safe).flat_map(both).collect();
        for package in written.iter().filter(is_safe) {
            if !found.contains(&own(package)) {
                job.log(format!(
                    "warning: the package {package} has no folder of its own in the catalog, so it is not put into Git"
                ));
            }
            // Fragments come without those of before.
            let deprecated = deprecated(package);
            if !found.contains(&deprecated) {
                gone.insert(deprecated);
            }
        }
        let note = CommitNote {
            message: commit_message(job.record.id),
            // The same at each attempt, so that the commit is.
            at: job.record.began(),
        };
        Ok(Self {
            update: CatalogUpdate {
                removed: gone,
                written: found,
                folder: folder.path().to_owned(),
                note,
            },
            _folder: folder,
        })
    }
}

/// Copies folders of the catalog into a folder of this machine, and says which there are. They have the same paths in an image as
/// in a repository, and here.
async fn extract(
    job: &Job<'_>,
    wanted: BTreeSet<String>,
    to: &Path,
) -> Result<BTreeSet<String>, StageError> {
    const NONE: WorkError = WorkError::Incomplete("mutate");
    if wanted.is_empty() {
        return Ok(wanted);
    }
    let layers = job.record.built.iter().flat_map(|built| &built.layers);
    let layer = layers.into_iter().next().ok_or(NONE)?;
    let key = layer.artifact.parse().map_err(|_| NONE)?;
    let content = job.deps.artifacts.get(&key).await?;
    let to = to.to_owned();
    let read = read_artifact(content, move |reader| -> Result<_, LayerError> {
        let part = |path: &String| EntryPath::parse(path.as_bytes()).ok().map(Part::Folder);
        let mut tree = FolderTree::new(wanted.iter().filter_map(part).collect(), FILES);
        // It is as large as mutate has made it.
        let mut layer = LayerReader::open(reader, u64::MAX)?;
        tree.apply(&mut layer, |path, _| {
            let file = to.join(path.as_str());
            if let Some(folder) = file.parent() {
                fs::create_dir_all(folder)?;
            }
            File::create(file)
        })?;
        layer.finish()?;
        let is_there = |path: &&String| part(path).is_some_and(|part| tree.has(&part));
        Ok(wanted.iter().filter(is_there).cloned().collect())
    });
    let read = read.await.map_err(|fault| match fault {
        ArtifactFault::Artifact(error) => StageError::Artifact(error),
        ArtifactFault::BrokenOff(error) => WorkError::BrokenOff(error).into(),
        _ => NONE.into(),
    })?;
    // It is our own layer: what cannot be written is the disk's fault.
    Ok(read.map_err(|error| scratch("written")(std::io::Error::other(error)))?)
}
