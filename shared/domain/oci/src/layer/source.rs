//! The compressed side of a layer: counts and hashes what is read from it.

use std::io::{self, Read};

use super::LayerError;
use crate::{Digest, DigestHasher};

/// The compressed bytes of a layer on their way to a decoder.
///
/// A failure of the input is kept here, because decoders mix it up with their own: only the
/// former may pass when tried again.
pub(super) struct Source<R> {
    input: R,
    hasher: DigestHasher,
    size: u64,
    /// Read from the input, not yet handed on.
    ahead: Vec<u8>,
    failure: Option<io::Error>,
}

impl<R: Read> Source<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            hasher: DigestHasher::default(),
            size: 0,
            ahead: Vec::new(),
            failure: None,
        }
    }

    /// The next bytes without taking them; fewer only where the input ends.
    pub(super) fn peek(&mut self, count: usize) -> Result<&[u8], LayerError> {
        let mut held = std::mem::take(&mut self.ahead);
        let start = held.len();
        if start < count {
            held.resize(count, 0);
            let read = self.fill(&mut held[start..]).map_err(LayerError::Read)?;
            held.truncate(start + read);
        }
        self.ahead = held;
        Ok(&self.ahead)
    }

    /// Reads until the buffer is full or the input ends.
    pub(super) fn fill(&mut self, mut buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while !buffer.is_empty() {
            let read = self.read(buffer)?;
            if read == 0 {
                break;
            }
            filled += read;
            buffer = &mut buffer[read..];
        }
        Ok(filled)
    }

    /// The failure of the input, if it was the input that failed.
    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Digest and size of all bytes read.
    pub(super) fn finish(self) -> (Digest, u64) {
        (self.hasher.finish(), self.size)
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(buffer.len());
            buffer[..count].copy_from_slice(&self.ahead[..count]);
            self.ahead.drain(..count);
            return Ok(count);
        }
        loop {
            match self.input.read(buffer) {
                Ok(count) => {
                    self.hasher.update(&buffer[..count]);
                    self.size += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let kind = error.kind();
                    self.failure = Some(error);
                    return Err(kind.into());
                }
            }
        }
    }
}
