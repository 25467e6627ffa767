//! What comes out of a layer before it is unpacked: pieces of our own form as they are, blocks of
//! any other decoded.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use super::LayerError;
use super::decode::Decoder;
use super::form::{HEADER, Layout, PieceSizes, is_claimed};
use super::pieces::Place;
use super::source::Source;
use crate::Digest;

/// Bytes are read in blocks of this size: large enough that handing them from thread to thread
/// costs nothing, small enough to stay in a core's cache.
const BLOCK: usize = 256 * 1024;

pub(super) enum Feed<'c, R: Read> {
    Own(OwnFeed<'c>),
    Foreign(Box<Decoder<R>>),
}

/// A layer of our own form, in a file.
pub(super) struct OwnFeed<'c> {
    layer: &'c mut File,
    /// Position in the file.
    offset: u64,
    layout: Layout,
    /// Pieces handed out.
    taken: usize,
    /// Of the compressed bytes.
    digest: Digest,
    size: u64,
}

pub(super) enum Job {
    /// A piece of our own form.
    Piece {
        packed: Vec<u8>,
        place: Place,
        /// Size of the piece, in bytes.
        size: usize,
    },
    Decoded(Vec<u8>),
}

impl<'c, R: Read> Feed<'c, R> {
    /// Looks at the start of a layer. One in our own form is read into `copy` as a whole, because
    /// its index is at its end.
    pub(super) fn open(
        mut source: Source<R>,
        copy: &'c mut File,
        limit: u64,
    ) -> Result<Self, LayerError> {
        if !is_claimed(source.peek(HEADER)?) {
            return Ok(Self::Foreign(Box::new(Decoder::sniff(source)?)));
        }
        keep(&mut source, copy)?;
        let (digest, size) = source.finish();
        let layout = Layout::read(copy, size, limit)?;
        copy.seek(SeekFrom::Start(HEADER as u64))
            .map_err(LayerError::Copy)?;
        Ok(Self::Own(OwnFeed {
            layer: copy,
            offset: HEADER as u64,
            layout,
            taken: 0,
            digest,
            size,
        }))
    }

    /// The checksum that the unpacked bytes must have, where that is not the decoder's business.
    pub(super) fn stated_checksum(&self) -> Option<u32> {
        match self {
            Self::Own(own) => Some(own.layout.checksum),
            Self::Foreign(_) => None,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Job>, LayerError> {
        match self {
            Self::Own(own) => own.next(),
            Self::Foreign(decoder) => {
                let mut block = vec![0; BLOCK];
                let mut filled = 0;
                while filled < BLOCK {
                    let read = decoder.read(&mut block[filled..])?;
                    if read == 0 {
                        break;
                    }
                    filled += read;
                }
                block.truncate(filled);
                Ok((filled > 0).then_some(Job::Decoded(block)))
            }
        }
    }

    /// Digest and size of the compressed bytes.
    pub(super) fn finish(self) -> (Digest, u64) {
        match self {
            Self::Own(own) => (own.digest, own.size),
            Self::Foreign(decoder) => decoder.finish(),
        }
    }
}

impl OwnFeed<'_> {
    fn next(&mut self) -> Result<Option<Job>, LayerError> {
        let Some(&PieceSizes { packed, unpacked }) = self.layout.pieces.get(self.taken) else {
            return Ok(None);
        };
        self.taken += 1;
        let place = Place {
            offset: self.offset,
            length: packed as usize,
        };
        self.offset += u64::from(packed);
        let mut packed = vec![0; place.length];
        self.layer
            .read_exact(&mut packed)
            .map_err(LayerError::Copy)?;
        Ok(Some(Job::Piece {
            packed,
            place,
            size: unpacked as usize,
        }))
    }
}

/// Copies what is left of the source. What the file held before is overwritten.
fn keep<R: Read>(source: &mut Source<R>, copy: &mut File) -> Result<(), LayerError> {
    copy.rewind()
        .and_then(|()| copy.set_len(0))
        .map_err(LayerError::Copy)?;
    let mut block = vec![0; BLOCK];
    loop {
        let read = source
            .fill(&mut block)
            .map_err(|error| LayerError::Read(source.take_failure().unwrap_or(error)))?;
        if read == 0 {
            return Ok(());
        }
        copy.write_all(&block[..read]).map_err(LayerError::Copy)?;
    }
}
