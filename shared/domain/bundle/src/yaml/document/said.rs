//! Whether a text with changes says what its document does, seen from what was changed.
//!
//! Each entry of a list or mapping in block style begins in a line of its own, in one column, and ends where the next
//! one begins; so by itself, in that column, it says what it says among the others. Of a text with changes only the
//! innermost entries that have some are read again, with what was put behind them.

use std::ops::Range;

use super::scalar::Now;
use super::write::{Splice, spliced};
use super::{Content, Node, NodeId, YamlDocument};
use crate::yaml::{MAX_NODES, MAX_TEXT};

impl YamlDocument {
    /// Whether the text with these changes, from first to last, surely says what the document does. Where that is not
    /// sure, all of it has to be read.
    pub(super) fn is_surely_said(&self, splices: &[Splice]) -> bool {
        // What a tag means may be said at the beginning; and a limit is one of the whole.
        let has_directives = self.text.starts_with('%') || self.text.contains("\n%");
        let is_large = self.nodes.len() > MAX_NODES / 2 || self.text.len() > MAX_TEXT / 2;
        let is_simple = !self.has_aliases && !has_directives && !is_large;
        let Some(root) = self.root.filter(|_| is_simple) else {
            return false;
        };
        let mut entries = Entries {
            document: self,
            read: Vec::new(),
        };
        entries.are_said(root, self.text.len(), splices) && entries.have_all_changes()
    }
}

struct Entries<'d> {
    document: &'d YamlDocument,
    /// Stretches of the text that were read again with their changes, from first to last.
    read: Vec<Range<usize>>,
}

/// A list or mapping in block style.
struct Block<'d> {
    entries: Vec<Entry>,
    column: usize,
    /// Members that the text does not have yet.
    added: &'d [(NodeId, NodeId)],
}

/// An item of a list, or a member of a mapping.
struct Entry {
    /// Where its dash or key is.
    start: usize,
    /// None for an item.
    key: Option<NodeId>,
    value: NodeId,
}

impl<'d> Entries<'d> {
    /// Whether those of a list or mapping surely say what they should; the last of them ends there.
    fn are_said(&mut self, id: NodeId, end: usize, mut splices: &[Splice]) -> bool {
        let Some(Block {
            entries,
            column,
            added,
        }) = self.block(id)
        else {
            return false;
        };
        let mut entries = entries.iter().peekable();
        while let Some(entry) = entries.next() {
            let next = entries.peek();
            let end = next.map_or(end, |next| next.start - column);
            let here = splices.iter().take_while(|(at, _)| at.end <= end).count();
            let (here, later) = splices.split_at(here);
            splices = later;
            let Some((first, _)) = here.first() else {
                continue;
            };
            if first.start < entry.start {
                return false;
            }
            let added = if next.is_none() { added } else { &[] };
            let is_said = match added.is_empty() && self.has_entries(entry.value) {
                true => self.are_said(entry.value, end, here),
                false => self.is_said(entry, added, column, entry.start..end, here),
            };
            if !is_said {
                return false;
            }
        }
        splices.is_empty()
    }

    fn has_entries(&self, id: NodeId) -> bool {
        let node = self.document.node(id);
        let is_block = match &node.content {
            Content::Sequence { items, is_flow } => !is_flow && !items.is_empty(),
            Content::Mapping { members, is_flow } => !is_flow && !members.is_empty(),
            Content::Scalar(_) | Content::Alias(_) => false,
        };
        is_block && !node.is_new
    }

    fn block(&self, id: NodeId) -> Option<Block<'d>> {
        let node = self.document.node(id);
        let column = self.column(node.at.as_ref()?.start)?;
        match &node.content {
            Content::Sequence {
                items,
                is_flow: false,
            } => {
                let entries = items.iter().map(|item| {
                    let value = self.start(*item)?;
                    let start = value - self.column(value)? + column;
                    let is_dash = self.document.text.as_bytes().get(start) == Some(&b'-');
                    (is_dash && start < value).then_some(Entry {
                        start,
                        key: None,
                        value: *item,
                    })
                });
                Some(Block {
                    entries: entries.collect::<Option<_>>()?,
                    column,
                    added: &[],
                })
            }
            Content::Mapping {
                members,
                is_flow: false,
            } => {
                let is_there = |(key, _): &&(NodeId, NodeId)| self.start(*key).is_some();
                let there = members.iter().take_while(is_there).count();
                let (there, added) = members.split_at(there);
                let entries = there.iter().map(|(key, value)| {
                    let start = self.start(*key)?;
                    (self.column(start)? == column).then_some(Entry {
                        start,
                        key: Some(*key),
                        value: *value,
                    })
                });
                Some(Block {
                    entries: entries.collect::<Option<_>>()?,
                    column,
                    added,
                })
            }
            _ => None,
        }
    }

    fn start(&self, id: NodeId) -> Option<usize> {
        Some(self.document.node(id).at.as_ref()?.start)
    }

    /// The column of a place with only blanks and dashes before it in its line.
    fn column(&self, at: usize) -> Option<usize> {
        let before = self.document.text.as_bytes().get(..at)?.iter().rev();
        let mut before = before.take_while(|byte| **byte != b'\n');
        let column = before.clone().count();
        before
            .all(|byte| matches!(byte, b' ' | b'-'))
            .then_some(column)
    }

    /// Reads an entry with its changes, and with the members that were added behind it.
    fn is_said(
        &mut self,
        entry: &Entry,
        added: &[(NodeId, NodeId)],
        column: usize,
        at: Range<usize>,
        splices: &[Splice],
    ) -> bool {
        let text = spliced(&self.document.text, at.clone(), splices);
        let is_last = at.end == self.document.text.len();
        if !is_last && !text.ends_with('\n') {
            return false;
        }
        self.read.push(at);
        let Ok(read) = YamlDocument::parse(&(" ".repeat(column) + &text)) else {
            return false;
        };
        let Some(root) = read.root else {
            return false;
        };
        let document = self.document;
        match (entry.key, read.content(root)) {
            (None, Content::Sequence { items, .. }) => match items.as_slice() {
                [item] => document.is_same(entry.value, &read, *item),
                _ => false,
            },
            (Some(key), Content::Mapping { members, .. }) => {
                let expected = [(key, entry.value)];
                let expected = expected.iter().chain(added);
                members.len() == 1 + added.len() && { expected }.zip(members).all(
                    |(expected, found)| {
                        document.is_same(expected.0, &read, found.0)
                            && document.is_same(expected.1, &read, found.1)
                    },
                )
            }
            _ => false,
        }
    }

    /// Whether all that was changed in the document was read again.
    fn have_all_changes(&self) -> bool {
        self.document.nodes.iter().all(|node| match node {
            // Whatever it was put into differs, too.
            Node { at: None, .. } => true,
            Node { is_new: true, .. } => false,
            Node {
                at: Some(at),
                content,
                ..
            } => match content {
                Content::Scalar(scalar) => scalar.now == Now::AsItWas || self.was_read(at.start),
                Content::Mapping { members, .. } => {
                    let mut keys = members.iter().rev().map(|(key, _)| self.start(*key));
                    match keys.next() {
                        Some(None) => {
                            let last = keys.flatten().next();
                            self.was_read(last.unwrap_or(at.start))
                        }
                        Some(Some(_)) | None => true,
                    }
                }
                Content::Sequence { .. } | Content::Alias(_) => true,
            },
        })
    }

    fn was_read(&self, at: usize) -> bool {
        let after = self.read.partition_point(|read| read.end <= at);
        self.read.get(after).is_some_and(|read| read.contains(&at))
    }
}
