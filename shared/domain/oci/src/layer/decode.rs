//! From compressed to unpacked bytes, whatever the compression.

use std::fmt;
use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::LayerError;
use super::frame::WINDOW_LOG;
use super::source::Source;
use crate::Digest;

/// How a layer is compressed.
///
/// The first bytes decide, not the media type: registries hold layers under wrong types, and
/// podman and containerd look at the bytes too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// One or more gzip members.
    Gzip,
    /// One or more zstd frames.
    Zstd,
    /// A plain tar archive.
    None,
}

/// Compressed bytes are handed to decoders in blocks of this size.
const BLOCK: usize = 128 * 1024;

/// A layer being decoded.
pub(super) struct Decoder<R: Read> {
    compression: Compression,
    stream: Stream<R>,
}

enum Stream<R: Read> {
    Gzip(Box<MultiGzDecoder<BufReader<Source<R>>>>),
    Zstd(zstd::stream::read::Decoder<'static, BufReader<Source<R>>>),
    None(Source<R>),
}

impl Compression {
    /// Recognises the compression by the first four bytes.
    pub fn sniff(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::None => "tar",
        })
    }
}

impl<R: Read> Decoder<R> {
    /// Decodes what the first bytes say.
    pub(super) fn sniff(mut source: Source<R>) -> Result<Self, LayerError> {
        let compression = Compression::sniff(source.peek(4)?);
        Self::new(compression, source)
    }

    pub(super) fn new(compression: Compression, source: Source<R>) -> Result<Self, LayerError> {
        let stream = match compression {
            Compression::Gzip => Stream::Gzip(Box::new(MultiGzDecoder::new(
                BufReader::with_capacity(BLOCK, source),
            ))),
            Compression::Zstd => {
                let corrupt = |source| LayerError::Corrupt {
                    compression,
                    source,
                };
                let input = BufReader::with_capacity(BLOCK, source);
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(input).map_err(corrupt)?;
                // What zstd itself accepts unasked; it bounds the decoder's memory.
                decoder.window_log_max(WINDOW_LOG).map_err(corrupt)?;
                Stream::Zstd(decoder)
            }
            Compression::None => Stream::None(source),
        };
        Ok(Self {
            compression,
            stream,
        })
    }

    /// The next unpacked bytes; 0 at the end, which is that of the input too.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LayerError> {
        let result = match &mut self.stream {
            Stream::Gzip(decoder) => decoder.read(buffer),
            Stream::Zstd(decoder) => decoder.read(buffer),
            Stream::None(source) => source.read(buffer),
        };
        result.map_err(|error| self.fault(error))
    }

    /// Tells a failing input from bad bytes.
    fn fault(&mut self, error: io::Error) -> LayerError {
        let source = match &mut self.stream {
            Stream::Gzip(decoder) => decoder.get_mut().get_mut(),
            Stream::Zstd(decoder) => decoder.get_mut().get_mut(),
            Stream::None(source) => source,
        };
        match source.take_failure() {
            Some(failure) => LayerError::Read(failure),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                LayerError::Truncated(self.compression)
            }
            None => LayerError::Corrupt {
                compression: self.compression,
                source: error,
            },
        }
    }

    /// Digest and size of the compressed bytes read so far.
    pub(super) fn finish(self) -> (Digest, u64) {
        match self.stream {
            Stream::Gzip(decoder) => decoder.into_inner().into_inner().finish(),
            Stream::Zstd(decoder) => decoder.finish().into_inner().finish(),
            Stream::None(source) => source.finish(),
        }
    }
}
