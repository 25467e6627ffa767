//! The text of a changed document.

use std::collections::HashMap;
use std::ops::Range;

use libyaml_safer::ScalarStyle;

use super::scalar::{self, Kind, Now, ScalarNode};
use super::{Content, Node, NodeId, Rewritten, YamlDocument};

impl YamlDocument {
    /// The text with all that was changed, and every other byte as it was. What was changed is read again: where it does
    /// not say what this document does, because the text is made in a way that no change in it allows for, all of it is
    /// written anew.
    pub fn rewritten(&self) -> Rewritten {
        let mut changes = self.changes();
        if let Some(root) = self.root {
            changes.visit(root, Around::Block { indent: 0 });
        }
        changes.splices.sort_by_key(|(at, _)| (at.start, at.end));
        let in_place = spliced(&self.text, 0..self.text.len(), &changes.splices);
        let is_surely_said = self.is_surely_said(&changes.splices);
        debug_assert!(
            !is_surely_said || self.is_said_by(&in_place),
            "what surely says it does not: {in_place:?}"
        );
        let is_said = changes.splices.is_empty() || is_surely_said || self.is_said_by(&in_place);
        if is_said {
            let mut anew = changes.anew;
            anew.sort_unstable();
            anew.dedup();
            return Rewritten {
                text: in_place,
                anew,
                is_faithful: true,
            };
        }
        let text = self.written_anew();
        Rewritten {
            is_faithful: self.is_said_by(&text),
            anew: vec![1],
            text,
        }
    }

    fn changes(&self) -> Changes<'_> {
        Changes {
            document: self,
            line_break: self.line_break(),
            splices: Vec::new(),
            anew: Vec::new(),
        }
    }

    /// All values, without comments and aliases.
    fn written_anew(&self) -> String {
        let Some(root) = self.root else {
            return String::new();
        };
        let changes = self.changes();
        let lines = match self.content(root) {
            Content::Mapping {
                members,
                is_flow: false,
            } => members
                .iter()
                .flat_map(|(key, value)| changes.member_lines(*key, *value))
                .collect(),
            _ => vec![changes.flow(root)],
        };
        let lines = lines.iter().map(|line| format!("{line}\n"));
        lines.collect()
    }

    fn line_break(&self) -> &'static str {
        let end = self.text.find('\n').map(|at| self.text.get(..at));
        match end.flatten().is_some_and(|line| line.ends_with('\r')) {
            true => "\r\n",
            false => "\n",
        }
    }
}

/// Bytes of the text, and what takes their place.
pub(super) type Splice = (Range<usize>, String);

/// What a value stands in.
#[derive(Debug, Clone, Copy)]
enum Around {
    /// Brackets.
    Flow,
    /// Lines that are indented by so many columns.
    Block { indent: usize },
}

struct Changes<'d> {
    document: &'d YamlDocument,
    line_break: &'static str,
    splices: Vec<Splice>,
    anew: Vec<usize>,
}

impl Changes<'_> {
    fn visit(&mut self, id: NodeId, around: Around) {
        let node = self.document.node(id);
        let Some(at) = node.at.clone() else {
            return;
        };
        if node.is_new {
            self.replace(id, node, at, around);
            return;
        }
        match &node.content {
            Content::Scalar(scalar) => self.scalar(scalar, at),
            Content::Alias(_) => {}
            Content::Sequence { items, is_flow } => {
                let inside = self.inside(*is_flow, &at);
                items.iter().for_each(|item| self.visit(*item, inside));
            }
            Content::Mapping { members, is_flow } => {
                let inside = self.inside(*is_flow, &at);
                for (_, value) in members {
                    self.visit(*value, inside);
                }
                self.add_members(members, at, inside);
            }
        }
    }

    fn inside(&self, is_flow: bool, at: &Range<usize>) -> Around {
        match is_flow {
            true => Around::Flow,
            false => Around::Block {
                indent: self.column(at.start),
            },
        }
    }

    fn column(&self, at: usize) -> usize {
        let before = self.document.text.get(..at).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        line.chars().count()
    }

    /// Puts a value that is new in the place of what was there.
    fn replace(&mut self, id: NodeId, node: &Node, at: Range<usize>, around: Around) {
        if matches!(self.document.text.get(at.clone()), Some(old) if old.starts_with('*')) {
            self.note_anew(at.start);
        }
        let at = self.without_line_end(&at);
        let before = self.document.text.get(..at.start).unwrap_or_default();
        let is_member = before.trim_end_matches([' ', '\t']).ends_with(':');
        let after = self.document.text.get(at.end..).unwrap_or_default();
        let rest = after.split('\n').next().unwrap_or_default();
        if let Around::Block { indent } = around
            && is_member
            && rest.trim().is_empty()
            && let Some(lines) = self.block_lines(&node.content, indent)
        {
            let blanks = before.len() - before.trim_end_matches([' ', '\t']).len();
            let text = lines
                .iter()
                .fold(String::new(), |text, line| text + self.line_break + line);
            self.splices.push((at.start - blanks..at.end, text));
            return;
        }
        let blank = match around {
            // Dashes may stand in the column of the key; nothing else may.
            Around::Block { indent } if before.trim_end_matches(' ').ends_with('\n') => {
                " ".repeat((indent + 2).saturating_sub(self.column(at.start)))
            }
            _ if at.is_empty() => " ".to_owned(),
            _ => String::new(),
        };
        let text = match around {
            Around::Flow => self.flow(id),
            Around::Block { .. } => self.inline(id),
        };
        self.splices.push((at, format!("{blank}{text}")));
    }

    /// Lines of a list or mapping that is not empty, below a key in such a column.
    fn block_lines(&self, content: &Content, indent: usize) -> Option<Vec<String>> {
        match content {
            Content::Sequence {
                items,
                is_flow: false,
            } if !items.is_empty() => {
                let items = items.iter().flat_map(|item| {
                    let lines = self.item_lines(*item);
                    let lines = lines.into_iter().enumerate();
                    lines.map(move |(number, line)| {
                        let start = if number == 0 { "- " } else { "  " };
                        blanks(indent) + start + &line
                    })
                });
                Some(items.collect())
            }
            Content::Mapping {
                members,
                is_flow: false,
            } if !members.is_empty() => {
                let lines = members
                    .iter()
                    .flat_map(|(key, value)| self.member_lines(*key, *value));
                let indent = indent + 2;
                Some(lines.map(|line| blanks(indent) + &line).collect())
            }
            _ => None,
        }
    }

    fn item_lines(&self, id: NodeId) -> Vec<String> {
        match self.document.content(id) {
            Content::Mapping {
                members,
                is_flow: false,
            } if !members.is_empty() => members
                .iter()
                .flat_map(|(key, value)| self.member_lines(*key, *value))
                .collect(),
            _ => vec![self.inline(id)],
        }
    }

    /// A member as it stands in the first column.
    fn member_lines(&self, key: NodeId, value: NodeId) -> Vec<String> {
        let key = match self.document.is_merge(key) {
            true => "<<".to_owned(),
            false => self.key(key),
        };
        match self.block_lines(self.document.content(value), 0) {
            Some(lines) => [vec![format!("{key}:")], lines].concat(),
            None => vec![format!("{key}: {}", self.inline(value))],
        }
    }

    fn key(&self, id: NodeId) -> String {
        match self.document.text(id) {
            Some(text) => scalar::key(&text),
            // A number, or what else is no text.
            None => self.flow(id),
        }
    }

    fn inline(&self, id: NodeId) -> String {
        match self.document.content(id) {
            Content::Scalar(text) if text.kind == Kind::Text => scalar::string(&text.text()),
            _ => self.flow(id),
        }
    }

    /// A value in brackets, for any place.
    fn flow(&self, id: NodeId) -> String {
        match self.document.content(id) {
            Content::Scalar(value) if value.kind == Kind::Text => scalar::quoted(&value.text()),
            Content::Scalar(ScalarNode {
                tag: Some(tag),
                original,
                ..
            }) => format!("!<{tag}> {}", scalar::quoted(original)),
            Content::Scalar(value) if value.original.is_empty() => "null".to_owned(),
            Content::Scalar(value) => value.original.clone(),
            Content::Sequence { items, .. } => {
                let items: Vec<String> = items.iter().map(|item| self.flow(*item)).collect();
                format!("[{}]", items.join(", "))
            }
            Content::Mapping { members, .. } => format!("{{{}}}", self.flow_members(members)),
            // Aliases stand for no aliases.
            Content::Alias(_) => String::new(),
        }
    }

    fn flow_members(&self, members: &[(NodeId, NodeId)]) -> String {
        let members = members.iter().map(|(key, value)| {
            let key = match self.document.is_merge(*key) {
                true => "<<".to_owned(),
                false => self.flow(*key),
            };
            format!("{key}: {}", self.flow(*value))
        });
        members.collect::<Vec<_>>().join(", ")
    }

    /// What is new in a mapping comes at its end.
    fn add_members(&mut self, members: &[(NodeId, NodeId)], at: Range<usize>, inside: Around) {
        let is_there = |(key, _): &&(NodeId, NodeId)| self.document.node(*key).at.is_some();
        let there = members.iter().take_while(is_there).count();
        let (old, new) = members.split_at(there);
        if new.is_empty() {
            return;
        }
        let text = &self.document.text;
        let indent = match inside {
            Around::Flow => {
                // Behind the last value: a comment may stand before the bracket. Without a blank, a comma after a colon
                // would be part of a text.
                let last = old.last().map(|(_, value)| self.document.node(*value));
                let last = last.and_then(|last| last.at.as_ref());
                let (end, comma) = match last {
                    None => (at.start + 1, ""),
                    Some(last) if last.is_empty() => (last.end, " , "),
                    Some(last) => (last.end, ", "),
                };
                let text = format!("{comma}{}", self.flow_members(new));
                self.splices.push((end..end, text));
                return;
            }
            Around::Block { indent } => indent,
        };
        let last = old
            .last()
            .and_then(|(_, value)| self.document.node(*value).at.as_ref());
        let last = last.map_or(at.end, |last| last.end);
        let lines = new
            .iter()
            .flat_map(|(key, value)| self.member_lines(*key, *value));
        let lines = lines.map(|line| blanks(indent) + &line + self.line_break);
        let lines = lines.collect::<String>();
        // Behind the line in which the last value ends; a block text ends with its line.
        let ends_line = text
            .get(..last)
            .is_some_and(|before| before.ends_with('\n'));
        let rest = text.get(last..).unwrap_or_default();
        let splice = match (ends_line, rest.find('\n')) {
            (true, _) => (last..last, lines),
            (false, Some(end)) => (last + end + 1..last + end + 1, lines),
            (false, None) => {
                let lines = lines.trim_end_matches(self.line_break);
                (
                    text.len()..text.len(),
                    format!("{}{lines}", self.line_break),
                )
            }
        };
        self.splices.push(splice);
    }

    fn scalar(&mut self, scalar: &ScalarNode, at: Range<usize>) {
        let now = match &scalar.now {
            Now::AsItWas => return,
            Now::Parts(parts) => match self.parts(scalar, &at, parts) {
                Some(splices) => {
                    self.splices.extend(splices);
                    return;
                }
                None => scalar.text().into_owned(),
            },
            Now::Whole(text) => text.clone(),
        };
        let is_line = !scalar.original.contains('\n') && !scalar.original.is_empty();
        let text = match scalar.style {
            ScalarStyle::SingleQuoted => scalar::single_quoted(&now),
            ScalarStyle::DoubleQuoted => None,
            ScalarStyle::Literal | ScalarStyle::Folded => {
                let whole = [(0..scalar.original.len(), now.clone())];
                let splices = is_line.then(|| self.parts(scalar, &at, &whole)).flatten();
                if let Some(splices) = splices {
                    self.splices.extend(splices);
                    return;
                }
                None
            }
            _ => Some(scalar::string(&now)),
        };
        let is_block = matches!(scalar.style, ScalarStyle::Literal | ScalarStyle::Folded);
        if is_block || matches!(scalar.now, Now::Parts(_)) {
            self.note_anew(at.start);
        }
        let blank = if at.is_empty() { " " } else { "" };
        let text = text.unwrap_or_else(|| scalar::quoted(&now));
        let at = self.without_line_end(&at);
        self.splices.push((at, format!("{blank}{text}")));
    }

    /// Without the line breaks at the end of a block text, which end the line of what takes its place.
    fn without_line_end(&self, at: &Range<usize>) -> Range<usize> {
        let old = self.document.text.get(at.clone()).unwrap_or_default();
        at.start..at.start + old.trim_end_matches(['\n', '\r', ' ']).len()
    }

    /// Where parts of a scalar are in the text; none if that is not sure, or what takes their place cannot stand
    /// there.
    fn parts(
        &self,
        scalar: &ScalarNode,
        at: &Range<usize>,
        parts: &[(Range<usize>, String)],
    ) -> Option<Vec<Splice>> {
        let raw = self.document.text.get(at.clone())?;
        let is_block = matches!(scalar.style, ScalarStyle::Literal | ScalarStyle::Folded);
        // Behind the line with the mark of a block, where a comment may be.
        let start = if is_block { raw.find('\n')? + 1 } else { 0 };
        let body = raw.get(start..)?;
        let mut places: HashMap<&str, (Vec<usize>, Vec<usize>)> = HashMap::new();
        let mut splices = Vec::new();
        for (part, new) in parts {
            let old = scalar.original.get(part.clone())?;
            if old.is_empty() || !scalar::is_safe_part(new) {
                return None;
            }
            let all = |text: &str| text.match_indices(old).map(|(at, _)| at).collect();
            let places = places.entry(old);
            let (original, raw) = places.or_insert_with(|| (all(&scalar.original), all(body)));
            if original.len() != raw.len() {
                return None;
            }
            let number = original.binary_search(&part.start).ok()?;
            let found = at.start + start + raw.get(number)?;
            splices.push((found..found + old.len(), new.clone()));
        }
        if scalar.style == ScalarStyle::Plain && !scalar::is_string(&scalar.text_with(parts)) {
            return None;
        }
        let is_quoted = matches!(
            scalar.style,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted
        );
        if is_quoted {
            // Escapes may hide what is there.
            let new = spliced(&self.document.text, at.clone(), &splices);
            let read = YamlDocument::parse(&new).ok()?;
            let value = read.text(read.root()?)?;
            if *value != *scalar.text_with(parts) {
                return None;
            }
        }
        Some(splices)
    }

    fn note_anew(&mut self, at: usize) {
        self.anew.push(self.document.line_at(at));
    }
}

/// As many as a document is indented, which is more than what a format's width may be.
fn blanks(count: usize) -> String {
    " ".repeat(count)
}

/// A stretch of a text with parts of it replaced, from first to last.
pub(super) fn spliced(text: &str, stretch: Range<usize>, splices: &[Splice]) -> String {
    let mut out = String::with_capacity(stretch.len());
    let mut copied = stretch.start;
    for (at, new) in splices {
        out.push_str(text.get(copied..at.start).unwrap_or_default());
        out.push_str(new);
        copied = at.end;
    }
    out.push_str(text.get(copied..stretch.end).unwrap_or_default());
    out
}
