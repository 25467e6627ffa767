//! What is wrong with a text that should be YAML, and where.

use libyaml_safer::Mark;

use super::{MAX_NODES, MAX_TEXT};
use crate::json::MAX_DEPTH;

/// Why a text is not usable YAML, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct YamlError {
    /// The line of the text, from 1.
    pub line: usize,
    /// What is wrong there; part of the message, so not a source.
    pub fault: YamlFault,
}

impl YamlError {
    /// The same for a text that is a part of another, with so many lines before it.
    #[must_use]
    pub fn below(mut self, lines: usize) -> Self {
        self.line += lines;
        self
    }
}

/// What is wrong with a text that should be YAML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum YamlFault {
    /// Not YAML.
    #[error("{0}")]
    Syntax(&'static str),
    /// A character that begins no text.
    #[error("a text cannot begin with {0}: put it in quotes")]
    Begin(char),
    /// Not UTF-8.
    #[error("the byte 0x{0:02X} is no text in UTF-8: save the file in this encoding")]
    Encoding(u8),
    /// A character YAML does not allow.
    #[error("the character U+{:04X} is not allowed in YAML", *.0 as u32)]
    Character(char),
    /// Nearly all of the characters that Unicode keeps free are in the text.
    #[error(
        "too many of the characters U+FDD0 to U+FDEF, which stand for nothing, are in the text"
    )]
    NoMarks,
    /// A value that has no counterpart in JSON, or contradicts its tag.
    #[error("{0} cannot be turned into JSON")]
    Value(&'static str),
    /// An alias inside what it stands for, or for nothing.
    #[error("the alias *{0} stands for nothing: no value before it has the anchor &{0}")]
    Alias(String),
    /// A second document, where one is allowed.
    #[error(
        "a second document begins here, where the file is to have one: move it to a file of its own"
    )]
    SecondDocument,
    /// A key that the mapping has already.
    #[error("the key {0:?} is in this mapping already: leave one of them out")]
    SecondKey(String),
    /// Nested too deeply.
    #[error("nested more than {MAX_DEPTH} levels deep")]
    Depth,
    /// Too many values once aliases are written out.
    #[error("more than {MAX_NODES} values or {MAX_TEXT} bytes of text with aliases written out")]
    Size,
}

impl YamlFault {
    pub(super) fn at(self, line: usize) -> YamlError {
        YamlError { line, fault: self }
    }
}

/// A fault while reading.
#[derive(Debug)]
pub(super) enum Fault {
    /// Of what the last event says.
    Here(YamlFault),
    /// Found while looking for the next event.
    Reader(libyaml_safer::Error),
}

impl From<YamlFault> for Fault {
    fn from(fault: YamlFault) -> Self {
        Self::Here(fault)
    }
}

impl From<libyaml_safer::Error> for Fault {
    fn from(error: libyaml_safer::Error) -> Self {
        Self::Reader(error)
    }
}

impl Fault {
    /// The fault in our words, with its line; `last` is that of the last event.
    pub(super) fn locate(self, text: &str, last: usize) -> YamlError {
        let error = match self {
            Self::Here(fault) => return fault.at(last),
            Self::Reader(error) => error,
        };
        let problem = error.problem();
        let begun = matches!(
            problem,
            KEY_WITHOUT_COLON
                | "found unexpected end of stream"
                | "found unexpected document indicator"
        );
        let mark = match error.context_mark() {
            // The end of what is wrong can be far behind.
            Some(mark) if begun => Some(mark),
            _ => error.problem_mark(),
        };
        let Some(mark) = mark else {
            return YamlFault::Syntax(problem).at(last);
        };
        let line = usize::try_from(mark.line).unwrap_or(usize::MAX);
        // The end of a text counts as a line of its own.
        let line = line.min(super::lines(text.as_bytes()).saturating_sub(1));
        let fault = match problem {
            "found character that cannot start any token" => match character(text, line, mark) {
                Some('\t') | None => YamlFault::Syntax(TAB),
                Some(other) => YamlFault::Begin(other),
            },
            other => YamlFault::Syntax(explained(other)),
        };
        fault.at(line + 1)
    }
}

fn character(text: &str, line: usize, mark: Mark) -> Option<char> {
    let line = text.split('\n').nth(line)?;
    line.chars().nth(usize::try_from(mark.column).ok()?)
}

const TAB: &str = "a tab indents the text: write spaces";
const KEY_WITHOUT_COLON: &str = "could not find expected ':'";

/// What a problem mostly comes from, and what to do about it.
fn explained(problem: &'static str) -> &'static str {
    match problem {
        KEY_WITHOUT_COLON => {
            "a key with \": \" after it is expected here: is the line indented too little, or the \
             colon or the space after it missing?"
        }
        "mapping values are not allowed in this context" => {
            "a \": \" where none can be: is the line indented too far, or a text with \": \" in it \
             not in quotes?"
        }
        "did not find expected key" => {
            "a key is expected here: is the line indented too little or too far, or does something \
             stand behind a text in quotes?"
        }
        "did not find expected '-' indicator" => {
            "a \"- \" is expected here, the next of the list: is the line indented too little?"
        }
        "block sequence entries are not allowed in this context" => {
            "a \"- \" where no list can begin: it must stand at the beginning of a line, as far in as \
             the others of its list"
        }
        "found unexpected end of stream" | "found unexpected document indicator" => {
            "the quotes that are opened here are never closed"
        }
        "found unknown escape character" => {
            "a backslash in double quotes introduces nothing known: write \\\\ for one, or use single \
             quotes"
        }
        "found a tab character that violates indentation"
        | "found a tab character where an indentation space is expected" => TAB,
        "did not find expected comment or line break" => {
            "after | or > the text begins in the next line"
        }
        "did not find expected whitespace or line break" | "did not find expected tag URI" => {
            "a blank must follow a tag: put a text that begins with ! in quotes"
        }
        "did not find expected alphabetic or numeric character" => {
            "a name must follow & or *: put a text that begins so in quotes"
        }
        "did not find expected ',' or ']'" => "a \",\" or \"]\" is expected here",
        "did not find expected ',' or '}'" => "a \",\" or \"}\" is expected here",
        "did not find expected <document start>" => {
            "something stands behind the end of the document: is the line indented too little?"
        }
        other => other,
    }
}
