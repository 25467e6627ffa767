//! Reading catalogs: streams of JSON or YAML documents (spec index-database §13), a document at a
//! time.

use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;

use base64::Engine as _;
use iib_bundle::{YamlError, parse_yaml};
use memchr::memchr;
use serde_json::value::RawValue;

use crate::base64::{BASE64, without_line_breaks};
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
    /// A document has nothing in it.
    #[error("unmarshal error: unexpected end of JSON input: a document of the YAML text is empty")]
    Empty,
    /// A line that begins as a separator of documents does.
    #[error("invalid Yaml document separator: {0}")]
    Separator(String),
    /// A document is not an object.
    #[error(
        "a document of the file is no object: leave files that are no catalog out with an .indexignore file"
    )]
    NoObject,
    /// An object does not say what it is.
    #[error("object '{0}' is missing root schema field")]
    NoSchema(String),
    /// The image of an icon is not in base64.
    #[error("parse package: illegal base64 data: {0}")]
    Icon(base64::DecodeError),
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

/// What a catalog file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A stream of objects.
    Json,
    /// Documents between lines of three dashes.
    Yaml,
}

/// A document of a catalog file.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Where it is in the file, in bytes. Read by itself, in the file's form, it gives the same
    /// blob.
    pub at: Range<u64>,
    /// What the file is written in.
    pub form: Form,
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
    /// `None` until it was looked at.
    form: Option<Form>,
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
            form: None,
            failed: false,
        }
    }

    /// The documents of a part of a file, whose form is known.
    pub fn of_part(reader: R, form: Form) -> Self {
        Self {
            form: Some(form),
            ..Self::new(reader)
        }
    }

    /// The next one, and where in the file it is.
    fn document(&mut self) -> Result<Option<Document>, ReadError> {
        let form = match self.form {
            Some(form) => form,
            None => self.begin()?,
        };
        if form == Form::Json {
            return self.json();
        }
        while !self.ended {
            self.fill()?;
        }
        let Some(part) = self.yaml_part()? else {
            return Ok(None);
        };
        let at = self.range(&part);
        let text = String::from_utf8_lossy(self.bytes.get(part).unwrap_or_default());
        let blob = from_yaml(&text)?;
        Ok(Some(Document { at, form, blob }))
    }

    fn range(&self, part: &Range<usize>) -> Range<u64> {
        self.offset + part.start as u64..self.offset + part.end as u64
    }

    /// Reads as far as tells JSON and YAML apart.
    fn begin(&mut self) -> Result<Form, ReadError> {
        const MARK: &[u8] = "\u{feff}".as_bytes();
        self.fill()?;
        if self.bytes.starts_with(MARK) {
            self.start = MARK.len();
        }
        let is_json = loop {
            let rest = self.bytes.get(self.start..).unwrap_or_default();
            match rest.trim_ascii_start().first() {
                Some(first) => break *first == b'{',
                None if self.ended => break rest.is_empty(),
                None => self.fill()?,
            }
        };
        let form = if is_json { Form::Json } else { Form::Yaml };
        self.form = Some(form);
        Ok(form)
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
                    let blob = match without_html_escapes(text) {
                        Cow::Borrowed(text) => blob(&fields, text)?,
                        Cow::Owned(text) => {
                            let fields = serde_json::from_slice(&text);
                            blob(&fields.map_err(ReadError::Json)?, &text)?
                        }
                    };
                    let part = self.start + space..self.start + space + end;
                    self.start = part.end;
                    let at = self.range(&part);
                    let form = Form::Json;
                    return Ok(Some(Document { at, form, blob }));
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

    /// The next part of a text that is YAML. A line of three dashes ends what is before it; where
    /// nothing is, it is part of what follows.
    fn yaml_part(&mut self) -> Result<Option<Range<usize>>, ReadError> {
        let rest = self.bytes.get(self.start..).unwrap_or_default();
        let mut at = self.start;
        for line in rest.split_inclusive(|byte| *byte == b'\n') {
            if let Some(after) = line.strip_prefix(b"---") {
                let after = after.trim_ascii();
                if !matches!(after.first(), None | Some(b'#')) {
                    let after = String::from_utf8_lossy(after).into_owned();
                    return Err(ReadError::Separator(after));
                }
                if at > self.start {
                    let part = self.start..at;
                    self.start = at + line.len();
                    return Ok(Some(part));
                }
            }
            at += line.len();
        }
        let part = self.start..at;
        self.start = at;
        Ok((!part.is_empty()).then_some(part))
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

fn from_yaml(text: &str) -> Result<OwnedBlob, ReadError> {
    let value = parse_yaml(text).map_err(ReadError::Yaml)?;
    if value == iib_bundle::Json::Null {
        return Err(ReadError::Empty);
    }
    let text = value.to_text();
    if !text.starts_with('{') {
        return Err(ReadError::NoObject);
    }
    let text = without_html_escapes(text.as_bytes());
    let fields: Fields<'_> = serde_json::from_slice(&text).map_err(ReadError::Json)?;
    blob(&fields, &text)
}

/// A JSON text with `<`, `>` and `&` as they are, where they are escaped for HTML: the reference
/// undoes that before it looks at a document.
pub(crate) fn without_html_escapes(text: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = memchr(b'\\', text.get(at..).unwrap_or_default()) {
        let begin = at + found;
        let sign = match text.get(begin + 1..begin + 6) {
            Some(b"u003c") => b'<',
            Some(b"u003e") => b'>',
            Some(b"u0026") => b'&',
            // The sign behind it is no beginning of an escape.
            _ => {
                at = begin + 2;
                continue;
            }
        };
        out.extend_from_slice(text.get(copied..begin).unwrap_or_default());
        out.push(sign);
        at = begin + 6;
        copied = at;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

fn blob(fields: &Fields<'_>, text: &[u8]) -> Result<OwnedBlob, ReadError> {
    let wrong = |what| move |source| ReadError::Type { what, source };
    let schema = fields.text("schema").map_err(wrong("object"))?;
    Ok(match &*schema {
        "" => {
            let text = String::from_utf8_lossy(text).into_owned();
            return Err(ReadError::NoSchema(text));
        }
        "olm.package" => OwnedBlob::Package(package(fields)?),
        "olm.channel" => OwnedBlob::Channel(channel(fields).map_err(wrong("channel"))?),
        "olm.bundle" => OwnedBlob::Bundle(bundle(fields).map_err(wrong("bundle"))?),
        // Kept unread; what is no name names nothing.
        _ => OwnedBlob::Other(Other {
            package: fields.string("package").unwrap_or_default(),
            name: fields.string("name").unwrap_or_default(),
            schema: schema.into_owned(),
            blob: serde_json::from_slice(text).map_err(ReadError::Json)?,
        }),
    })
}

fn package(fields: &Fields<'_>) -> Result<CatalogPackage, ReadError> {
    let wrong = |source| ReadError::Type {
        what: "package",
        source,
    };
    let icon = fields.object("icon").map_err(wrong)?;
    let icon = icon.as_ref().map(icon_of).transpose();
    Ok(CatalogPackage {
        name: fields.string("name").map_err(wrong)?,
        default_channel: fields.string("defaultChannel").map_err(wrong)?,
        icon: icon?,
        description: fields.string("description").map_err(wrong)?,
        properties: fields.list("properties", property).map_err(wrong)?,
    })
}

fn icon_of(fields: &Fields<'_>) -> Result<Icon, ReadError> {
    let text = |name| {
        fields.text(name).map_err(|source| ReadError::Type {
            what: "package",
            source,
        })
    };
    let data = match fields.is_there("base64data") {
        false => None,
        true => {
            let bytes = BASE64.decode(&*without_line_breaks(&text("base64data")?));
            Some(BASE64.encode(bytes.map_err(ReadError::Icon)?))
        }
    };
    Ok(Icon {
        base64data: data,
        mediatype: text("mediatype")?.into_owned(),
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
                has_empty_skips: fields.raw("skips").is_some_and(is_empty_list),
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

fn is_empty_list(value: &RawValue) -> bool {
    let inside = value.get().strip_prefix('[');
    inside.is_some_and(|rest| rest.trim_start() == "]")
}

fn property(value: &RawValue) -> Result<Property, WrongType> {
    let fields = Fields::of(value)?;
    Ok(Property {
        kind: fields.string("type")?,
        value: fields.raw("value").map(ToOwned::to_owned),
    })
}
