//! Reading a layer on one thread, within a limit.

use std::fmt;
use std::io::{self, Read};

use super::LayerError;
use super::decode::Decoder;
use super::entries::Stream;
use super::source::Source;
use crate::{Digest, DigestHasher};

/// How much is unpacked at a time.
const BLOCK: usize = 128 * 1024;

/// The unpacked bytes of a layer.
///
/// Gzip (also with several members), zstd and plain tar are told apart by their first bytes. Of
/// both sides a digest is kept. For layers of many megabytes see [`super::unpack`], which does
/// the same on several threads.
pub struct LayerReader<R: Read> {
    decoder: Decoder<R>,
    diff_id: DigestHasher,
    unpacked: u64,
    limit: u64,
    block: Vec<u8>,
    start: usize,
    end: usize,
}

/// What a layer is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerDigests {
    /// Digest of the compressed bytes: the name of the blob in a registry.
    pub digest: Digest,
    /// Number of compressed bytes.
    pub size: u64,
    /// Digest of the unpacked bytes, as image configurations list it.
    pub diff_id: Digest,
    /// Number of unpacked bytes.
    pub unpacked_size: u64,
}

impl<R: Read> LayerReader<R> {
    /// Starts reading. At most `limit` bytes are unpacked.
    ///
    /// # Errors
    /// [`LayerError::Read`] when not even the first bytes can be read (class Retry).
    pub fn open(input: R, limit: u64) -> Result<Self, LayerError> {
        Ok(Self {
            decoder: Decoder::sniff(Source::new(input))?,
            diff_id: DigestHasher::default(),
            unpacked: 0,
            limit,
            block: vec![0; BLOCK],
            start: 0,
            end: 0,
        })
    }

    /// Reads what is left and gives the digests, to be compared with those that were promised.
    ///
    /// # Errors
    /// [`LayerError`], as for reading.
    pub fn finish(mut self) -> Result<LayerDigests, LayerError> {
        loop {
            let left = self.chunk()?.len();
            if left == 0 {
                break;
            }
            self.advance(left);
        }
        let (digest, size) = self.decoder.finish();
        Ok(LayerDigests {
            digest,
            size,
            diff_id: self.diff_id.finish(),
            unpacked_size: self.unpacked,
        })
    }
}

impl<R: Read> Stream for LayerReader<R> {
    fn chunk(&mut self) -> Result<&[u8], LayerError> {
        if self.start == self.end {
            let read = self.decoder.read(&mut self.block)?;
            self.unpacked += read as u64;
            if self.unpacked > self.limit {
                return Err(LayerError::TooLarge { limit: self.limit });
            }
            self.diff_id.update(&self.block[..read]);
            (self.start, self.end) = (0, read);
        }
        Ok(&self.block[self.start..self.end])
    }

    fn advance(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
    }
}

impl<R: Read> Read for LayerReader<R> {
    /// The next unpacked bytes. Errors carry a [`LayerError`].
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let chunk = self.chunk().map_err(io::Error::other)?;
        let count = chunk.len().min(buffer.len());
        buffer[..count].copy_from_slice(&chunk[..count]);
        self.advance(count);
        Ok(count)
    }
}

impl<R: Read> fmt::Debug for LayerReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerReader")
            .field("unpacked", &self.unpacked)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
