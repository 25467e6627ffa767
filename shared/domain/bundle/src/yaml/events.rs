//! What a YAML text says, event by event, and where in the text.

use std::borrow::Cow;
use std::io::BufReader;
use std::ops::Range;

use libyaml_safer::{Encoding, Event, EventData, Mark, Parser, ScalarStyle};

use super::fault::{Fault, YamlError};
use super::lines;
use super::marks::Marks;

/// How much of a text is decoded at once, in bytes.
const CHUNK: usize = 8 << 10;

/// A text as the reader takes it.
pub(super) struct Prepared<'t> {
    /// As it is, without what may stand at its beginning, and with a line break at its end.
    text: Cow<'t, str>,
    /// Bytes at the beginning that are left out.
    left_out: usize,
    /// The same with marks, if it needs any.
    marked: Option<String>,
    marks: Marks,
}

/// The events of a text.
pub(super) struct Events<'p> {
    parser: Parser<BufReader<&'p [u8]>>,
    prepared: &'p Prepared<'p>,
    /// The line of the last event, from 1.
    line: usize,
}

/// An event.
pub(super) struct Spanned {
    pub(super) data: EventData,
    /// Its bytes in the text; the end of a block has none.
    pub(super) at: Range<usize>,
}

impl<'t> Prepared<'t> {
    /// U+FEFF at the beginning of a text is a mark.
    ///
    /// # Errors
    /// A character that is not allowed.
    pub(super) fn of(text: &'t str) -> Result<Self, YamlError> {
        let rest = text.strip_prefix('\u{feff}').unwrap_or(text);
        let left_out = text.len() - rest.len();
        // Our reader panics where some texts end without a line break.
        let text = match rest.ends_with('\n') {
            true => Cow::Borrowed(rest),
            false => Cow::Owned(format!("{rest}\n")),
        };
        let put = Marks::put(&text).map_err(|(at, fault)| {
            let before = text.get(..at).unwrap_or_default();
            fault.at(1 + lines(before.as_bytes()))
        });
        let (marked, marks) = put?;
        let marked = match marked {
            Cow::Owned(marked) => Some(marked),
            Cow::Borrowed(_) => None,
        };
        Ok(Self {
            text,
            left_out,
            marked,
            marks,
        })
    }

    pub(super) fn events(&self) -> Events<'_> {
        let text = self.marked.as_deref().unwrap_or(&self.text);
        let mut parser = Parser::new();
        parser.set_encoding(Encoding::Utf8);
        parser.set_input(BufReader::with_capacity(CHUNK, text.as_bytes()));
        Events {
            parser,
            prepared: self,
            line: 1,
        }
    }
}

impl Events<'_> {
    pub(super) fn next(&mut self) -> Result<Spanned, Fault> {
        let Event {
            data,
            start_mark,
            end_mark,
            ..
        } = self.parser.parse()?;
        let line = usize::try_from(start_mark.line).unwrap_or(usize::MAX);
        self.line = line.saturating_add(1);
        let at = self.place(start_mark)..self.place(end_mark);
        Ok(Spanned { data, at })
    }

    /// The byte of the text where a mark of the reader is.
    fn place(&self, mark: Mark) -> usize {
        let at = usize::try_from(mark.index).unwrap_or(usize::MAX);
        let at = self.prepared.marks.place(at);
        self.prepared.left_out + at
    }

    /// A value of a scalar as the text has it.
    pub(super) fn value(&self, value: String, style: ScalarStyle) -> String {
        self.prepared.marks.restore(value, style)
    }

    /// The fault in our words, with its line.
    pub(super) fn locate(&self, fault: Fault) -> YamlError {
        fault.locate(&self.prepared.text, self.line)
    }
}
