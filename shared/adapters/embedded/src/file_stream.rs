//! Files as streams: large pieces, read, written and hashed off the async threads.
//!
//! A thread is held for one piece at a time and never while the other side is slow, so the
//! number of streams is not bound to the number of threads.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::DerefMut;

use bytes::Bytes;
use futures::{Stream, TryStreamExt, stream};
use iib_oci::{Digest, DigestHasher};
use tokio::task::{JoinHandle, spawn_blocking};

/// Bytes that go to or come from a file at once: enough that the hop to another thread does not
/// count, little enough for many streams at a time (each holds two pieces).
const PIECE: usize = 512 * 1024;

/// A file that is written once from its beginning, with its size and running digest.
#[derive(Debug)]
pub(crate) struct HashedFile {
    file: File,
    hasher: DigestHasher,
    size: u64,
}

impl HashedFile {
    /// `file` is empty and open for writing.
    pub(crate) fn new(file: File) -> Self {
        Self {
            file,
            hasher: DigestHasher::default(),
            size: 0,
        }
    }

    /// Bytes taken in so far.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Digest of what was taken in so far.
    pub(crate) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// Cuts off what a failed write may have left behind the last whole piece.
    pub(crate) fn trim(&self) -> io::Result<()> {
        self.file.set_len(self.size)
    }

    /// Waits until the disk has everything that was taken in.
    pub(crate) fn flush_to_disk(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn append(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        // Not where the file stands but where the last whole piece ended.
        self.file.seek(SeekFrom::Start(self.size))?;
        for piece in pieces {
            self.file.write_all(piece)?;
            self.hasher.update(piece);
            self.size += piece.len() as u64;
        }
        Ok(())
    }
}

/// Writes a stream to a [`HashedFile`]; the next piece is collected while one is being written.
/// `W` is whatever holds the file: when the writer is dropped, `W` is only dropped after the
/// piece under way, so the file and its size never disagree.
pub(crate) struct HashingWriter<W> {
    target: Option<W>,
    writing: Option<JoinHandle<io::Result<W>>>,
    pieces: Vec<Bytes>,
    collected: usize,
}

impl<W: DerefMut<Target = HashedFile> + Send + 'static> HashingWriter<W> {
    pub(crate) fn new(target: W) -> Self {
        Self {
            target: Some(target),
            writing: None,
            pieces: Vec::new(),
            collected: 0,
        }
    }

    /// Takes in bytes.
    ///
    /// # Errors
    /// That of an earlier write; then the writer is of no more use.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        self.collected += bytes.len();
        self.pieces.push(bytes);
        if self.collected >= PIECE {
            self.start_writing().await?;
        }
        Ok(())
    }

    /// Waits until everything is written.
    pub(crate) async fn finish(mut self) -> io::Result<W> {
        self.start_writing().await?;
        self.idle_target().await
    }

    async fn start_writing(&mut self) -> io::Result<()> {
        let mut target = self.idle_target().await?;
        self.collected = 0;
        let pieces = std::mem::take(&mut self.pieces);
        self.writing = Some(spawn_blocking(move || {
            target.append(&pieces)?;
            Ok(target)
        }));
        Ok(())
    }

    async fn idle_target(&mut self) -> io::Result<W> {
        match (self.writing.take(), self.target.take()) {
            (Some(writing), _) => writing.await.map_err(io::Error::other)?,
            (None, Some(target)) => Ok(target),
            (None, None) => Err(io::Error::other("an earlier write failed")),
        }
    }
}

/// Reads `length` bytes from where the file stands; the next piece is read while one is sent.
pub(crate) fn read_stream(
    file: File,
    length: u64,
) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let first = read_piece(file, length);
    stream::try_unfold(first, |reading| async {
        let Some(reading) = reading else {
            return Ok(None);
        };
        let (file, bytes, left) = reading.await.map_err(io::Error::other)??;
        Ok(Some((bytes, read_piece(file, left))))
    })
    .into_stream()
}

type Reading = JoinHandle<io::Result<(File, Bytes, u64)>>;

fn read_piece(mut file: File, left: u64) -> Option<Reading> {
    (left > 0).then(|| {
        spawn_blocking(move || {
            let wanted = left.min(PIECE as u64);
            let mut bytes = Vec::with_capacity(PIECE.min(usize::try_from(left).unwrap_or(PIECE)));
            (&mut file).take(wanted).read_to_end(&mut bytes)?;
            let got = bytes.len() as u64;
            if got < wanted {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok((file, bytes.into(), left - got))
        })
    })
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    fn file() -> File {
        tempfile::tempfile().unwrap()
    }

    #[tokio::test]
    async fn what_is_written_in_any_pieces_is_read_back_with_its_digest() {
        let content: Vec<u8> = (0..3 * PIECE + 17).map(|n| (n % 251) as u8).collect();
        for step in [1000, PIECE, 2 * PIECE + 1, content.len()] {
            let file = file();
            let copy = file.try_clone().unwrap();
            let mut writer = HashingWriter::new(Box::new(HashedFile::new(file)));
            for piece in content.chunks(step) {
                writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            let written = writer.finish().await.unwrap();
            assert_eq!(written.size(), content.len() as u64);
            assert_eq!(written.digest(), Digest::of(&content));
            let mut copy = copy;
            copy.rewind().unwrap();
            let read: Vec<Bytes> = read_stream(copy, content.len() as u64)
                .try_collect()
                .await
                .unwrap();
            assert!(read.concat() == content, "step {step}");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_shorter_than_it_was_is_an_error() {
        let mut file = file();
        file.write_all(b"abc").unwrap();
        file.rewind().unwrap();
        let read: io::Result<Vec<Bytes>> = read_stream(file, 4).try_collect().await;
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn bytes_behind_a_failed_write_are_written_over_and_cut_off() {
        let mut file = file();
        file.write_all(b"left over").unwrap();
        let mut hashed = HashedFile::new(file.try_clone().unwrap());
        hashed.append(&[Bytes::from_static(b"ab")]).unwrap();
        hashed.trim().unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "ab");
    }
}
