//! Reading catalogs: streams of JSON or YAML documents (spec index-database §13), a document at a
//! time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;

use base64::Engine as _;
use iib_bundle::{Json, YamlFault, parse_yaml, yaml_text};
use memchr::{memchr, memchr_iter, memchr2};
use serde_json::value::RawValue;

use crate::anew::MAX_DEPTH;
use crate::base64::{BASE64, without_line_breaks};
use crate::blob::{
    Catalog, CatalogBundle, CatalogPackage, Channel, ChannelEntry, Icon, Other, OwnedBlob,
    Property, RelatedImage,
};
use crate::deprecations::deprecation_entries;
use crate::fields::{Fields, WrongType, kind_of, text};
use crate::rules::Rules;

/// Why a catalog cannot be read, and where.
#[derive(Debug, thiserror::Error)]
#[error("{}{fault}", shown(*.line))]
pub struct ReadError {
    /// The line of the file, from 1; `None` where there is none to tell.
    pub line: Option<usize>,
    /// What is wrong there; part of the message, so not a source.
    pub fault: ReadFault,
}

fn shown(line: Option<usize>) -> String {
    line.map(|line| format!("line {line}: "))
        .unwrap_or_default()
}

/// What is wrong with a catalog that cannot be read. The texts begin as the reference's do, as far
/// as users meet them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadFault {
    /// Its bytes do not come.
    #[error("it cannot be read: {0}")]
    Io(std::io::Error),
    /// It ends inside a document.
    #[error("unexpected EOF: the JSON text ends inside a document")]
    Cut,
    /// It is not JSON.
    #[error("the JSON text is broken: {}", without_place(.0))]
    Json(serde_json::Error),
    /// It is not YAML.
    #[error("error converting YAML to JSON: yaml: {0}")]
    Yaml(YamlFault),
    /// A value in it is nested too deeply.
    #[error("exceeded max depth: a value is nested more than {MAX_DEPTH} levels deep")]
    Depth,
    /// A document has nothing in it.
    #[error("unmarshal error: unexpected end of JSON input: a document of the YAML text is empty")]
    Empty,
    /// A line that begins as a separator of documents does.
    #[error("invalid Yaml document separator: {0}")]
    Separator(String),
    /// A document is not an object.
    #[error(
        "json: cannot unmarshal: a document of the file is no object: leave files that are no catalog out with an .indexignore file"
    )]
    NoObject,
    /// Members of an object whose names are equal but for case.
    #[error("duplicate keys for key {key:?}: [{}]", .names.join(" "))]
    Keys {
        /// What they are equal to.
        key: String,
        /// As they are written, sorted.
        names: Vec<String>,
    },
    /// A member that says what an object is, and is no text.
    #[error("expected value for key {key:?} to be a string, got {found}")]
    NoText {
        /// The member.
        key: String,
        /// What stands there.
        found: &'static str,
    },
    /// An object does not say what it is.
    #[error("object '{0}' is missing root schema field")]
    NoSchema(String),
    /// The image of an icon is not in base64.
    #[error("parse package: illegal base64 data: {0}")]
    Icon(base64::DecodeError),
    /// A member of an object has the wrong type.
    #[error("parse {what}: {fault}")]
    Type {
        /// What the object is.
        what: &'static str,
        /// What is wrong; part of the message, so not a source.
        fault: WrongType,
    },
}

impl ReadFault {
    fn at(self, line: usize) -> ReadError {
        ReadError {
            line: Some(line),
            fault: self,
        }
    }
}

/// What is wrong with a text that is no JSON, without the line within its document.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    text.get(..end).unwrap_or_default().to_owned()
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

/// The documents of a catalog file, one after the other, by the rules of version 1.26.4 unless others
/// are given ([`Documents::by`]). Of a stream of JSON no more is in memory
/// than a document or `CHUNK`; YAML is read as a whole.
#[derive(Debug)]
pub struct Documents<R> {
    reader: R,
    /// What was read and not yet given out begins at `start`.
    bytes: Vec<u8>,
    start: usize,
    /// Where in the file the bytes begin.
    offset: u64,
    /// How many lines end before that.
    lines: usize,
    /// Where in the bytes U+FFFD stands for a byte of the file that is no text, in order.
    replaced: Vec<usize>,
    /// There is no more to read.
    ended: bool,
    /// `None` until it was looked at.
    form: Option<Form>,
    rules: Rules,
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
            lines: 0,
            replaced: Vec::new(),
            ended: false,
            form: None,
            rules: Rules::Opm126,
            failed: false,
        }
    }

    /// The same, read by these rules: what they ask of each object by itself.
    #[must_use]
    pub fn by(self, rules: Rules) -> Self {
        Self { rules, ..self }
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
        let start = part.start;
        let blob = from_yaml(self.bytes.get(part).unwrap_or_default(), self.rules);
        let blob = blob.map_err(|(line, fault)| fault.at(self.lines_before(start) + line))?;
        Ok(Some(Document { at, form, blob }))
    }

    /// Where a part of the bytes is in the file.
    fn range(&self, part: &Range<usize>) -> Range<u64> {
        self.place(part.start)..self.place(part.end)
    }

    fn place(&self, at: usize) -> u64 {
        let replaced = self.replaced.partition_point(|place| *place < at);
        self.offset + (at - replaced * ADDED) as u64
    }

    /// How many lines of the file end before a place in the bytes.
    fn lines_before(&self, at: usize) -> usize {
        self.lines + lines(self.bytes.get(..at).unwrap_or_default())
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
        let start = self.start;
        (self.offset, self.lines) = (self.place(start), self.lines_before(start));
        self.replaced.retain(|place| *place >= start);
        self.replaced.iter_mut().for_each(|place| *place -= start);
        self.bytes.drain(..start);
        self.start = 0;
        let wanted = self.bytes.len().max(CHUNK);
        let more = self.reader.by_ref().take(wanted as u64);
        let count = { more }.read_to_end(&mut self.bytes);
        let count = count.map_err(|error| ReadError {
            line: None,
            fault: ReadFault::Io(error),
        })?;
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
            let begin = self.start + space;
            match documents.next() {
                Some(Ok(fields)) => {
                    let end = documents.byte_offset();
                    let text = rest.get(..end).unwrap_or_default();
                    if nesting(text) > MAX_DEPTH {
                        return Err(ReadFault::Depth.at(1 + self.lines_before(begin)));
                    }
                    let blob = from_json(&fields, text, self.rules);
                    let blob = blob.map_err(|fault| fault.at(1 + self.lines_before(begin)))?;
                    let part = begin..begin + end;
                    self.start = part.end;
                    let at = self.range(&part);
                    let form = Form::Json;
                    return Ok(Some(Document { at, form, blob }));
                }
                Some(Err(error)) if error.is_eof() && self.ended => {
                    let last = lines(rest.trim_ascii_end());
                    return Err(ReadFault::Cut.at(1 + self.lines_before(begin) + last));
                }
                Some(Err(error)) if error.is_data() => {
                    return Err(ReadFault::NoObject.at(1 + self.lines_before(begin)));
                }
                Some(Err(error)) if !error.is_eof() => {
                    let line = error.line() + self.lines_before(begin);
                    if !self.forgive() {
                        return Err(ReadFault::Json(error).at(line));
                    }
                }
                _ => self.fill()?,
            }
        }
    }

    /// Puts U+FFFD for each byte that is no text; so the reference reads JSON. Whether there were
    /// any.
    fn forgive(&mut self) -> bool {
        let rest = self.bytes.get(self.start..).unwrap_or_default();
        let mut text = Vec::with_capacity(rest.len());
        let mut places = Vec::new();
        let mut chunks = rest.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.extend_from_slice(chunk.valid().as_bytes());
            // A character may be cut by the end of what was read.
            let is_cut = chunks.peek().is_none() && !self.ended && is_begun(chunk.invalid());
            if is_cut {
                text.extend_from_slice(chunk.invalid());
                break;
            }
            for _ in chunk.invalid() {
                places.push(self.start + text.len());
                text.extend_from_slice(REPLACEMENT);
            }
        }
        if places.is_empty() {
            return false;
        }
        self.bytes.truncate(self.start);
        self.bytes.append(&mut text);
        // What an earlier round went over is text now, so these are behind its places.
        self.replaced.append(&mut places);
        true
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
                    let line = 1 + self.lines_before(at);
                    return Err(ReadFault::Separator(after).at(line));
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

/// How many lines end in a text.
fn lines(text: &[u8]) -> usize {
    memchr_iter(b'\n', text).count()
}

/// How deep the values of a JSON text are nested.
fn nesting(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => rest = behind_string(rest),
            _ => {}
        }
    }
    deepest
}

/// What follows a string, of which this begins inside.
fn behind_string(mut rest: &[u8]) -> &[u8] {
    while let Some(at) = memchr2(b'"', b'\\', rest) {
        let ends = rest.get(at) == Some(&b'"');
        rest = rest
            .get(at + if ends { 1 } else { 2 }..)
            .unwrap_or_default();
        if ends {
            return rest;
        }
    }
    b""
}

/// What stands for a byte that is no text.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();
/// How much longer that is, in bytes.
const ADDED: usize = REPLACEMENT.len() - 1;

/// Whether bytes are no character yet, but may become one.
fn is_begun(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// The object of a document, or what is wrong and in which line of the document.
fn from_yaml(document: &[u8], rules: Rules) -> Result<OwnedBlob, (usize, ReadFault)> {
    let value = yaml_text(document).and_then(parse_yaml);
    let value = value.map_err(|error| (error.line, ReadFault::Yaml(error.fault)))?;
    from_value(&value, rules).map_err(|fault| (first_line(document), fault))
}

fn from_value(value: &Json, rules: Rules) -> Result<OwnedBlob, ReadFault> {
    if *value == Json::Null {
        return Err(ReadFault::Empty);
    }
    let text = value.to_text();
    if !text.starts_with('{') {
        return Err(ReadFault::NoObject);
    }
    let text = without_html_escapes(text.as_bytes());
    let fields: Fields<'_> = serde_json::from_slice(&text).map_err(ReadFault::Json)?;
    blob(&fields, &text, rules)
}

/// The line in which something stands, from 1; separators and comments are nothing.
fn first_line(document: &[u8]) -> usize {
    let is_nothing = |line: &&[u8]| {
        let line = line.trim_ascii();
        line.is_empty() || line.starts_with(b"#") || line.starts_with(b"---")
    };
    let nothing = { document.split(|byte| *byte == b'\n') }.take_while(is_nothing);
    (1 + nothing.count()).min(lines(document).max(1))
}

fn from_json(fields: &Fields<'_>, text: &[u8], rules: Rules) -> Result<OwnedBlob, ReadFault> {
    match without_html_escapes(text) {
        Cow::Borrowed(text) => blob(fields, text, rules),
        Cow::Owned(text) => {
            let fields = serde_json::from_slice(&text);
            blob(&fields.map_err(ReadFault::Json)?, &text, rules)
        }
    }
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

fn blob(fields: &Fields<'_>, text: &[u8], rules: Rules) -> Result<OwnedBlob, ReadFault> {
    let wrong = |what| move |fault| ReadFault::Type { what, fault };
    if rules.are_newest() {
        check_names(fields)?;
    }
    let schema = fields.text("schema").map_err(wrong("object"))?;
    Ok(match &*schema {
        "" => {
            let text = String::from_utf8_lossy(text).into_owned();
            return Err(ReadFault::NoSchema(text));
        }
        "olm.package" => OwnedBlob::Package(package(fields)?),
        "olm.channel" => OwnedBlob::Channel(channel(fields).map_err(wrong("channel"))?),
        "olm.bundle" => OwnedBlob::Bundle(bundle(fields).map_err(wrong("bundle"))?),
        _ => OwnedBlob::Other(other(fields, schema.into_owned(), text, rules)?),
    })
}

/// Kept unread, but for deprecations by the newest rules; what is no name names nothing.
fn other(
    fields: &Fields<'_>,
    schema: String,
    text: &[u8],
    rules: Rules,
) -> Result<Other, ReadFault> {
    let other = Other {
        package: fields.string("package").unwrap_or_default(),
        name: fields.string("name").unwrap_or_default(),
        schema,
        blob: serde_json::from_slice(text).map_err(ReadFault::Json)?,
    };
    if rules.are_newest() && other.is_deprecations() {
        let read = deprecation_entries(&other.blob);
        read.map_err(|fault| ReadFault::Type {
            what: "deprecation",
            fault,
        })?;
    }
    Ok(other)
}

/// Members have one name each, whatever its case, and those that tell objects apart are texts
/// (newest-opm §4 "Load").
fn check_names(fields: &Fields<'_>) -> Result<(), ReadFault> {
    let mut by_key: BTreeMap<String, BTreeMap<&str, &RawValue>> = BTreeMap::new();
    for (name, value) in fields.members() {
        let key = name.to_uppercase().to_lowercase();
        by_key.entry(key).or_default().insert(name, value);
    }
    for (key, members) in &by_key {
        if members.len() > 1 {
            return Err(ReadFault::Keys {
                key: key.clone(),
                names: members.keys().map(ToString::to_string).collect(),
            });
        }
    }
    for key in ["schema", "package", "name"] {
        for (name, value) in by_key.get(key).into_iter().flatten() {
            if !value.get().starts_with('"') {
                return Err(ReadFault::NoText {
                    key: (*name).to_owned(),
                    found: kind_of(value),
                });
            }
        }
    }
    Ok(())
}

fn package(fields: &Fields<'_>) -> Result<CatalogPackage, ReadFault> {
    let wrong = |fault| ReadFault::Type {
        what: "package",
        fault,
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

fn icon_of(fields: &Fields<'_>) -> Result<Icon, ReadFault> {
    let text = |name| {
        fields.text(name).map_err(|fault| ReadFault::Type {
            what: "package",
            fault,
        })
    };
    let data = match fields.is_there("base64data") {
        false => None,
        true => {
            let bytes = BASE64.decode(&*without_line_breaks(&text("base64data")?));
            Some(BASE64.encode(bytes.map_err(ReadFault::Icon)?))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_may_be_nested_as_deeply_as_everything_else() {
        let text = |depth: usize| {
            // The object itself is a level, and what is in strings is none.
            let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
            format!(r#"{{"schema": "my.own", "s": "[[\"[[\\", "v": {open}{close}}}"#)
        };
        let read = |depth| read_text(&text(depth), &mut Catalog::default());
        read(MAX_DEPTH).unwrap();
        let refused = read(MAX_DEPTH + 1).unwrap_err();
        assert!(matches!(refused.fault, ReadFault::Depth), "{refused}");
        assert_eq!(refused.line, Some(1));
        read(100_000).unwrap_err();
    }
}
