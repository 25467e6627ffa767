//! Bytes between the asynchronous world of stores and the threads that look at them.

use std::io::{self, Read, Write};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use iib_oci::layer::LayerError;
use iib_oci::{Descriptor, Repository};
use iib_ports::{
    ArtifactError, ArtifactKey, Artifacts, BlobStream, Bytestream, Registry, RegistryError, Stored,
    TRACE,
};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tracing::{Instrument as _, Span, field, info_span};

use crate::artifact::ArtifactFault;
use crate::{ImageError, StageError, WorkError};

/// Chunks under way between two sides: enough that neither waits for the other's scheduling.
const CHUNKS: usize = 16;

/// Bytes handed over at a time by [`ChunkWriter`].
const CHUNK: usize = 256 * 1024;

/// What travels from the download to the thread that reads it. A stream that just stops is not
/// a stream that ended.
enum Part {
    Bytes(Bytes),
    End,
}

/// A download as `impl Read`.
pub(crate) struct ChunkReader {
    parts: mpsc::Receiver<Part>,
    current: Bytes,
    ended: bool,
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.parts.blocking_recv() {
                Some(Part::Bytes(bytes)) => self.current = bytes,
                Some(Part::End) => self.ended = true,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let count = buffer.len().min(self.current.len());
        let (now, _) = buffer.split_at_mut(count);
        now.copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}

/// Downloads a blob while `work` reads it on a thread of its own. A failed download comes before
/// whatever `work` made of the broken stream.
///
/// # Errors
/// [`ImageError::Registry`] with `doing`, and the errors of `work`.
pub(crate) async fn read_blob<T: Send + 'static, E>(
    registry: &dyn Registry,
    repository: &Repository,
    descriptor: &Descriptor,
    doing: &str,
    work: impl FnOnce(ChunkReader) -> Result<T, E> + Send + 'static,
) -> Result<T, StageError>
where
    E: Into<StageError> + Send + 'static,
{
    let blob = registry.blob(repository, descriptor).await;
    read_opened(blob, doing, work).await
}

/// The same with a download that was begun before.
///
/// # Errors
/// As [`read_blob`].
pub(crate) async fn read_opened<T: Send + 'static, E>(
    blob: Result<BlobStream, RegistryError>,
    doing: &str,
    work: impl FnOnce(ChunkReader) -> Result<T, E> + Send + 'static,
) -> Result<T, StageError>
where
    E: Into<StageError> + Send + 'static,
{
    let failed = |source| ImageError::Registry {
        doing: doing.to_owned(),
        source,
    };
    feed(blob.map_err(failed)?, work)
        .instrument(info_span!(target: TRACE, "read layer"))
        .await
        .map_err(failed)?
        .map_err(WorkError::BrokenOff)?
        .map_err(Into::into)
}

/// Reads an artifact with `work` on a thread of its own, as [`read_blob`] does.
///
/// # Errors
/// [`ArtifactFault::Artifact`] and [`ArtifactFault::BrokenOff`].
pub(crate) async fn read_artifact<T: Send + 'static>(
    content: Bytestream,
    work: impl FnOnce(ChunkReader) -> T + Send + 'static,
) -> Result<T, ArtifactFault> {
    feed(content, work).await?.map_err(ArtifactFault::BrokenOff)
}

/// Lets `work` read a stream on a thread of its own.
///
/// # Errors
/// That of the stream; inside, that `work` panicked.
async fn feed<T: Send + 'static, E>(
    mut content: impl Stream<Item = Result<Bytes, E>> + Unpin,
    work: impl FnOnce(ChunkReader) -> T + Send + 'static,
) -> Result<Result<T, JoinError>, E> {
    let (sender, parts) = mpsc::channel(CHUNKS);
    let reader = ChunkReader {
        parts,
        current: Bytes::new(),
        ended: false,
    };
    let worker = on_a_thread(move || work(reader));
    while let Some(chunk) = content.next().await {
        if sender.send(Part::Bytes(chunk?)).await.is_err() {
            // The worker ended before the stream; its result says why.
            break;
        }
    }
    // The worker may be gone already, see above.
    let _gone = sender.send(Part::End).await;
    Ok(worker.await)
}

/// Begins a computation on a thread of its own, where what it says and does belongs to the same request.
fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let span = Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
}

/// Runs a computation on a thread of its own.
///
/// # Errors
/// Those of `work`; [`WorkError::BrokenOff`] if it panics.
pub(crate) async fn blocking<T: Send + 'static, E>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, StageError>
where
    E: Into<StageError> + Send + 'static,
{
    on_a_thread(work)
        .await
        .map_err(WorkError::BrokenOff)?
        .map_err(Into::into)
}

/// An upload as `impl Write`.
pub(crate) struct ChunkWriter {
    sender: mpsc::Sender<Result<Bytes, ArtifactError>>,
    pending: BytesMut,
}

impl ChunkWriter {
    fn send(&self, chunk: Bytes) -> io::Result<()> {
        self.sender
            .blocking_send(Ok(chunk))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= CHUNK {
            let chunk = self.pending.split().freeze();
            self.send(chunk)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let chunk = self.pending.split().freeze();
        if chunk.is_empty() {
            Ok(())
        } else {
            self.send(chunk)
        }
    }
}

/// Stores as an artifact what `work` writes on a thread of its own. If `work` fails, nothing is
/// stored; if the store fails, that is the error, whatever `work` made of the broken pipe.
///
/// # Errors
/// [`StageError::Artifact`], and the errors of `work`.
pub(crate) async fn write_artifact<T: Send + 'static>(
    artifacts: &dyn Artifacts,
    key: &ArtifactKey,
    work: impl FnOnce(&mut ChunkWriter) -> Result<T, WorkError> + Send + 'static,
) -> Result<(T, Stored), StageError> {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let content: Bytestream = Box::pin(stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    }));
    let spoiled = ArtifactError::Unavailable {
        key: key.clone(),
        action: "written",
        source: Box::from("its content could not be made"),
    };
    let traced = info_span!(
        target: TRACE,
        "write layer",
        otel.status_code = field::Empty,
        iib.artifact = key.as_str(),
        iib.layer.bytes = field::Empty,
    );
    let make = move || {
        let mut writer = ChunkWriter {
            sender,
            pending: BytesMut::with_capacity(2 * CHUNK),
        };
        let result = work(&mut writer).and_then(|value| match writer.flush() {
            Ok(()) => Ok(value),
            Err(source) => Err(WorkError::Scratch {
                action: "sent to the artifact store",
                source,
            }),
        });
        if result.is_err() {
            // The stream must not look complete; a store that is gone already is fine too.
            let _gone = writer.sender.blocking_send(Err(spoiled));
        }
        result
    };
    let worker = traced.in_scope(|| on_a_thread(make));
    let stored = artifacts.put(key, content);
    let stored = stored.instrument(traced.clone()).await;
    let made = worker.await.map_err(WorkError::BrokenOff)?;
    match (&made, &stored) {
        (Ok(_), Ok(stored)) => traced.record("iib.layer.bytes", i64::try_from(stored.size).ok()),
        _ => traced.record("otel.status_code", "ERROR"),
    };
    match (made, stored) {
        (Ok(value), Ok(stored)) => Ok((value, stored)),
        (Ok(_), Err(error)) => Err(error.into()),
        // A broken pipe on our side is only the echo of the store's failure.
        (Err(error), Err(store_error)) if is_broken_pipe(&error) => Err(store_error.into()),
        (Err(error), _) => Err(error.into()),
    }
}

fn is_broken_pipe(error: &WorkError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return io.kind() == io::ErrorKind::BrokenPipe;
        }
        cause = error.source();
    }
    false
}

/// A layer that says itself that it is too large is not even begun.
pub(crate) fn check_size(image: &str, layer: &Descriptor, limit: u64) -> Result<(), ImageError> {
    if layer.size > limit {
        return Err(ImageError::Layer {
            image: image.to_owned(),
            source: LayerError::TooLarge { limit },
        });
    }
    Ok(())
}
