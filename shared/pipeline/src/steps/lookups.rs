//! What is asked of registries about the images that bundles name: all at once, each image once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use iib_bundle::ImageName;
use iib_oci::{Digest, PullSpec, RawManifest};
use iib_ports::{Class, Classify as _, Registry, RegistryError, chain};
use iib_regenerate::{Answer, Answers, Lookup, Next, RegenerateError};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::job::Job;
use crate::{BundleError, ImageError, StageError, image};

/// The time for a bundle with all that is asked about it: nearly all that its stage has, so that a stage that meets a
/// slow registry ends with a reason that says what is missing.
pub(crate) fn patience(job: &Job<'_>) -> Duration {
    let stage = Duration::from_secs(job.deps.work.stage_timeout_seconds.into());
    stage * 9 / 10
}

/// Images asked for at the same time: fifty of a large bundle are two rounds.
const IMAGES_AT_ONCE: usize = 32;

/// The images that one request has asked for.
pub(crate) struct Lookups {
    registry: Arc<dyn Registry>,
    patience: Duration,
    until: Instant,
    images: Mutex<HashMap<String, Arc<Known>>>,
    /// What is to be told of images that cannot be read, each once.
    told: Mutex<Vec<String>>,
}

/// What is known of an image.
#[derive(Default)]
struct Known {
    /// The document that its pull spec names; none if it cannot be read. It is asked for again where labels are
    /// wanted, if it is larger than those of images are.
    manifest: OnceCell<Option<Arc<Found>>>,
    labels: OnceCell<Option<BTreeMap<String, String>>>,
}

/// What a pull spec names.
struct Found {
    digest: Digest,
    document: Option<RawManifest>,
}

/// Documents up to this size are kept: a list of some hundred images has fewer bytes.
const KEPT: usize = 64 * 1024;

/// Images about which the log says why they cannot be read.
const TOLD: usize = 100;

impl Lookups {
    /// All of the answers are to be there after `patience`.
    pub(crate) fn new(registry: Arc<dyn Registry>, patience: Duration) -> Self {
        Self {
            registry,
            patience,
            until: Instant::now() + patience,
            images: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// Whom it asks.
    pub(crate) fn registry(&self) -> &dyn Registry {
        &*self.registry
    }

    /// Calls `next` with more and more answers, until it asks for nothing more.
    ///
    /// # Errors
    /// [`BundleError::Regenerate`] from `next`; [`BundleError::Unanswered`]; [`ImageError::Inspect`] for a registry
    /// that may answer another time.
    pub(crate) async fn settle<T>(
        &self,
        mut next: impl FnMut(&Answers) -> Result<Next<T>, RegenerateError>,
    ) -> Result<T, StageError> {
        let mut answers = Answers::new();
        loop {
            match next(&answers).map_err(BundleError::from)? {
                Next::Done(done) => return Ok(done),
                Next::Ask(questions) => self.answer(questions, &mut answers).await?,
            }
        }
    }

    /// Why images could not be read, for the log; what was told before is not told again.
    pub(crate) fn take_told(&self) -> Vec<String> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut told)
    }

    async fn answer(
        &self,
        questions: Vec<Lookup>,
        answers: &mut Answers,
    ) -> Result<(), StageError> {
        let asked: Vec<Lookup> = questions.clone();
        let lookups: Vec<_> = questions
            .into_iter()
            .map(|question| async {
                let answer = self.one(&question).await?;
                Ok::<_, ImageError>((question, answer))
            })
            .collect();
        let mut lookups = stream::iter(lookups).buffer_unordered(IMAGES_AT_ONCE);
        loop {
            match tokio::time::timeout_at(self.until, lookups.try_next()).await {
                Ok(Ok(Some((question, answer)))) => answers.insert(question, answer),
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {
                    let open = asked.iter().filter(|asked| !answers.contains_key(asked));
                    return Err(BundleError::Unanswered {
                        seconds: self.patience.as_secs().max(1),
                        asked: asked.len(),
                        images: open.map(|open| open.image().to_owned()).collect(),
                    }
                    .into());
                }
            };
        }
    }

    async fn one(&self, question: &Lookup) -> Result<Answer, ImageError> {
        let image = question.image();
        let known = self.known(image);
        let manifest = known.manifest.get_or_try_init(|| self.manifest(image));
        let Some(manifest) = manifest.await? else {
            return Ok(Answer::Unreadable);
        };
        let digest = manifest.digest.to_string();
        // Under its digest it is asked for next. Whoever was first has the same.
        let pinned = ImageName::of(image).pinned(&digest).to_string();
        let _ = self.known(&pinned).manifest.set(Some(manifest.clone()));
        match question {
            Lookup::Digest(_) => Ok(Answer::Digest(digest)),
            Lookup::Labels(_) => {
                let labels = known
                    .labels
                    .get_or_try_init(|| self.labels(image, manifest));
                Ok(match labels.await? {
                    Some(labels) => Answer::Labels(labels.clone()),
                    None => Answer::Unreadable,
                })
            }
        }
    }

    fn known(&self, image: &str) -> Arc<Known> {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        images.entry(image.to_owned()).or_default().clone()
    }

    async fn manifest(&self, image: &str) -> Result<Option<Arc<Found>>, ImageError> {
        let spec = match in_full(image).parse::<PullSpec>() {
            Ok(spec) => spec,
            Err(fault) => {
                self.tell(image, &fault);
                return Ok(None);
            }
        };
        let found = self.registry.manifest(spec.repository(), spec.reference());
        match found.await {
            Ok(raw) => Ok(Some(Arc::new(Found {
                digest: raw.digest(),
                document: (raw.bytes.len() <= KEPT).then_some(raw),
            }))),
            Err(source) if is_of_image(&source) => {
                self.tell(image, &source);
                Ok(None)
            }
            Err(source) => Err(ImageError::Inspect {
                image: image.to_owned(),
                source,
            }),
        }
    }

    async fn labels(
        &self,
        image: &str,
        manifest: &Found,
    ) -> Result<Option<BTreeMap<String, String>>, ImageError> {
        let spec = in_full(image);
        let labels = image::labels(&*self.registry, &spec, manifest.document.as_ref()).await;
        match labels {
            Ok(labels) => Ok(Some(labels)),
            Err(ImageError::Inspect { source, .. } | ImageError::Registry { source, .. })
                if !is_of_image(&source) =>
            {
                Err(ImageError::Inspect {
                    image: image.to_owned(),
                    source,
                })
            }
            Err(fault) => {
                self.tell(image, &fault);
                Ok(None)
            }
        }
    }

    fn tell(&self, image: &str, fault: &dyn std::error::Error) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match told.len() {
            TOLD => told.push("others cannot be read, either".to_owned()),
            few if few < TOLD => told.push(format!("{image} cannot be read: {}", chain(fault))),
            _ => {}
        }
    }
}

/// The pull spec of an image in a bundle: one without a registry is Docker Hub's, for clusters and for the tools
/// of today's service.
fn in_full(image: &str) -> String {
    let name = ImageName::of(image);
    match (&name.registry, &name.namespace) {
        (Some(_), _) => image.to_owned(),
        (None, Some(_)) => format!("docker.io/{image}"),
        (None, None) => format!("docker.io/library/{image}"),
    }
}

/// Whether it is the image's fault, and not that of a registry which may do better another time, or of our own
/// login.
fn is_of_image(error: &RegistryError) -> bool {
    error.class() == Class::Reject && !matches!(error, RegistryError::Credentials { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_registry_is_docker_hubs() {
        for (image, full) in [
            ("busybox:1", "docker.io/library/busybox:1"),
            ("team/app@sha256:0", "docker.io/team/app@sha256:0"),
            ("r.example/app:1", "r.example/app:1"),
            ("localhost/team/app:1", "localhost/team/app:1"),
        ] {
            assert_eq!(in_full(image), full);
        }
    }
}
