//! Reading a document with its places.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use libyaml_safer::{EventData, MappingStyle, SequenceStyle};

use super::scalar::{Kind, ScalarNode};
use super::{Content, Node, NodeId, YamlDocument};
use crate::json::MAX_DEPTH;
use crate::yaml::events::{Events, Prepared, Spanned};
use crate::yaml::fault::Fault;
use crate::yaml::{MAX_NODES, Weight, YamlError, YamlFault};

impl YamlDocument {
    /// Reads a text of one document at most.
    ///
    /// # Errors
    /// It is no YAML, has a second document, a key twice, or an alias for nothing; or a limit is passed.
    pub fn parse(text: &str) -> Result<Self, YamlError> {
        let prepared = Prepared::of(text)?;
        let mut reader = Reader {
            events: prepared.events(),
            document: Self {
                text: text.to_owned(),
                nodes: Vec::new(),
                root: None,
                has_aliases: false,
            },
            anchors: HashMap::new(),
            weights: Vec::new(),
            depth: 0,
        };
        match reader.read() {
            Ok(()) => Ok(reader.document),
            Err(fault) => Err(reader.events.locate(fault)),
        }
    }
}

struct Reader<'p> {
    events: Events<'p>,
    document: YamlDocument,
    anchors: HashMap<String, NodeId>,
    /// Of each node, how large it is with aliases written out.
    weights: Vec<Weight>,
    depth: usize,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), Fault> {
        loop {
            match self.events.next()?.data {
                EventData::StreamEnd => return Ok(()),
                EventData::DocumentStart { .. } => break,
                _ => {}
            }
        }
        let event = self.events.next()?;
        let root = self.node(event)?;
        self.document.root = Some(root);
        loop {
            match self.events.next()?.data {
                EventData::StreamEnd => return Ok(()),
                EventData::DocumentStart { .. } => return Err(YamlFault::SecondDocument.into()),
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Spanned) -> Result<NodeId, Fault> {
        let Spanned { data, at } = event;
        let (anchor, node, weight) = match data {
            EventData::Alias { anchor } => {
                let of = self.anchors.get(&anchor).copied();
                let of = of.ok_or(YamlFault::Alias(anchor))?;
                self.document.has_aliases = true;
                (None, Content::Alias(of), self.weight(of))
            }
            EventData::Scalar {
                anchor,
                tag,
                value,
                style,
                ..
            } => {
                let value = self.events.value(value, style);
                let weight = Weight {
                    nodes: 1,
                    text: value.len(),
                };
                let scalar = ScalarNode::read(value, style, tag);
                (anchor, Content::Scalar(scalar), weight)
            }
            EventData::SequenceStart { anchor, style, .. } => {
                let (content, weight, end) = self.nested(|reader| reader.sequence(style))?;
                return self.container(anchor, content, weight, at.start, end);
            }
            EventData::MappingStart { anchor, style, .. } => {
                let (content, weight, end) = self.nested(|reader| reader.mapping(style))?;
                return self.container(anchor, content, weight, at.start, end);
            }
            _ => return Err(YamlFault::Syntax("a value is expected here").into()),
        };
        let at = self.without_properties(at);
        let id = self.push(at, node, weight)?;
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, id);
        }
        Ok(id)
    }

    fn container(
        &mut self,
        anchor: Option<String>,
        content: Content,
        weight: Weight,
        start: usize,
        end: usize,
    ) -> Result<NodeId, Fault> {
        let at = self.without_properties(start..end);
        let id = self.push(at, content, weight)?;
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, id);
        }
        Ok(id)
    }

    fn push(
        &mut self,
        at: Range<usize>,
        content: Content,
        weight: Weight,
    ) -> Result<NodeId, Fault> {
        if self.document.nodes.len() >= MAX_NODES {
            return Err(YamlFault::Size.into());
        }
        self.weights.push(weight);
        Ok(self.document.push(Node {
            at: Some(at),
            is_new: false,
            content,
        }))
    }

    fn weight(&self, id: NodeId) -> Weight {
        self.weights.get(id.0).copied().unwrap_or_default()
    }

    /// The bytes of a value behind its anchor and tag.
    fn without_properties(&self, at: Range<usize>) -> Range<usize> {
        let mut start = at.start;
        let text = &self.document.text;
        while let Some(rest) = text.get(start..at.end)
            && rest.starts_with(['&', '!'])
        {
            let property = rest.find(|sign: char| sign.is_ascii_whitespace());
            start += property.unwrap_or(rest.len());
            start = after_blanks(text, start, at.end);
        }
        start..at.end
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth == MAX_DEPTH {
            return Err(YamlFault::Depth.into());
        }
        self.depth += 1;
        let read = read(self)?;
        self.depth -= 1;
        Ok(read)
    }

    /// The content, its weight, and its end.
    fn sequence(&mut self, style: SequenceStyle) -> Result<(Content, Weight, usize), Fault> {
        let is_flow = style == SequenceStyle::Flow;
        let (mut items, mut weight) = (Vec::new(), Weight { nodes: 1, text: 0 });
        loop {
            let event = self.events.next()?;
            if let EventData::SequenceEnd = event.data {
                let end = self.end(is_flow, &event.at, items.last().copied());
                return Ok((Content::Sequence { items, is_flow }, weight, end));
            }
            let item = self.node(event)?;
            weight.add(self.weight(item))?;
            items.push(item);
        }
    }

    fn mapping(&mut self, style: MappingStyle) -> Result<(Content, Weight, usize), Fault> {
        let is_flow = style == MappingStyle::Flow;
        let (mut members, mut weight) = (Vec::new(), Weight { nodes: 1, text: 0 });
        let mut keys = Keys::default();
        loop {
            let event = self.events.next()?;
            if let EventData::MappingEnd = event.data {
                let last = members.last().map(|(_, value): &(NodeId, NodeId)| *value);
                let end = self.end(is_flow, &event.at, last);
                return Ok((Content::Mapping { members, is_flow }, weight, end));
            }
            let key = self.node(event)?;
            if let Some(known) = keys.known(&self.document, &members, key) {
                return Err(YamlFault::SecondKey(known).into());
            }
            let event = self.events.next()?;
            let value = self.node(event)?;
            weight.add(self.weight(key))?;
            weight.add(self.weight(value))?;
            members.push((key, value));
        }
    }

    /// Where a list or mapping ends: with its bracket, or its last value.
    fn end(&self, is_flow: bool, end: &Range<usize>, last: Option<NodeId>) -> usize {
        let last = last.and_then(|last| self.document.node(last).at.as_ref());
        match (is_flow, last) {
            (false, Some(last)) => last.end,
            _ => end.end,
        }
    }
}

/// The keys of a mapping, by which one that it has twice is found. Most mappings have a few, which are just looked
/// through.
#[derive(Default)]
struct Keys {
    many: HashSet<(bool, String)>,
}

impl Keys {
    const FEW: usize = 12;

    /// The text of a key if the members have it. They come one after the other.
    fn known(
        &mut self,
        document: &YamlDocument,
        members: &[(NodeId, NodeId)],
        key: NodeId,
    ) -> Option<String> {
        let scalar = |id| match document.content(id) {
            Content::Scalar(scalar) => Some((scalar.kind == Kind::Text, &scalar.original)),
            _ => None,
        };
        let key = scalar(key)?;
        let mut known = members.iter().filter_map(|(known, _)| scalar(*known));
        let is_known = match members.len() {
            ..Self::FEW => known.any(|known| known == key),
            _ => {
                if self.many.is_empty() {
                    let known = known.map(|(is_text, text)| (is_text, text.clone()));
                    self.many.extend(known);
                }
                !self.many.insert((key.0, key.1.clone()))
            }
        };
        is_known.then(|| key.1.clone())
    }
}

/// Behind blanks, line breaks and comments.
fn after_blanks(text: &str, mut at: usize, end: usize) -> usize {
    while let Some(rest) = text.get(at..end) {
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        at += blanks;
        let rest = text.get(at..end).unwrap_or_default();
        match rest.starts_with('#') {
            true => at += rest.find('\n').unwrap_or(rest.len()),
            false if blanks == 0 => break,
            false => {}
        }
    }
    at
}
