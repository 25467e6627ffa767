//! Two liberties the reference's reader takes and ours does not: lines inside quotes or brackets
//! may be indented less than what surrounds them, and the line separators of Unicode are line
//! breaks inside quotes.
//!
//! White space at the start of such lines is not part of any value, so the first liberty is granted
//! by indenting them and reading again.

use std::borrow::Cow;

use saphyr_parser::ScanError;

/// How much text is read again for the sake of indentation, in bytes.
const MAX_REREAD: usize = 256 << 20;

/// Indents lines until a text can be read.
pub(super) fn read_leniently<T>(
    text: &str,
    read: impl Fn(&str) -> Result<T, super::YamlError>,
) -> Result<T, super::YamlError> {
    let mut text = Cow::Borrowed(text);
    let mut reread = 0;
    loop {
        let error = match read(&text) {
            Err(super::YamlError::Syntax(error)) => error,
            other => return other,
        };
        reread += text.len();
        match indented(&text, &error).filter(|_| reread <= MAX_REREAD) {
            Some(better) => text = Cow::Owned(better),
            None => return Err(super::YamlError::Syntax(error)),
        }
    }
}

/// The text with more indentation where an error complains about it.
fn indented(text: &str, error: &ScanError) -> Option<String> {
    let at = text
        .char_indices()
        .nth(error.marker().index())
        .map(|(at, _)| at)?;
    match error.info() {
        "invalid indentation in quoted scalar" => {
            let mut rest = text.get(at..)?.char_indices();
            let (_, quote) = rest.next()?;
            let end = at + end_of_quoted(text.get(at..)?, quote)?;
            // The quote itself stands far enough to the right.
            let first = at + text.get(at..)?.find('\n')? + 1;
            Some(indent_lines(text, first, end, error.marker().col() + 1))
        }
        "invalid indentation" | "invalid indentation in flow construct" => {
            let first = text.get(..at)?.rfind('\n')? + 1;
            let end = at + end_of_brackets(text.get(at..)?);
            let widest = text
                .get(..first)?
                .lines()
                .map(indentation)
                .max()
                .unwrap_or(0);
            // Only lines that make a difference, or this would not end.
            (indentation(text.get(first..)?) <= widest)
                .then(|| indent_lines(text, first, end, widest + 1))
        }
        _ => None,
    }
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Indents the lines that start from `first` on and before `end`; empty ones stay empty.
fn indent_lines(text: &str, first: usize, end: usize, by: usize) -> String {
    let (before, rest) = text.split_at(first);
    let (lines, after) = rest.split_at(end.max(first) - first);
    let mut out = String::with_capacity(text.len() + by);
    out.push_str(before);
    for line in lines.split_inclusive('\n') {
        if !line.trim().is_empty() {
            out.extend(std::iter::repeat_n(' ', by));
        }
        out.push_str(line);
    }
    out.push_str(after);
    out
}

/// Where a quoted text ends that starts with its quote.
fn end_of_quoted(text: &str, quote: char) -> Option<usize> {
    let mut found = text.char_indices().skip(1).peekable();
    while let Some((at, next)) = found.next() {
        match next {
            '\\' if quote == '"' => {
                found.next();
            }
            '\'' if quote == '\'' && matches!(found.peek(), Some((_, '\''))) => {
                found.next();
            }
            _ if next == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Where the brackets end that are open at the start of a text: the first point with one closing
/// bracket too many, or the end.
fn end_of_brackets(text: &str) -> usize {
    let mut depth = 1_usize;
    let mut before = '\n';
    let mut at = 0;
    while let Some(next) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let mut length = next.len_utf8();
        match next {
            '[' | '{' => depth += 1,
            ']' | '}' => {
                depth -= 1;
                if depth == 0 {
                    return at + length;
                }
            }
            // A quote inside a word is just a character.
            '"' | '\'' if matches!(before, '\n' | '[' | '{' | ',' | ':') => {
                let rest = text.get(at..).unwrap_or_default();
                length = end_of_quoted(rest, next).unwrap_or(rest.len());
            }
            _ => {}
        }
        if !matches!(next, ' ' | '\t' | '\r') {
            before = next;
        }
        at += length;
    }
    text.len()
}

/// A mark for a line separator inside the text that is read; a character that is never used.
const MARKS: [(char, char); 3] = [
    ('\u{2028}', '\u{fdd0}'),
    ('\u{2029}', '\u{fdd1}'),
    ('\u{85}', '\u{fdd2}'),
];

/// Marks the line separators of Unicode, so that they can be told from escaped ones.
pub(super) fn mark_separators(text: &str) -> Cow<'_, str> {
    let used = MARKS.iter().any(|(_, mark)| text.contains(*mark));
    if used || !MARKS.iter().any(|(separator, _)| text.contains(*separator)) {
        return Cow::Borrowed(text);
    }
    let mut marked = text.to_owned();
    for (separator, mark) in MARKS {
        marked = marked.replace(separator, mark.encode_utf8(&mut [0; 4]));
    }
    Cow::Owned(marked)
}

/// Puts the separators back. Inside quotes they are line breaks: white space around them goes, and
/// the one that counts as a plain line break becomes a space.
pub(super) fn restore_separators(text: &str, quoted: bool) -> Cow<'_, str> {
    if !MARKS.iter().any(|(_, mark)| text.contains(*mark)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut after_break = false;
    for found in text.chars() {
        let separator = MARKS.iter().find(|(_, mark)| *mark == found);
        match separator {
            Some((separator, _)) if quoted => {
                out.truncate(out.trim_end_matches([' ', '\t']).len());
                out.push(if *separator == '\u{85}' {
                    ' '
                } else {
                    *separator
                });
                after_break = true;
            }
            Some((separator, _)) => out.push(*separator),
            None if after_break && matches!(found, ' ' | '\t') => {}
            None => {
                after_break = false;
                out.push(found);
            }
        }
    }
    Cow::Owned(out)
}
