//! YAML as the reference reads it: YAML 1.1 scalars, merge keys, keys turned into strings, and
//! the last of equal keys (spec index-database §3 "YAML to JSON").

use std::collections::{BTreeMap, HashMap};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, Tag};

use crate::json::{Json, MAX_DEPTH};

mod lenient;
mod scalar;

use scalar::Scalar;
pub(crate) use scalar::string_form;

/// How many values a document may have, aliases written out. The largest manifests seen have some
/// 60,000; each value takes up to a hundred bytes.
pub(crate) const MAX_NODES: usize = 500_000;
/// How many bytes of text a document may have, aliases written out.
pub(crate) const MAX_TEXT: usize = 64 << 20;

/// Why a text is not usable YAML.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum YamlError {
    /// Not YAML.
    #[error("not YAML")]
    Syntax(#[source] ScanError),
    /// A character YAML does not allow.
    #[error("character U+{:04X} is not allowed in YAML", *.0 as u32)]
    Character(char),
    /// A value that has no counterpart in JSON, or contradicts its tag.
    #[error("{0} cannot be turned into JSON")]
    Value(&'static str),
    /// An alias inside what it stands for, or for nothing.
    #[error("an alias stands for nothing")]
    Alias,
    /// Nested too deeply.
    #[error("nested more than {MAX_DEPTH} levels deep")]
    Depth,
    /// Too many values once aliases are written out.
    #[error("more than {MAX_NODES} values or {MAX_TEXT} bytes of text with aliases written out")]
    Size,
}

/// Reads the first document of a text; an empty one is null.
///
/// # Errors
/// When the reference could not read it either, or a limit is passed.
pub fn parse_yaml(text: &str) -> Result<Json, YamlError> {
    if let Some(found) = text.chars().find(|found| !allowed(*found)) {
        return Err(YamlError::Character(found));
    }
    lenient::read_leniently(&lenient::mark_separators(text), read)
}

fn read(text: &str) -> Result<Json, YamlError> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
        text: 0,
        depth: 0,
    };
    loop {
        match reader.next()? {
            Event::StreamEnd => return Ok(Json::Null),
            Event::DocumentStart(_) => {
                let event = reader.next()?;
                return reader.node(event).map(|node| node.value);
            }
            _ => {}
        }
    }
}

/// The characters YAML 1.1 allows, as far as a Rust string can hold others.
fn allowed(found: char) -> bool {
    match found {
        '\t' | '\n' | '\r' | '\u{85}' => true,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => false,
        _ => true,
    }
}

/// A node, and the weight it adds wherever an alias repeats it.
#[derive(Clone)]
struct Node {
    value: Json,
    nodes: usize,
    text: usize,
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    text: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Event<'a>, YamlError> {
        match self.parser.next_event() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => Err(YamlError::Syntax(error)),
            None => Ok(Event::StreamEnd),
        }
    }

    fn weigh(&mut self, nodes: usize, text: usize) -> Result<(), YamlError> {
        self.nodes += nodes;
        self.text += text;
        if self.nodes > MAX_NODES || self.text > MAX_TEXT {
            Err(YamlError::Size)
        } else {
            Ok(())
        }
    }

    fn node(&mut self, event: Event<'a>) -> Result<Node, YamlError> {
        let (nodes, text) = (self.nodes, self.text);
        let (value, anchor) = match event {
            Event::Alias(id) => {
                let node = self.anchors.get(&id).cloned().ok_or(YamlError::Alias)?;
                self.weigh(node.nodes, node.text)?;
                return Ok(node);
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.weigh(1, text.len())?;
                let plain = style == ScalarStyle::Plain;
                let quoted = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
                let text = lenient::restore_separators(&text, quoted);
                let value = scalar::resolve(&text, plain, tag.as_deref())?.into_json()?;
                (value, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                self.weigh(1, 0)?;
                (self.nested(Self::sequence)?, anchor)
            }
            Event::MappingStart(anchor, _) => {
                self.weigh(1, 0)?;
                (self.nested(Self::mapping)?, anchor)
            }
            _ => (Json::Null, 0),
        };
        let node = Node {
            value,
            nodes: self.nodes - nodes,
            text: self.text - text,
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn nested(
        &mut self,
        read: fn(&mut Self) -> Result<Json, YamlError>,
    ) -> Result<Json, YamlError> {
        if self.depth == MAX_DEPTH {
            return Err(YamlError::Depth);
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn sequence(&mut self) -> Result<Json, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(Json::Array(items)),
                event => items.push(self.node(event)?.value),
            }
        }
    }

    fn mapping(&mut self) -> Result<Json, YamlError> {
        let mut members = BTreeMap::new();
        loop {
            let key = match self.next()? {
                Event::MappingEnd => return Ok(Json::Object(members)),
                event => self.key(event)?,
            };
            let event = self.next()?;
            let value = self.node(event)?.value;
            match key {
                Some(key) => {
                    members.insert(key, value);
                }
                // What a merge brings replaces what stands before it, and is replaced by what
                // stands after it: the reference merges where it meets the key.
                None => merge(&mut members, value)?,
            }
        }
    }

    /// A key as a string; `None` for a merge.
    fn key(&mut self, event: Event<'a>) -> Result<Option<String>, YamlError> {
        if let Event::Scalar(text, style, anchor, tag) = &event {
            let plain = *style == ScalarStyle::Plain;
            if text == "<<" && (plain || is_core(tag.as_deref(), "merge")) {
                return Ok(None);
            }
            if *anchor == 0 {
                self.weigh(1, text.len())?;
                let text = lenient::restore_separators(text, !plain);
                return scalar::resolve(&text, plain, tag.as_deref())?
                    .into_key()
                    .map(Some);
            }
        }
        match self.node(event)?.value {
            Json::String(text) => Ok(Some(text)),
            Json::Bool(value) => Ok(Some(value.to_string())),
            Json::Number(number) => Scalar::Number(number).into_key().map(Some),
            Json::Null | Json::Array(_) | Json::Object(_) => {
                Err(YamlError::Value("a key that is no scalar"))
            }
        }
    }
}

fn merge(members: &mut BTreeMap<String, Json>, value: Json) -> Result<(), YamlError> {
    match value {
        Json::Object(merged) => {
            members.extend(merged);
            Ok(())
        }
        Json::Array(items) => {
            // Earlier mappings of a list take precedence.
            for item in items.into_iter().rev() {
                match item {
                    Json::Object(merged) => members.extend(merged),
                    _ => return Err(YamlError::Value("a merge of something that is no mapping")),
                }
            }
            Ok(())
        }
        _ => Err(YamlError::Value("a merge of something that is no mapping")),
    }
}

fn is_core(tag: Option<&Tag>, suffix: &str) -> bool {
    tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == suffix)
}

#[cfg(test)]
mod tests;
