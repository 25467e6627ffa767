//! A process dies at every port call of one request, or at a sample of them.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, anyhow, ensure};
use async_trait::async_trait;
use iib_oci::Digest;
use iib_pipeline::Deps;
use iib_pipeline::intake::Submission;
use iib_request::{Request, RequestId, Stage};
use iib_testkit::crash::{Death, LastCall};
use jiff::SignedDuration;

use crate::check;
use crate::drive::{
    Meanwhile, Worked, dying, invoke, patiently, record, start, submit, sweep, total, work,
};
use crate::input::{Asked, Input, Overwriting, index_of, tag_of};
use crate::platform::{From, Message, Platform, Process};
use crate::points::{Point, Sample, all, chosen};
use crate::tally::Tally;

/// Calls that every request makes. If one is missing, the suite does not kill where it says it does.
const EXPECTED: [&str; 11] = [
    "artifacts.get",
    "artifacts.put",
    "logs.append",
    "logs.read",
    "logs.remove",
    "queue.send",
    "registry.blob",
    "registry.manifest",
    "requests.create",
    "requests.get",
    "requests.replace",
];

/// Calls of requests that make an image.
const WITH_IMAGE: [&str; 5] = [
    "artifacts.delete",
    "registry.has_blob",
    "registry.mount_blob",
    "registry.push_blob",
    "registry.push_manifest",
];

/// Calls of requests that come with a secret.
const WITH_SECRET: [&str; 2] = ["secrets.forget", "secrets.keep"];

/// Calls of requests that overwrite an index.
const WITH_TURN: [&str; 3] = ["lines.join", "lines.leave", "registry.tagged"];

/// Calls of requests that put something into a Git repository.
const WITH_GIT: [&str; 3] = ["branch.commit", "branch.push", "repositories.fetch"];

/// A request that is killed.
#[derive(Clone, Copy)]
pub(crate) struct Victim<'a> {
    /// Its kind, for messages.
    pub(crate) kind: &'a str,
    pub(crate) asked: &'a Asked,
}

impl Victim<'_> {
    /// What is asked for by a run whose results go to this repository.
    fn submission(&self, repository: &str) -> Submission {
        match self.asked {
            Asked::Apart(submission) => Submission::clone(submission),
            Asked::Overwriting(overwriting) => (overwriting.ask)(index_of(repository)),
        }
    }

    fn overwriting(&self) -> Option<&Overwriting> {
        match self.asked {
            Asked::Overwriting(overwriting) => Some(overwriting),
            Asked::Apart(_) => None,
        }
    }

    fn overwrites(&self) -> bool {
        self.overwriting().is_some()
    }

    /// How often it is done anew on top of another one's.
    fn rebases(&self) -> u32 {
        let overwriting = self.overwriting();
        u32::from(overwriting.is_some_and(|overwriting| overwriting.moved.is_some()))
    }

    /// The file that it puts into a Git repository.
    fn in_git(&self) -> Option<&'static str> {
        self.overwriting()
            .and_then(|overwriting| overwriting.in_git)
    }

    /// Whether its result gets the build tag of the suite.
    fn is_tagged(&self) -> bool {
        let Asked::Apart(submission) = self.asked else {
            return false;
        };
        matches!(&submission.request, Request::Add(add) if !add.build_tags.is_empty())
    }

    fn expected_calls(&self) -> Vec<&'static str> {
        let submission = self.submission("r.example/faults");
        let secrets = submission.secrets.iter().flat_map(|_| WITH_SECRET);
        let turns = self.overwrites().then_some(WITH_TURN);
        let turns = turns.into_iter().flatten();
        let git = self.in_git().into_iter().flat_map(|_| WITH_GIT);
        let searches = matches!(submission.request, Request::RecursiveRelatedBundles(_));
        let image = (!searches).then_some(WITH_IMAGE).into_iter().flatten();
        let more = secrets.chain(turns).chain(git).chain(image);
        EXPECTED.into_iter().chain(more).collect()
    }
}

/// What the kills of a platform came to, beside the tally.
pub(crate) struct Killed {
    /// Kill points that were played.
    pub(crate) played: usize,
    /// Calls of a request that nobody disturbs.
    pub(crate) calls: Vec<&'static str>,
    /// Runs that only prune could end, because no message was left.
    pub(crate) swept: usize,
    /// Digest of the list that the request makes, or of the document.
    pub(crate) digest: String,
    /// How many requests there are by now.
    requests: u64,
}

/// Runs one request for every call it makes, with a process that dies there. Of the points in
/// `shared`, where those of another kind were played, only a sample if there is one.
pub(crate) async fn everywhere(
    platform: &dyn Platform,
    input: &Input,
    victim: Victim<'_>,
    shared: Option<(&[Point], Sample)>,
    tally: &mut Tally,
) -> anyhow::Result<Killed> {
    let mut killed = patiently(undisturbed(platform, input, victim, tally)).await?;
    let kinds: BTreeSet<&'static str> = killed.calls.iter().copied().collect();
    let every = all(&killed.calls);
    let points = match shared {
        Some((shared, sample)) => chosen(&every, shared, sample),
        None => every,
    };
    for point in points {
        let run = Run::new(platform, input, victim, point.death(), point.last);
        let died = run.counted(&mut killed, tally).await?;
        ensure!(died, "{}: it is never made", run.name());
        tally.kill_points += 1;
        killed.played += 1;
        tally.calls.insert(point.call);
    }
    // These were all of them.
    let beyond = Death::After(killed.calls.len());
    let beyond = Run::new(platform, input, victim, beyond, LastCall::Lost);
    let died = beyond.counted(&mut killed, tally).await?;
    ensure!(!died, "{}: it makes more calls than before", beyond.name());
    let expected = victim.expected_calls();
    for call in expected.iter().filter(|call| !kinds.contains(*call)) {
        let missing = Err(anyhow!("{} does not call {call}", victim.kind));
        tally.scenario(platform.name(), missing);
    }
    if let Some(letter) = platform.receive(From::DeadLetters).await? {
        tally.stuck(&format!("{}: dead letter {}", platform.name(), letter.body));
    }
    Ok(killed)
}

/// The request when nothing goes wrong.
async fn undisturbed(
    platform: &dyn Platform,
    input: &Input,
    victim: Victim<'_>,
    tally: &mut Tally,
) -> anyhow::Result<Killed> {
    let run = Run::new(platform, input, victim, Death::Never, LastCall::Lost);
    run.place().await?;
    let process = run.process().await?;
    let (deps, alive) = dying(&process.deps, run.death, run.last);
    let id = submit(&deps, &run.submission()).await;
    let id = id.with_context(|| format!("{} takes no request in", platform.name()))?;
    work(platform, &deps, None, Some(&run)).await?;
    let rebases = record(&process.deps, id).await?.work.rebases;
    ensure!(
        rebases == victim.rebases(),
        "{} is done anew {rebases} times",
        victim.kind
    );
    let digest = check::complete(tally, platform.name(), &process.deps, id, None).await?;
    let digest = digest.with_context(|| tally.complaints.join("; "))?;
    Ok(Killed {
        played: 0,
        calls: alive.made(),
        swept: 0,
        digest,
        requests: total(&process).await?,
    })
}

/// One request in a repository of its own, killed once, and somebody else who moves the index that
/// it overwrites.
struct Run<'a> {
    platform: &'a dyn Platform,
    input: &'a Input,
    victim: Victim<'a>,
    repository: String,
    death: Death,
    last: LastCall,
    have_moved: AtomicBool,
}

#[async_trait]
impl Meanwhile for Run<'_> {
    async fn before(&self, stage: Stage) -> anyhow::Result<()> {
        let overwriting = self.victim.overwriting();
        let moved = overwriting.and_then(|overwriting| overwriting.moved.as_ref());
        if let Some(moved) = moved.filter(|_| stage == Stage::Push)
            && !self.have_moved.swap(true, Ordering::SeqCst)
        {
            self.input.place(moved, &self.repository).await?;
        }
        Ok(())
    }
}

/// How the killed process left things.
struct Left {
    /// Number of the request, if the client has it.
    acknowledged: Option<RequestId>,
    done: Vec<(Stage, Message)>,
    held: Option<(Stage, Message)>,
    died: bool,
}

impl<'a> Run<'a> {
    fn new(
        platform: &'a dyn Platform,
        input: &'a Input,
        victim: Victim<'a>,
        death: Death,
        last: LastCall,
    ) -> Self {
        Self {
            platform,
            input,
            victim,
            repository: input.repository(),
            death,
            last,
            have_moved: AtomicBool::new(false),
        }
    }

    fn name(&self) -> String {
        let platform = self.platform.name();
        let (kind, death, last) = (self.victim.kind, self.death, self.last);
        format!("{platform}, {kind} killed {death:?}, {last:?}")
    }

    /// The whole of it, within some time. Tells whether the process died.
    async fn counted(&self, killed: &mut Killed, tally: &mut Tally) -> anyhow::Result<bool> {
        let when = self.name();
        let ended = patiently(self.whole(&when, killed, tally)).await;
        ended.context(when)
    }

    /// Kills, lets another process take over, and checks. Tells whether the process died.
    async fn whole(
        &self,
        when: &str,
        killed: &mut Killed,
        tally: &mut Tally,
    ) -> anyhow::Result<bool> {
        let before = killed.requests;
        let left = self.kill().await?;
        let (process, id, done) = self.take_over(when, &left, killed, tally).await?;
        let made = total(&process).await?;
        killed.requests = made;
        // A client that got no answer asks again, and what it asked for first may be there too.
        let most = if left.acknowledged.is_some() { 1 } else { 2 };
        if made > before + most {
            tally.duplicated(&format!("{when}: {made} requests after {before}"));
        }
        let ids = before + 1..=made;
        if !ids.contains(&id.0) {
            tally.lost(&format!("{when}: {id} is none of the numbers {ids:?}"));
        }
        let mut rebases = 0;
        for number in ids.clone() {
            let record = process.deps.requests.get(RequestId(number)).await?;
            rebases += record.map_or(0, |record| record.work.rebases);
            // Of two that overwrite, the later one finds what the other one made.
            let expected = (!self.victim.overwrites()).then_some(killed.digest.as_str());
            check::complete(tally, when, &process.deps, RequestId(number), expected).await?;
        }
        if rebases != self.victim.rebases() {
            tally.duplicated(&format!("{when}: done anew {rebases} times"));
        }
        check::all_ended(tally, when, &process, made).await?;
        let ended = (ids.clone(), &*killed.digest);
        self.check_index(when, &process.deps, ended, tally).await?;
        self.check_git(when, tally);
        if self.victim.is_tagged() {
            let tagged = self.input.named(&tag_of(&self.repository)).await?;
            if tagged.as_str() != killed.digest {
                tally.lost(&format!("{when}: the build tag names {tagged}"));
            }
        }
        self.repeat(when, &process, ids, &done, tally).await?;
        Ok(left.died)
    }

    /// The first request to overwrite the index gave what one that nobody disturbs gives, the index names what the last
    /// one gave, and its turn is free.
    async fn check_index(
        &self,
        when: &str,
        deps: &Deps,
        (ids, digest): (RangeInclusive<u64>, &str),
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        if !self.victim.overwrites() {
            return Ok(());
        }
        let index = self.index();
        let mut overwritten = Vec::new();
        for number in ids {
            overwritten.extend(record(deps, RequestId(number)).await?.overwritten);
        }
        let is_result =
            |replaced: &Digest| overwritten.iter().any(|other| other.result == *replaced);
        let first = overwritten.iter().filter(|one| !is_result(&one.replaced));
        let first: Vec<_> = first.map(|one| one.result.as_str()).collect();
        if first != [digest] {
            let what = format!("{when}: {index} was first to name {first:?}, not {digest}");
            tally.lost(&what);
        }
        let is_replaced =
            |result: &Digest| overwritten.iter().any(|other| other.replaced == *result);
        let results = overwritten.iter().map(|one| &one.result);
        let last: Vec<_> = results.filter(|result| !is_replaced(result)).collect();
        let named = self.input.named(&index).await?;
        if last != [&named] {
            let what = format!("{when}: {index} names {named}, not the last of {overwritten:?}");
            tally.lost(&what);
        }
        let line = deps.lines.of(&index).await?;
        if !line.is_empty() {
            tally.stuck(&format!("{when}: the turn of {index} is kept: {line:?}"));
        }
        Ok(())
    }

    /// What the request puts into Git is there, in one commit.
    fn check_git(&self, when: &str, tally: &mut Tally) {
        let Some(file) = self.victim.in_git() else {
            return;
        };
        let (git, index) = (&self.input.git, self.index());
        let commits = git.commits(&index);
        if !git.files(&index).contains_key(file) {
            tally.lost(&format!("{when}: {file} is not in Git: {commits:?}"));
        }
        // Who comes second finds all as it is to be.
        if commits.len() > 1 {
            tally.duplicated(&format!("{when}: commits in Git: {commits:?}"));
        }
    }

    fn submission(&self) -> Submission {
        self.victim.submission(&self.repository)
    }

    /// The index that is overwritten, and the name of its Git repository.
    fn index(&self) -> String {
        index_of(&self.repository)
    }

    /// Puts what is overwritten where it is found.
    async fn place(&self) -> anyhow::Result<()> {
        if let Some(overwriting) = self.victim.overwriting() {
            self.input
                .place(&overwriting.from, &self.repository)
                .await?;
        }
        if self.victim.in_git().is_some() {
            self.input.git.create(&self.index());
        }
        Ok(())
    }

    /// Starts a process that works on it.
    async fn process(&self) -> anyhow::Result<Process> {
        let mut process = start(self.platform, &self.repository).await?;
        if self.victim.in_git().is_some() {
            let index = self.index();
            let name = index.rsplit_once(':').map_or(&*index, |(name, _)| name);
            let repositories = [(name.to_owned(), self.input.git.url(&index))];
            process.deps.work.git_repositories = repositories.into();
            process.deps.repositories = Some(self.input.git.client());
        }
        Ok(process)
    }

    /// Works on messages with a process that does not die.
    async fn work(&self, deps: &Deps) -> anyhow::Result<Worked> {
        work(self.platform, deps, None, Some(self)).await
    }

    async fn kill(&self) -> anyhow::Result<Left> {
        self.place().await?;
        let process = self.process().await?;
        let (deps, crash) = dying(&process.deps, self.death, self.last);
        let acknowledged = submit(&deps, &self.submission()).await;
        let mut left = Left {
            acknowledged,
            done: Vec::new(),
            held: None,
            died: crash.has_died(),
        };
        if !left.died {
            ensure!(acknowledged.is_some(), "the request was not taken in");
            let worked = work(self.platform, &deps, Some(&*crash), Some(self)).await?;
            (left.done, left.held) = (worked.done, worked.held);
            left.died = crash.has_died();
        }
        // Everything of it goes with it; what is left is in the stores.
        Ok(left)
    }

    /// Another process ends what the first one began: with the messages that come back, and only
    /// where there is none, with prune.
    async fn take_over(
        &self,
        when: &str,
        left: &Left,
        killed: &mut Killed,
        tally: &mut Tally,
    ) -> anyhow::Result<(Process, RequestId, Vec<(Stage, Message)>)> {
        if let Some((stage, message)) = &left.held {
            let seconds = i64::from(iib_request::WorkSettings::default().stage_timeout_seconds);
            self.platform.pass(SignedDuration::from_secs(seconds + 1));
            let from = From::Stage(*stage);
            self.platform.bring_back(from, message).await?;
        }
        let process = self.process().await?;
        let id = match left.acknowledged {
            Some(id) => id,
            None => {
                let again = submit(&process.deps, &self.submission()).await;
                again.context("a second call is refused")?
            }
        };
        let mut done = left.done.clone();
        done.extend(self.work(&process.deps).await?.done);
        if !process.prune.sweeps.live(None, 1).await?.is_empty() {
            killed.swept += 1;
            if left.acknowledged.is_some() {
                tally.stuck(&format!(
                    "{when}: its message came back, and only prune ends it"
                ));
            }
            sweep(self.platform, &process).await?;
            done.extend(self.work(&process.deps).await?.done);
        }
        Ok((process, id, done))
    }

    /// Somebody else moves the tag; then every message comes once more, and nothing may change.
    async fn repeat(
        &self,
        when: &str,
        process: &Process,
        ids: RangeInclusive<u64>,
        done: &[(Stage, Message)],
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let deps = &process.deps;
        let mut tags = vec![tag_of(&self.repository)];
        if self.victim.overwrites() {
            tags.push(index_of(&self.repository));
        }
        let mut moved = Vec::new();
        for tag in tags {
            moved.push((self.input.move_tag(&tag).await?, tag));
        }
        let mut before = Vec::new();
        for number in ids {
            before.push(record(deps, RequestId(number)).await?);
        }
        for (stage, message) in done {
            let done = invoke(deps, *stage, message).await?;
            ensure!(
                done,
                "{when}: an old message wants to come back: {message:?}"
            );
        }
        let woken = self.work(deps).await?.done;
        ensure!(woken.is_empty(), "{when}: old messages woke {woken:?}");
        for old in before {
            if record(deps, old.id).await? != old {
                tally.duplicated(&format!("{when}: request {} changed after its end", old.id));
            }
        }
        for (moved, tag) in moved {
            let named = self.input.named(&tag).await?;
            if named != moved {
                tally.duplicated(&format!("{when}: {tag} went back to {named}"));
            }
        }
        Ok(())
    }
}
