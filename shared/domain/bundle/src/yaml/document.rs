//! A YAML document that is changed in its text: what is not changed keeps its bytes.
//!
//! Typed as YAML 1.2 types values (regenerate-bundle §2), and stricter than what is read for an index: a file
//! is one document, and no mapping has a key twice.

use std::borrow::Cow;
use std::ops::Range;

mod read;
mod said;
mod scalar;
mod write;

use scalar::{Kind, ScalarNode};

/// A node of a document, by its number in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(usize);

/// A document with what is to be changed in it.
#[derive(Debug, Clone)]
pub struct YamlDocument {
    text: String,
    /// By their ids.
    nodes: Vec<Node>,
    /// None for a text without a document.
    root: Option<NodeId>,
    has_aliases: bool,
}

/// What a document holds, without changes and styles.
#[derive(Debug, Clone)]
struct Node {
    /// Its bytes in the text, without anchor and tag; none for what is new.
    at: Option<Range<usize>>,
    /// Whether it takes the place of what the text has there.
    is_new: bool,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Scalar(ScalarNode),
    Sequence {
        items: Vec<NodeId>,
        is_flow: bool,
    },
    Mapping {
        members: Vec<(NodeId, NodeId)>,
        is_flow: bool,
    },
    /// What it stands for.
    Alias(NodeId),
}

/// A value to put into a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewValue {
    /// A string.
    Text(String),
    /// A mapping, in this order.
    Mapping(Vec<(String, NewValue)>),
    /// A list.
    List(Vec<NewValue>),
}

/// A value of a document, as far as one asks what it is.
#[derive(Debug, Clone, PartialEq)]
pub enum YamlValue<'d> {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number; whether it is zero.
    Number {
        /// Zero.
        is_zero: bool,
    },
    /// A time, a tagged value, and what else is no string.
    Other,
    /// A string.
    Text(Cow<'d, str>),
    /// A list.
    List,
    /// A mapping.
    Mapping,
}

/// A text with its changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// The whole text.
    pub text: String,
    /// Lines of the text before, from 1, where a value could not be changed in its place and was
    /// written anew.
    pub anew: Vec<usize>,
    /// Whether the text says what the document does. It was read again for that.
    pub is_faithful: bool,
}

impl YamlDocument {
    /// The value that the document is; none if the text has no document.
    pub fn root(&self) -> Option<NodeId> {
        self.root
    }

    /// What a value is; that of an alias is what it stands for.
    pub fn value(&self, id: NodeId) -> YamlValue<'_> {
        match self.content(id) {
            Content::Scalar(scalar) => match scalar.kind {
                Kind::Null => YamlValue::Null,
                Kind::Bool(value) => YamlValue::Bool(value),
                Kind::Number { is_zero } => YamlValue::Number { is_zero },
                Kind::Other => YamlValue::Other,
                Kind::Text => YamlValue::Text(scalar.text()),
            },
            Content::Sequence { .. } => YamlValue::List,
            Content::Mapping { .. } => YamlValue::Mapping,
            Content::Alias(_) => YamlValue::Other,
        }
    }

    /// A string, as it is now.
    pub fn text(&self, id: NodeId) -> Option<Cow<'_, str>> {
        match self.value(id) {
            YamlValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The line of a value in the text, from 1; none for what is new.
    pub fn line(&self, id: NodeId) -> Option<usize> {
        let at = self.node(id).at.as_ref()?;
        Some(self.line_at(at.start))
    }

    /// The items of a list; none of another value.
    pub fn items(&self, id: NodeId) -> &[NodeId] {
        match self.content(id) {
            Content::Sequence { items, .. } => items,
            _ => &[],
        }
    }

    /// The members of a mapping whose keys are strings, its own first, then those that it merges and does not
    /// have itself; none of another value.
    pub fn members(&self, id: NodeId) -> Vec<(Cow<'_, str>, NodeId)> {
        let mut found: Vec<(Cow<'_, str>, NodeId)> = Vec::new();
        self.collect_members(id, &mut found);
        found
    }

    /// A member of a mapping by its name.
    pub fn get(&self, id: NodeId, name: &str) -> Option<NodeId> {
        let members = self.own_members(id);
        let own = members.iter().find(|(key, _)| self.is_key(*key, name));
        match own {
            Some((_, value)) => Some(*value),
            None => {
                let merged = self.merged(id).into_iter();
                merged.filter_map(|merged| self.get(merged, name)).next()
            }
        }
    }

    /// A member of a member, and so on.
    pub fn at(&self, id: NodeId, path: &[&str]) -> Option<NodeId> {
        path.iter().try_fold(id, |id, name| self.get(id, name))
    }

    /// The value that is shared by all aliases for it, and by its anchor.
    pub fn shared(&self, id: NodeId) -> NodeId {
        match &self.node(id).content {
            Content::Alias(of) => self.shared(*of),
            _ => id,
        }
    }

    /// Whether some value stands in several places.
    pub fn has_aliases(&self) -> bool {
        self.has_aliases
    }

    /// Whether an alias stands where a mapping has a key.
    pub fn has_alias_keys(&self) -> bool {
        let mappings = self.nodes.iter().filter_map(|node| match &node.content {
            Content::Mapping { members, .. } => Some(members),
            _ => None,
        });
        let mut keys = mappings.flatten().map(|(key, _)| &self.node(*key).content);
        keys.any(|key| matches!(key, Content::Alias(_)))
    }

    /// Whether a text has the values that this document has now, in their order.
    pub fn is_said_by(&self, text: &str) -> bool {
        match (self.root, Self::parse(text)) {
            (Some(root), Ok(read)) => {
                let same = read.root.map(|other| self.is_same(root, &read, other));
                same.unwrap_or_default()
            }
            (None, Ok(read)) => read.root.is_none(),
            (_, Err(_)) => false,
        }
    }

    fn is_same(&self, id: NodeId, other: &Self, other_id: NodeId) -> bool {
        match (self.content(id), other.content(other_id)) {
            (Content::Scalar(one), Content::Scalar(two)) => one.is_same(two),
            (Content::Sequence { items: one, .. }, Content::Sequence { items: two, .. }) => {
                let mut both = one.iter().zip(two);
                one.len() == two.len() && both.all(|(one, two)| self.is_same(*one, other, *two))
            }
            (Content::Mapping { members: one, .. }, Content::Mapping { members: two, .. }) => {
                let mut both = one.iter().zip(two);
                one.len() == two.len()
                    && both.all(|((key, value), (other_key, other_value))| {
                        self.is_same(*key, other, *other_key)
                            && self.is_same(*value, other, *other_value)
                    })
            }
            _ => false,
        }
    }

    /// Gives a string, or any other scalar, another text; in all places where it is.
    pub fn set_text(&mut self, id: NodeId, text: &str) {
        let id = self.shared(id);
        if let Some(Node {
            content: Content::Scalar(scalar),
            ..
        }) = self.nodes.get_mut(id.0)
        {
            scalar.set(text);
        }
    }

    /// Replaces a part of a string, given by its bytes in the string as it is now; in all places where it is.
    pub fn set_part(&mut self, id: NodeId, part: Range<usize>, text: &str) {
        let id = self.shared(id);
        if let Some(Node {
            content: Content::Scalar(scalar),
            ..
        }) = self.nodes.get_mut(id.0)
        {
            scalar.set_part(part, text);
        }
    }

    /// Gives a mapping a member, in the place of the one that has the name or else at its end. Nothing happens to
    /// what is no mapping.
    pub fn set_member(&mut self, id: NodeId, name: &str, value: &NewValue) {
        let id = self.shared(id);
        let own = self.own_members(id);
        let own = own.iter().position(|(key, _)| self.is_key(*key, name));
        let old = own
            .and_then(|at| self.own_members(id).get(at))
            .map(|(_, old)| *old);
        if let (Some(old), NewValue::Text(text)) = (old, value)
            && !self.has_aliases
            && matches!(self.node(old).content, Content::Scalar(_))
        {
            // It keeps its style.
            self.set_text(old, text);
            return;
        }
        let new = self.add(value);
        match own {
            Some(at) => {
                let old = old.and_then(|old| self.nodes.get(old.0)).cloned();
                if let (Some(old), Some(node)) = (old, self.nodes.get_mut(new.0)) {
                    node.at = old.at;
                }
                if let Some(member) = self.members_mut(id).and_then(|members| members.get_mut(at)) {
                    member.1 = new;
                }
            }
            None => {
                let key = self.push_new(Content::Scalar(ScalarNode::new(name)));
                if let Some(members) = self.members_mut(id) {
                    members.push((key, new));
                }
            }
        }
    }

    /// Puts copies of what they stand for in the places of all aliases: from then on, each place has a value of its
    /// own.
    pub fn write_out_aliases(&mut self) {
        for index in 0..self.nodes.len() {
            let alias = match self.nodes.get(index) {
                Some(Node {
                    content: Content::Alias(of),
                    ..
                }) => *of,
                _ => continue,
            };
            let copy = self.copy(alias);
            let content = self.nodes.get(copy.0).map(|node| node.content.clone());
            if let (Some(content), Some(node)) = (content, self.nodes.get_mut(index)) {
                node.content = content;
                node.is_new = true;
            }
        }
        self.has_aliases = false;
    }

    fn copy(&mut self, id: NodeId) -> NodeId {
        let id = self.shared(id);
        let content = match self.node(id).content.clone() {
            Content::Sequence { items, .. } => Content::Sequence {
                items: items.into_iter().map(|item| self.copy(item)).collect(),
                is_flow: true,
            },
            Content::Mapping { members, .. } => {
                let members = members.into_iter();
                let members = members.map(|(key, value)| (self.copy(key), self.copy(value)));
                Content::Mapping {
                    members: members.collect(),
                    is_flow: true,
                }
            }
            scalar => scalar,
        };
        self.push_new(content)
    }

    fn add(&mut self, value: &NewValue) -> NodeId {
        let content = match value {
            NewValue::Text(text) => Content::Scalar(ScalarNode::new(text)),
            NewValue::List(items) => Content::Sequence {
                items: items.iter().map(|item| self.add(item)).collect(),
                is_flow: false,
            },
            NewValue::Mapping(members) => {
                let mut added = Vec::new();
                for (name, value) in members {
                    let key = self.push_new(Content::Scalar(ScalarNode::new(name)));
                    added.push((key, self.add(value)));
                }
                Content::Mapping {
                    members: added,
                    is_flow: false,
                }
            }
        };
        self.push_new(content)
    }

    fn push_new(&mut self, content: Content) -> NodeId {
        self.push(Node {
            at: None,
            is_new: true,
            content,
        })
    }

    fn push(&mut self, node: Node) -> NodeId {
        let id = NodeId(self.nodes.len());
        self.nodes.push(node);
        id
    }

    #[expect(clippy::indexing_slicing, reason = "ids come from this document alone")]
    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// What is there, or what the alias there stands for.
    fn content(&self, id: NodeId) -> &Content {
        &self.node(self.shared(id)).content
    }

    fn own_members(&self, id: NodeId) -> &[(NodeId, NodeId)] {
        match self.content(id) {
            Content::Mapping { members, .. } => members,
            _ => &[],
        }
    }

    fn members_mut(&mut self, id: NodeId) -> Option<&mut Vec<(NodeId, NodeId)>> {
        match &mut self.nodes.get_mut(id.0)?.content {
            Content::Mapping { members, .. } => Some(members),
            _ => None,
        }
    }

    fn is_key(&self, key: NodeId, name: &str) -> bool {
        self.text(key).is_some_and(|key| key == name)
    }

    /// What a mapping merges (`<<`), in the order that counts.
    fn merged(&self, id: NodeId) -> Vec<NodeId> {
        let members = self.own_members(id).iter();
        let merges = members.filter(|(key, _)| self.is_merge(*key));
        let merges = merges.flat_map(|(_, value)| match self.value(*value) {
            YamlValue::List => self.items(*value).to_vec(),
            _ => vec![*value],
        });
        merges.collect()
    }

    fn is_merge(&self, key: NodeId) -> bool {
        matches!(self.content(key), Content::Scalar(scalar) if scalar.is_merge())
    }

    fn collect_members<'d>(&'d self, id: NodeId, found: &mut Vec<(Cow<'d, str>, NodeId)>) {
        // No mapping has a key twice itself.
        let others = found.len();
        for (key, value) in self.own_members(id) {
            if let Some(name) = self.text(*key)
                && !self.is_merge(*key)
                && !found.iter().take(others).any(|(known, _)| *known == name)
            {
                found.push((name, *value));
            }
        }
        for merged in self.merged(id) {
            self.collect_members(merged, found);
        }
    }

    fn line_at(&self, at: usize) -> usize {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        1 + super::lines(before)
    }
}

#[cfg(test)]
mod tests;
