//! Reading catalogs: streams of JSON or YAML documents (spec index-database §13), a document at a
//! time.

use std::io::Read;
use std::ops::Range;

use iib_bundle::{YamlError, parse_yaml};
use serde_json::value::RawValue;

use crate::blob::{
    Catalog, CatalogBundle, CatalogPackage, Channel, ChannelEntry, Icon, Other, OwnedBlob,
    Property, RelatedImage,
};
use crate::fields::{Fields, WrongType, text};

/// Why a catalog cannot be read. The texts begin as the reference's do, as far as users meet them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Its bytes do not come.
    #[error("it cannot be read: {0}")]
    Io(std::io::Error),
    /// It ends inside a document.
    #[error("unexpected EOF: the JSON text ends inside a document")]
    Cut,
    /// It is not JSON.
    #[error("the JSON text is broken")]
    Json(#[source] serde_json::Error),
    /// It is not YAML.
    #[error("error converting YAML to JSON: yaml: {0}")]
    Yaml(YamlError),
    /// A document is not an object.
    #[error(
        "a document of the file is no object: leave files that are no catalog out with an .indexignore file"
    )]
    NoObject,
    /// An object does not say what it is.
    #[error("object '{0}' is missing root schema field")]
    NoSchema(String),
    /// A member of an object has the wrong type.
    #[error("parse {what}: {source}")]
    Type {
        /// What the object is.
        what: &'static str,
        /// What is wrong; part of the message.
        source: WrongType,
    },
}

/// Bytes that are read at once, at least.
const CHUNK: usize = 1 << 20;

/// A document of a catalog file.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Where it is in the file, in bytes. Read by itself it gives the same blob.
    pub at: Range<u64>,
    /// What it says.
    pub blob: OwnedBlob,
}

/// The documents of a catalog file, one after the other. Of a stream of JSON no more is in memory
/// than a document or [`CHUNK`]; YAML is read as a whole.
#[derive(Debug)]
pub struct Documents<R> {
    reader: R,
    /// What was read and not yet given out begins at `start`.
    bytes: Vec<u8>,
    start: usize,
    /// Where in the file the bytes begin.
    offset: u64,
    /// There is no more to read.
    ended: bool,
    /// JSON, once that is known.
    is_json: Option<bool>,
    failed: bool,
}

impl<R: Read> Documents<R> {
    /// The documents of a file, read from its beginning.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            bytes: Vec::new(),
            start: 0,
            offset: 0,
            ended: false,
            is_json: None,
            failed: false,
        }
    }

    /// The next one, and where in the file it is.
    fn document(&mut self) -> Result<Option<Document>, ReadError> {
        let is_json = match self.is_json {
            Some(known) => known,
            None => self.begin()?,
        };
        if is_json {
            return self.json();
        }
        loop {
            let Some(part) = self.yaml_part() else {
                return Ok(None);
            };
            let at = self.range(&part);
            let text = String::from_utf8_lossy(self.bytes.get(part).unwrap_or_default());
            if let Some(blob) = from_yaml(&text)? {
                return Ok(Some(Document { at, blob }));
            }
        }
    }

    fn range(&self, part: &Range<usize>) -> Range<u64> {
        self.offset + part.start as u64..self.offset + part.end as u64
    }

    /// Reads as far as tells JSON and YAML apart: all of a text that is YAML.
    fn begin(&mut self) -> Result<bool, ReadError> {
        const MARK: &[u8] = "\u{feff}".as_bytes();
        self.fill()?;
        if self.bytes.starts_with(MARK) {
            self.start = MARK.len();
        }
        let is_json = loop {
            let rest = self.bytes.get(self.start..).unwrap_or_default();
            match rest.trim_ascii_start().first() {
                Some(first) => break *first == b'{',
                None if self.ended => break true,
                None => self.fill()?,
            }
        };
        while !is_json && !self.ended {
            self.fill()?;
        }
        self.is_json = Some(is_json);
        Ok(is_json)
    }

    /// Reads on, at least as much again as is there, so that a long document is not looked at
    /// often.
    fn fill(&mut self) -> Result<(), ReadError> {
        self.bytes.drain(..self.start);
        self.offset += self.start as u64;
        self.start = 0;
        let wanted = self.bytes.len().max(CHUNK);
        let more = self.reader.by_ref().take(wanted as u64);
        let count = { more }
            .read_to_end(&mut self.bytes)
            .map_err(ReadError::Io)?;
        self.ended = count < wanted;
        Ok(())
    }

    fn json(&mut self) -> Result<Option<Document>, ReadError> {
        loop {
            let rest = self.bytes.get(self.start..).unwrap_or_default();
            let space = rest.len() - rest.trim_ascii_start().len();
            let rest = rest.get(space..).unwrap_or_default();
            if rest.is_empty() && self.ended {
                return Ok(None);
            }
            let mut documents = serde_json::Deserializer::from_slice(rest).into_iter();
            match documents.next() {
                Some(Ok(fields)) => {
                    let end = documents.byte_offset();
                    let text = rest.get(..end).unwrap_or_default();
                    let blob = blob(&fields, text)?;
                    let part = self.start + space..self.start + space + end;
                    self.start = part.end;
                    let at = self.range(&part);
                    return Ok(Some(Document { at, blob }));
                }
                Some(Err(error)) if error.is_eof() && self.ended => return Err(ReadError::Cut),
                Some(Err(error)) if error.is_data() => return Err(ReadError::NoObject),
                Some(Err(error)) if !error.is_eof() => {
                    if !self.forgive() {
                        return Err(ReadError::Json(error));
                    }
                }
                _ => self.fill()?,
            }
        }
    }

    /// Bytes that are no text become question marks, each one, so that positions hold; the
    /// reference forgives them, too. Whether there were any.
    fn forgive(&mut self) -> bool {
        let mut at = self.start;
        let mut found = false;
        while let Some(rest) = self.bytes.get_mut(at..)
            && let Err(error) = str::from_utf8(rest)
            && let Some(count) = error.error_len()
        {
            let broken = error.valid_up_to()..error.valid_up_to() + count;
            at += broken.end;
            if let Some(broken) = rest.get_mut(broken) {
                broken.fill(b'?');
            }
            found = true;
        }
        found
    }

    /// What lies between lines that are `---` and nothing else.
    fn yaml_part(&mut self) -> Option<Range<usize>> {
        let rest = self.bytes.get(self.start..)?;
        if rest.is_empty() {
            return None;
        }
        let mut at = self.start;
        for line in rest.split_inclusive(|byte| *byte == b'\n') {
            let next = at + line.len();
            let separates = line
                .strip_prefix(b"---")
                .is_some_and(|rest| rest.trim_ascii_end().is_empty());
            if separates {
                let part = self.start..at;
                self.start = next;
                return Some(part);
            }
            at = next;
        }
        let part = self.start..at;
        self.start = at;
        Some(part)
    }
}

/// After a failure there is no further document.
impl<R: Read> Iterator for Documents<R> {
    type Item = Result<Document, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.document();
        self.failed = next.is_err();
        next.transpose()
    }
}

/// Reads a text into a catalog.
///
/// # Errors
/// The first fault in it; the catalog has what came before.
pub fn read_text(text: &str, catalog: &mut Catalog) -> Result<(), ReadError> {
    for document in Documents::new(text.as_bytes()) {
        catalog.push(document?.blob);
    }
    Ok(())
}

/// The blob in a document; `None` if there is nothing in it.
fn from_yaml(text: &str) -> Result<Option<OwnedBlob>, ReadError> {
    let value = parse_yaml(text).map_err(ReadError::Yaml)?;
    if value == iib_bundle::Json::Null {
        return Ok(None);
    }
    let text = value.to_text();
    if !text.starts_with('{') {
        return Err(ReadError::NoObject);
    }
    let fields: Fields<'_> = serde_json::from_str(&text).map_err(ReadError::Json)?;
    blob(&fields, text.as_bytes()).map(Some)
}

fn blob(fields: &Fields<'_>, text: &[u8]) -> Result<OwnedBlob, ReadError> {
    let wrong = |what| move |source| ReadError::Type { what, source };
    let schema = fields.text("schema").map_err(wrong("object"))?;
    Ok(match &*schema {
        "" => {
            let text = String::from_utf8_lossy(text).into_owned();
            return Err(ReadError::NoSchema(text));
        }
        "olm.package" => OwnedBlob::Package(package(fields).map_err(wrong("package"))?),
        "olm.channel" => OwnedBlob::Channel(channel(fields).map_err(wrong("channel"))?),
        "olm.bundle" => OwnedBlob::Bundle(bundle(fields).map_err(wrong("bundle"))?),
        _ => OwnedBlob::Other(Other {
            package: fields.string("package").map_err(wrong("object"))?,
            name: fields.string("name").map_err(wrong("object"))?,
            schema: schema.into_owned(),
            blob: serde_json::from_slice(text).map_err(ReadError::Json)?,
        }),
    })
}

fn package(fields: &Fields<'_>) -> Result<CatalogPackage, WrongType> {
    let icon = fields.object("icon")?.map(|fields| {
        Ok(Icon {
            base64data: fields.string("base64data")?,
            mediatype: fields.string("mediatype")?,
        })
    });
    Ok(CatalogPackage {
        name: fields.string("name")?,
        default_channel: fields.string("defaultChannel")?,
        icon: icon.transpose()?,
        description: fields.string("description")?,
        properties: fields.list("properties", property)?,
    })
}

fn channel(fields: &Fields<'_>) -> Result<Channel, WrongType> {
    Ok(Channel {
        name: fields.string("name")?,
        package: fields.string("package")?,
        entries: fields.list("entries", |entry| {
            let fields = Fields::of(entry)?;
            Ok(ChannelEntry {
                name: fields.string("name")?,
                replaces: fields.string("replaces")?,
                skips: fields.list("skips", |skip| text(skip).map(Into::into))?,
                skip_range: fields.string("skipRange")?,
            })
        })?,
        properties: fields.list("properties", property)?,
    })
}

fn bundle(fields: &Fields<'_>) -> Result<CatalogBundle, WrongType> {
    Ok(CatalogBundle {
        name: fields.string("name")?,
        package: fields.string("package")?,
        image: fields.string("image")?,
        properties: fields.list("properties", property)?,
        related_images: fields.list("relatedImages", |image| {
            let fields = Fields::of(image)?;
            Ok(RelatedImage {
                name: fields.string("name")?,
                image: fields.string("image")?,
            })
        })?,
    })
}

fn property(value: &RawValue) -> Result<Property, WrongType> {
    let fields = Fields::of(value)?;
    Ok(Property {
        kind: fields.string("type")?,
        value: fields.raw("value").map(ToOwned::to_owned),
    })
}
