//! Files of an image that are only another name of a file elsewhere in it.

use std::io::Write;

use iib_oci::layer::{Extracted, LayerError, LayerReader, Link, Refusal, Rest, extract_file};
use iib_oci::{Descriptor, Repository};
use iib_ports::Registry;

use crate::transfer::{check_size, read_blob};
use crate::{ImageError, StageError, WorkError};

/// Most links that are followed one after the other; a circle has no end.
pub(crate) const CHAIN_LIMIT: usize = 8;

/// Where the layers of an image are.
pub(crate) struct Layers<'a> {
    pub(crate) registry: &'a dyn Registry,
    pub(crate) repository: &'a Repository,
    /// For messages.
    pub(crate) image: &'a str,
    /// The layer with the link first, then the lower ones.
    pub(crate) layers: Vec<&'a Descriptor>,
    /// Most bytes that are unpacked of each.
    pub(crate) limit: u64,
}

impl Layers<'_> {
    /// Copies what a hard link is another name of. The layers are read anew: when they were read
    /// first, nobody knew that this file would be wanted.
    ///
    /// # Errors
    /// [`StageError`] naming the image; also if the image does not have the file.
    pub(crate) async fn read<W: Write + Send + 'static>(
        &self,
        link: &Link,
        mut open: impl FnMut() -> Result<W, WorkError>,
    ) -> Result<W, StageError> {
        let mut wanted = link.target.clone();
        let mut followed = 0;
        for layer in &self.layers {
            check_size(self.image, layer, self.limit)?;
            loop {
                let doing = format!("Failed to read a layer of the image {}", self.image);
                let (image, path, limit) = (self.image.to_owned(), wanted.clone(), self.limit);
                let mut sink = open()?;
                let read = read_blob(
                    self.registry,
                    self.repository,
                    layer,
                    &doing,
                    move |reader| {
                        let copied = || -> Result<_, LayerError> {
                            let mut layer = LayerReader::open(reader, limit)?;
                            let found = extract_file(&mut layer, &path, &mut sink, Rest::Check)?;
                            layer.finish()?;
                            sink.flush().map_err(LayerError::Write)?;
                            Ok((found, sink))
                        };
                        copied().map_err(|source| ImageError::Layer { image, source })
                    },
                );
                match read.await? {
                    (Extracted::Found { .. }, sink) => return Ok(sink),
                    (Extracted::Linked { target }, _) if followed < CHAIN_LIMIT => {
                        wanted = target;
                        followed += 1;
                    }
                    (Extracted::Linked { .. } | Extracted::WhitedOut, _) => {
                        return Err(leads_nowhere(self.image, link).into());
                    }
                    (Extracted::Absent, _) => break,
                }
            }
        }
        Err(leads_nowhere(self.image, link).into())
    }
}

fn leads_nowhere(image: &str, link: &Link) -> ImageError {
    ImageError::Layer {
        image: image.to_owned(),
        source: LayerError::Refused {
            path: link.path.to_string(),
            reason: Refusal::LinkToNothing,
        },
    }
}
