//! YAML as the reference reads it: YAML 1.1 scalars, merge keys, keys turned into strings, and
//! the last of equal keys (spec index-database §3 "YAML to JSON").

use std::collections::{BTreeMap, HashMap};

use libyaml_safer::{EventData, ScalarStyle};

use crate::json::{Json, MAX_DEPTH};

mod document;
mod events;
mod fault;
mod marks;
mod scalar;

pub use document::{NewValue, NodeId, Rewritten, YamlDocument, YamlValue};
use events::{Events, Prepared};
use fault::Fault;
pub use fault::{YamlError, YamlFault};
use scalar::Scalar;
pub(crate) use scalar::string_form;

/// How many values a document may have, aliases written out. The largest manifests seen have some
/// 60,000; each value takes up to a hundred bytes.
pub(crate) const MAX_NODES: usize = 500_000;
/// How many bytes of text a document may have, aliases written out.
pub(crate) const MAX_TEXT: usize = 64 << 20;

/// A file's bytes as a text.
///
/// # Errors
/// They are not UTF-8.
pub fn yaml_text(bytes: &[u8]) -> Result<&str, YamlError> {
    str::from_utf8(bytes).map_err(|error| {
        let (good, rest) = bytes.split_at(error.valid_up_to());
        let byte = rest.first().copied().unwrap_or_default();
        YamlFault::Encoding(byte).at(1 + lines(good))
    })
}

/// Reads the first document of a text; an empty one is null. U+FEFF at its beginning is a mark.
///
/// # Errors
/// When the reference could not read it either, or a limit is passed.
pub fn parse_yaml(text: &str) -> Result<Json, YamlError> {
    let prepared = Prepared::of(text)?;
    let mut reader = Reader {
        events: prepared.events(),
        anchors: HashMap::new(),
        weight: Weight::default(),
        held: Weight::default(),
        depth: 0,
    };
    let read = reader.first_document();
    read.map_err(|fault| reader.events.locate(fault))
}

/// How many line breaks there are.
fn lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// A node, and the weight it adds wherever it is repeated.
#[derive(Clone)]
struct Node {
    value: Json,
    weight: Weight,
}

/// How large a part of a document is.
#[derive(Clone, Copy, Default)]
struct Weight {
    nodes: usize,
    text: usize,
}

impl Weight {
    fn add(&mut self, more: Self) -> Result<(), Fault> {
        self.nodes += more.nodes;
        self.text += more.text;
        if self.nodes > MAX_NODES || self.text > MAX_TEXT {
            Err(YamlFault::Size.into())
        } else {
            Ok(())
        }
    }

    /// What came since it was that small.
    fn since(self, before: Self) -> Self {
        Self {
            nodes: self.nodes - before.nodes,
            text: self.text - before.text,
        }
    }
}

struct Reader<'a> {
    events: Events<'a>,
    anchors: HashMap<String, Node>,
    /// The document, aliases written out.
    weight: Weight,
    /// What stands by for aliases: an anchor within an anchor keeps its part twice.
    held: Weight,
    depth: usize,
}

impl Reader<'_> {
    fn first_document(&mut self) -> Result<Json, Fault> {
        loop {
            match self.next()? {
                EventData::StreamEnd => return Ok(Json::Null),
                EventData::DocumentStart { .. } => break,
                _ => {}
            }
        }
        let event = self.next()?;
        let node = self.node(event)?;
        // Something may stand behind it that is none of the next document.
        self.next()?;
        Ok(node.value)
    }

    fn next(&mut self) -> Result<EventData, Fault> {
        Ok(self.events.next()?.data)
    }

    fn node(&mut self, event: EventData) -> Result<Node, Fault> {
        let before = self.weight;
        let (value, anchor) = match event {
            EventData::Alias { anchor } => {
                let node = self.anchors.get(&anchor);
                let node = node.ok_or(YamlFault::Alias(anchor))?;
                self.weight.add(node.weight)?;
                return Ok(node.clone());
            }
            EventData::Scalar {
                anchor,
                tag,
                value,
                style,
                ..
            } => {
                let scalar = self.scalar(value, style, tag.as_deref())?;
                (scalar.into_json()?, anchor)
            }
            EventData::SequenceStart { anchor, .. } => {
                self.weight.add(Weight { nodes: 1, text: 0 })?;
                (self.nested(Self::sequence)?, anchor)
            }
            EventData::MappingStart { anchor, .. } => {
                self.weight.add(Weight { nodes: 1, text: 0 })?;
                (self.nested(Self::mapping)?, anchor)
            }
            _ => (Json::Null, None),
        };
        let node = Node {
            value,
            weight: self.weight.since(before),
        };
        if let Some(anchor) = anchor {
            self.held.add(node.weight)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn scalar(
        &mut self,
        text: String,
        style: ScalarStyle,
        tag: Option<&str>,
    ) -> Result<Scalar, Fault> {
        self.weight.add(Weight {
            nodes: 1,
            text: text.len(),
        })?;
        let text = self.events.value(text, style);
        Ok(scalar::resolve(text, style == ScalarStyle::Plain, tag)?)
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Json, Fault>) -> Result<Json, Fault> {
        if self.depth == MAX_DEPTH {
            return Err(YamlFault::Depth.into());
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn sequence(&mut self) -> Result<Json, Fault> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                EventData::SequenceEnd => return Ok(Json::Array(items)),
                event => items.push(self.node(event)?.value),
            }
        }
    }

    fn mapping(&mut self) -> Result<Json, Fault> {
        let mut members = BTreeMap::new();
        loop {
            let key = match self.next()? {
                EventData::MappingEnd => return Ok(Json::Object(members)),
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
    fn key(&mut self, event: EventData) -> Result<Option<String>, Fault> {
        let event = match event {
            EventData::Scalar {
                tag, value, style, ..
            } if value == "<<"
                && (style == ScalarStyle::Plain
                    || tag.as_deref().and_then(core_type) == Some("merge")) =>
            {
                return Ok(None);
            }
            EventData::Scalar {
                anchor: None,
                tag,
                value,
                style,
                ..
            } => {
                let scalar = self.scalar(value, style, tag.as_deref())?;
                return Ok(Some(scalar.into_key()?));
            }
            other => other,
        };
        match self.node(event)?.value {
            Json::String(text) => Ok(Some(text)),
            Json::Bool(value) => Ok(Some(value.to_string())),
            Json::Number(number) => Ok(Some(Scalar::Number(number).into_key()?)),
            Json::Null | Json::Array(_) | Json::Object(_) => {
                Err(YamlFault::Value("a key that is no scalar").into())
            }
        }
    }
}

fn merge(members: &mut BTreeMap<String, Json>, value: Json) -> Result<(), Fault> {
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
                    _ => {
                        return Err(
                            YamlFault::Value("a merge of something that is no mapping").into()
                        );
                    }
                }
            }
            Ok(())
        }
        _ => Err(YamlFault::Value("a merge of something that is no mapping").into()),
    }
}

/// What a tag of YAML itself says.
fn core_type(tag: &str) -> Option<&str> {
    tag.strip_prefix("tag:yaml.org,2002:")
}

#[cfg(test)]
mod tests;
