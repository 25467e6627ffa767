//! A branch of a repository: fetched, committed upon, pushed.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use git2::Oid;
use iib_ports::{CatalogBranch, CatalogUpdate, CommitNote, Made, RepositoryError, Reverted, Sent};
use tokio_util::io::ReaderStream;

use crate::advertisement::Advertisement;
use crate::fault::Fault;
use crate::objects::{New, Objects};
use crate::packet::{FLUSH, Line, Lines, line, text};
use crate::remote::{Remote, Service};

/// Largest list of branches that is read, bytes: some hundred thousand of them.
const BRANCHES: u64 = 64 * 1024 * 1024;
/// Largest report of a push that is read, bytes.
const REPORT: u64 = 1024 * 1024;
/// How many commits are fetched: the head alone, and more where one is looked for that was the head.
const DEPTHS: [u32; 3] = [1, 64, 1024];

/// A branch as it was when it was fetched.
pub(crate) struct Branch {
    repository: String,
    branch: String,
    remote: Remote,
    head: Oid,
    /// Commits that are here, of the longest way back.
    depth: u32,
    objects: Arc<Objects>,
    /// What was made here.
    made: Vec<New>,
    /// Most bytes that are fetched.
    limit: u64,
}

/// What of a repository is fetched.
pub(crate) struct Wanted<'a> {
    pub(crate) repository: &'a str,
    pub(crate) branch: &'a str,
    pub(crate) scratch: &'a Path,
    pub(crate) limit: u64,
}

impl Branch {
    /// Fetches the head of a branch.
    pub(crate) async fn fetch(
        mut remote: Remote,
        wanted: Wanted<'_>,
    ) -> Result<Self, RepositoryError> {
        let Wanted {
            repository,
            branch,
            scratch,
            limit,
        } = wanted;
        let failed = |fault: Fault| not_fetched(repository, fault);
        let said = advertised(&mut remote, Service::Upload, branch).await;
        let said = said.map_err(|fault| failed(remote.told(fault)))?;
        let head = said.head.ok_or_else(|| RepositoryError::NoBranch {
            repository: repository.to_owned(),
            branch: branch.to_owned(),
        })?;
        let objects = Arc::new(Objects::create(scratch).map_err(failed)?);
        let [depth, ..] = DEPTHS;
        let fetched = commits(&remote, &said, head, depth, &objects, limit).await;
        fetched.map_err(|fault| failed(remote.told(fault)))?;
        Ok(Self {
            repository: repository.to_owned(),
            branch: branch.to_owned(),
            remote,
            head,
            depth,
            objects,
            made: Vec::new(),
            limit,
        })
    }

    /// Looks for a commit and its parent, further and further back.
    async fn look_for(&mut self, commit: Oid) -> Result<bool, Fault> {
        loop {
            let (objects, head) = (self.objects.clone(), self.head);
            if blocking(move || objects.holds(head, commit)).await? {
                return Ok(true);
            }
            let deeper = DEPTHS.iter().find(|depth| **depth > self.depth);
            let Some(depth) = deeper else {
                return Ok(false);
            };
            // What was fetched is of the head that it was then, whatever the branch has by now.
            let said = advertised(&mut self.remote, Service::Upload, &self.branch).await?;
            let (head, objects) = (self.head, &self.objects);
            commits(&self.remote, &said, head, *depth, objects, self.limit).await?;
            self.depth = *depth;
        }
    }

    /// Sends a commit that was made here.
    async fn send(&mut self, commit: Oid) -> Result<Sent, Fault> {
        let said = advertised(&mut self.remote, Service::Receive, &self.branch).await?;
        if said.head != Some(self.head) {
            return Ok(Sent::Moved);
        }
        let at = self.made.iter().position(|made| made.commit == commit);
        let at = at.ok_or(Fault::Protocol("no such commit was made here"))?;
        let new = self.made.swap_remove(at);
        let in_bands = said.can("side-band-64k");
        let bands = if in_bands { " side-band-64k" } else { "" };
        let command = format!(
            "{} {commit} refs/heads/{}\0 report-status{bands}",
            self.head, self.branch
        );
        let objects = self.objects.clone();
        let path = objects.folder().join(format!("{commit}.push"));
        let (file, new) = blocking(move || {
            let file = std::fs::File::options()
                .create(true)
                .truncate(true)
                .read(true)
                .write(true)
                .open(path)
                .map_err(Fault::Scratch)?;
            let mut out = io::BufWriter::new(file);
            let wrote = out.write_all(&line(command.as_bytes()));
            wrote
                .and_then(|()| out.write_all(FLUSH))
                .map_err(Fault::Scratch)?;
            objects.pack(&new, &mut out)?;
            let mut file = out
                .into_inner()
                .map_err(|error| Fault::Scratch(error.into_error()))?;
            io::Seek::rewind(&mut file).map_err(Fault::Scratch)?;
            Ok((file, new))
        })
        .await?;
        self.made.push(new);
        let size = file.metadata().map_err(Fault::Scratch)?.len();
        let body = reqwest::Body::wrap_stream(ReaderStream::new(tokio::fs::File::from_std(file)));
        // Not on a thread: what is given up here must not go on by itself.
        let answer = self.remote.post(Service::Receive, body, size).await?;
        let branch = self.branch.clone();
        let read = move |input: &mut dyn io::Read| match in_bands {
            true => report(&mut Lines::new(input).into_band(), &branch),
            false => report(input, &branch),
        };
        let Err(reason) = self.remote.read(answer, REPORT, read).await? else {
            return Ok(Sent::Pushed);
        };
        // Whoever was faster shows by where the branch is now.
        let now = advertised(&mut self.remote, Service::Receive, &self.branch).await?;
        match now.head {
            Some(head) if head == commit => Ok(Sent::Pushed),
            Some(head) if head == self.head && may_pass(&reason) => Err(Fault::Said(reason)),
            Some(head) if head == self.head => Err(Fault::Refused(reason)),
            Some(_) | None => Ok(Sent::Moved),
        }
    }

    fn not_fetched(&self, fault: Fault) -> RepositoryError {
        not_fetched(&self.repository, self.remote.told(fault))
    }
}

#[async_trait]
impl CatalogBranch for Branch {
    async fn holds(&mut self, commit: &str) -> Result<bool, RepositoryError> {
        // What is no name of a commit is none that it has.
        let Ok(commit) = Oid::from_str(commit) else {
            return Ok(false);
        };
        if commit == self.head {
            return Ok(true);
        }
        let found = self.look_for(commit).await;
        found.map_err(|fault| self.not_fetched(fault))
    }

    async fn commit(&mut self, change: &CatalogUpdate) -> Result<Made, RepositoryError> {
        let (objects, head, change) = (self.objects.clone(), self.head, change.clone());
        let made = blocking(move || objects.commit(head, &change)).await;
        let (made, new) = made.map_err(|fault| RepositoryError::Local(fault.into()))?;
        self.made.extend(new);
        Ok(made)
    }

    async fn revert(
        &mut self,
        commit: &str,
        note: &CommitNote,
    ) -> Result<Reverted, RepositoryError> {
        let local = |fault: Fault| RepositoryError::Local(fault.into());
        let commit = Oid::from_str(commit).map_err(|error| local(error.into()))?;
        let found = self.look_for(commit).await;
        if !found.map_err(|fault| self.not_fetched(fault))? {
            return Ok(Reverted::default());
        }
        let (objects, head, note) = (self.objects.clone(), self.head, note.clone());
        let made = blocking(move || objects.revert(head, commit, &note)).await;
        let (reverted, new) = made.map_err(local)?;
        self.made.extend(new);
        Ok(reverted)
    }

    async fn push(&mut self, commit: &str) -> Result<Sent, RepositoryError> {
        let sent = match Oid::from_str(commit) {
            Ok(commit) => self.send(commit).await,
            Err(error) => Err(error.into()),
        };
        sent.map_err(|fault| {
            let fault = self.remote.told(fault);
            RepositoryError::Push {
                repository: self.repository.clone(),
                class: fault.class(),
                source: fault.into(),
            }
        })
    }
}

fn not_fetched(repository: &str, fault: Fault) -> RepositoryError {
    RepositoryError::Fetch {
        repository: repository.to_owned(),
        class: fault.class(),
        source: fault.into(),
    }
}

/// What a server says of a branch.
async fn advertised(
    remote: &mut Remote,
    service: Service,
    branch: &str,
) -> Result<Advertisement, Fault> {
    let answer = remote.refs(service).await?;
    let branch = branch.to_owned();
    let read = move |input: &mut dyn io::Read| Advertisement::read(input, &branch);
    remote.read(answer, BRANCHES, read).await
}

/// Fetches commits, so many of the longest way back, without the contents of files where the server can leave
/// them out.
async fn commits(
    remote: &Remote,
    said: &Advertisement,
    head: Oid,
    depth: u32,
    objects: &Arc<Objects>,
    limit: u64,
) -> Result<(), Fault> {
    const BANDS: &str = "side-band-64k";
    if !said.can(BANDS) {
        return Err(Fault::Protocol("it does not tell a pack from a message"));
    }
    let filter = if said.can("filter") { " filter" } else { "" };
    let want = format!("want {head} {BANDS} ofs-delta no-progress{filter}\n");
    let mut asked = line(want.as_bytes());
    let is_shallow = said.can("shallow");
    if is_shallow {
        asked.extend(line(format!("deepen {depth}\n").as_bytes()));
    }
    if !filter.is_empty() {
        asked.extend(line(b"filter blob:none\n"));
    }
    asked.extend_from_slice(FLUSH);
    asked.extend(line(b"done\n"));
    let size = asked.len() as u64;
    let answer = remote.post(Service::Upload, asked.into(), size).await?;
    let objects = objects.clone();
    let read = move |input: &mut dyn io::Read| {
        let mut lines = Lines::new(input);
        // Where histories end is said first, if it was asked for; then that nothing is known here yet.
        loop {
            match lines.next()? {
                Some(Line::Data(line)) if line.starts_with(b"NAK") => break,
                Some(Line::Data(line)) if line.starts_with(b"ERR ") => {
                    return Err(Fault::Said(text(line.get(4..).unwrap_or_default())));
                }
                Some(Line::Data(_) | Line::Flush) => {}
                None => return Err(Fault::Cut(io::ErrorKind::UnexpectedEof.into())),
            }
        }
        objects.unpack(&mut lines.into_band())
    };
    remote.read(answer, limit, read).await
}

/// How a server says that it could not take objects in.
const UNPACK: &str = "unpack";

/// Whether a refusal is about the moment: a branch that somebody else writes to, a server without room.
fn may_pass(reason: &str) -> bool {
    reason.starts_with(UNPACK) || reason.contains("lock") || reason.contains("failed to update ref")
}

/// What a server says of a push: done, or why not.
fn report(input: &mut dyn io::Read, branch: &str) -> Result<Result<(), String>, Fault> {
    let mut lines = Lines::new(input);
    let (mut is_done, mut reason) = (false, None);
    let ours = format!("ok refs/heads/{branch}");
    while let Some(next) = lines.next()? {
        let Line::Data(said) = next else { continue };
        let said = text(said);
        if said == ours {
            is_done = true;
        } else if let Some(said) = said.strip_prefix("ng ") {
            // Behind the name of the branch.
            let why = said.split_once(' ').map_or(said, |(_, why)| why);
            reason = Some(why.to_owned());
        } else if said != "unpack ok"
            && let Some(why) = said.strip_prefix(UNPACK)
        {
            reason = Some(format!("{UNPACK} {}", why.trim()));
        }
    }
    match (reason, is_done) {
        (Some(reason), _) => Ok(Err(reason)),
        (None, true) => Ok(Ok(())),
        (None, false) => Err(Fault::Cut(io::ErrorKind::UnexpectedEof.into())),
    }
}

/// Runs something on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(Fault::BrokenOff)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_of_the_commit_or_of_the_moment() {
        for (said, passes) in [
            ("ok refs/heads/v1", None),
            ("ng refs/heads/v1 protected branch", Some(false)),
            ("ng refs/heads/v1 pre-receive hook declined", Some(false)),
            ("ng refs/heads/v1 failed to update ref", Some(true)),
            ("ng refs/heads/v1 cannot lock ref", Some(true)),
            ("unpack unpacker error", Some(true)),
        ] {
            let text = [line(b"unpack ok\n"), line(format!("{said}\n").as_bytes())].concat();
            let found = report(&mut &text[..], "v1").unwrap();
            assert_eq!(found.err().map(|why| may_pass(&why)), passes, "{said}");
        }
    }
}
