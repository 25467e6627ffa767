//! Where the reference's reader and the one we use differ, although both are ports of the same
//! code. Before a text is read, signs that would be taken differently are replaced by marks:
//! characters that mean nothing to the reader and are not in the text. In the values that come out
//! each mark becomes again what it stands for there. No mark depends on what it is within, so the
//! text is gone over once.

use std::borrow::Cow;
use std::ops::Range;

use libyaml_safer::ScalarStyle;

use super::YamlFault;

/// What a mark stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// A line separator of Unicode. A line break within quotes; elsewhere a character as any other,
    /// though for the reference it ends the line, which mostly makes the text unreadable.
    Separator(char),
    /// U+FEFF, which our reader leaves out at the beginning of each line.
    ByteOrderMark,
    /// A backslash before an apostrophe: in double quotes both stand for the apostrophe.
    Backslash,
    /// A colon before a bracket or comma, in a plain text.
    Colon,
    /// Nothing. Behind an exclamation mark with a comma after it, where our reader would panic if
    /// they are a tag; so it is refused, while the reference makes the comma a part of the tag.
    Tag,
}

const SIGNS: [Sign; 7] = [
    Sign::Separator('\u{2028}'),
    Sign::Separator('\u{2029}'),
    Sign::Separator('\u{85}'),
    Sign::ByteOrderMark,
    Sign::Backslash,
    Sign::Colon,
    Sign::Tag,
];

/// Characters that Unicode keeps free for uses like this one.
const CANDIDATES: std::ops::RangeInclusive<char> = '\u{fdd0}'..='\u{fdef}';

/// Bytes of each.
const MARK_BYTES: usize = 3;

/// With this byte all of them begin, and hardly any text has it.
const FIRST_BYTE: u8 = 0xef;

/// The characters that are marks in a text.
#[derive(Debug, Clone)]
pub(super) struct Marks {
    marks: [char; SIGNS.len()],
    /// Where marks are in the text with them: their first byte, and the bytes of the text that they
    /// take the place of.
    put: Vec<(usize, Range<usize>)>,
}

impl Marks {
    /// Puts marks into a text, if it needs any.
    ///
    /// # Errors
    /// A character that is not allowed and its place, or a text that leaves too few characters free.
    pub(super) fn put(text: &str) -> Result<(Cow<'_, str>, Self), (usize, YamlFault)> {
        let clean = !text.as_bytes().contains(&FIRST_BYTE);
        let mut free = CANDIDATES.filter(|mark| clean || !text.contains(*mark));
        let mut marks = ['\0'; SIGNS.len()];
        for mark in &mut marks {
            *mark = free.next().ok_or((0, YamlFault::NoMarks))?;
        }
        let mut marks = Self {
            marks,
            put: Vec::new(),
        };
        let mut out = String::new();
        let mut copied = 0;
        let bytes = text.as_bytes();
        for at in suspects(bytes) {
            let Some((sign, place)) = sign(bytes, at) else {
                match forbidden(text, at) {
                    Some(found) => return Err((at, YamlFault::Character(found))),
                    None => continue,
                }
            };
            out.push_str(text.get(copied..place.start).unwrap_or_default());
            marks.put.push((out.len(), place.clone()));
            out.push(marks.of(sign));
            copied = place.end;
        }
        if marks.put.is_empty() {
            return Ok((Cow::Borrowed(text), marks));
        }
        out.push_str(text.get(copied..).unwrap_or_default());
        Ok((Cow::Owned(out), marks))
    }

    fn of(&self, sign: Sign) -> char {
        let pairs = SIGNS.iter().zip(self.marks);
        let found = { pairs }.find_map(|(one, mark)| (*one == sign).then_some(mark));
        found.unwrap_or_default()
    }

    /// The place in the text of one in the text with marks.
    pub(super) fn place(&self, at: usize) -> usize {
        let after = self.put.partition_point(|(mark, _)| *mark < at);
        let before = after.checked_sub(1).and_then(|last| self.put.get(last));
        match before {
            None => at,
            Some((mark, replaced)) => {
                let behind = mark + MARK_BYTES;
                replaced.end + at.saturating_sub(behind)
            }
        }
    }

    /// A value without marks.
    pub(super) fn restore(&self, text: String, style: ScalarStyle) -> String {
        if self.put.is_empty() || !text.as_bytes().contains(&FIRST_BYTE) {
            return text;
        }
        let double = style == ScalarStyle::DoubleQuoted;
        let quoted = double || style == ScalarStyle::SingleQuoted;
        let mut out = String::with_capacity(text.len());
        let mut after_break = false;
        for found in text.chars() {
            let mark = self.marks.iter().position(|mark| *mark == found);
            let blank = matches!(found, ' ' | '\t');
            match mark.and_then(|at| SIGNS.get(at)) {
                Some(Sign::Separator(separator)) if quoted => {
                    // White space around a line break goes, and the plain one becomes a space.
                    out.truncate(out.trim_end_matches([' ', '\t']).len());
                    let next_line = *separator == '\u{85}';
                    out.push(if next_line { ' ' } else { *separator });
                    after_break = true;
                    continue;
                }
                Some(Sign::Separator(separator)) => out.push(*separator),
                Some(Sign::ByteOrderMark) => out.push('\u{feff}'),
                Some(Sign::Backslash) if double => {}
                Some(Sign::Backslash) => out.push('\\'),
                Some(Sign::Colon) => out.push(':'),
                Some(Sign::Tag) => continue,
                None if after_break && blank => continue,
                None => out.push(found),
            }
            after_break = false;
        }
        out
    }
}

/// Places where a sign that needs a mark may begin, or a character that is not allowed. Most
/// blocks of a text have none, and are passed in a few instructions.
fn suspects(bytes: &[u8]) -> impl Iterator<Item = usize> {
    bytes.chunks(64).enumerate().flat_map(|(block, bytes)| {
        let any = bytes.iter().fold(0, |any, byte| any | suspect(*byte));
        let found = (any > 0).then_some(bytes).into_iter().flatten();
        let found = found.enumerate().filter(|(_, byte)| suspect(**byte) > 0);
        found.map(move |(at, _)| block * 64 + at)
    })
}

/// 1 for a byte that is suspect, else 0; without a branch. Of colons, which are common, those are
/// found by what is behind them.
fn suspect(byte: u8) -> u8 {
    let control = (byte < b'\t') | ((byte > b'\r') & (byte < b' ')) | (byte == 0x7f);
    let control = control | (byte == 0xb) | (byte == 0xc);
    let letter = (byte == 0xc2) | (byte == 0xe2) | (byte == FIRST_BYTE);
    let sign = (byte == b'\\') | (byte == b'!');
    let after_colon =
        (byte == b',') | (byte == b'?') | ((byte | 0x20) == b'{') | ((byte | 0x20) == b'}');
    u8::from(control | letter | sign | after_colon)
}

/// The character at a place, if YAML 1.1 does not allow it.
fn forbidden(text: &str, at: usize) -> Option<char> {
    let found = text.get(at..)?.chars().next()?;
    (found.is_control() || matches!(found, '\u{fffe}' | '\u{ffff}')).then_some(found)
}

/// The sign at a place that needs a mark, and what the mark takes the place of.
fn sign(text: &[u8], at: usize) -> Option<(Sign, Range<usize>)> {
    let rest = text.get(at..)?;
    match rest {
        [b'\\', b'\'', ..] => escapes(text, at).then_some((Sign::Backslash, at..at + 1)),
        [b',' | b'?' | b'[' | b']' | b'{' | b'}', ..] => {
            let (before, colon) = (at.checked_sub(2)?, at.checked_sub(1)?);
            let plain = !matches!(
                text.get(before)?,
                b' ' | b'\t' | b'\n' | b'\r' | b'"' | b'\'' | b'[' | b']' | b'{' | b'}' | b','
            );
            (plain && text.get(colon) == Some(&b':')).then_some((Sign::Colon, colon..at))
        }
        [b'!', ..] => comma_after_tag(rest).then_some((Sign::Tag, at + 1..at + 1)),
        [0xc2, 0x85, ..] => Some((Sign::Separator('\u{85}'), at..at + 2)),
        [0xe2, 0x80, 0xa8, ..] => Some((Sign::Separator('\u{2028}'), at..at + 3)),
        [0xe2, 0x80, 0xa9, ..] => Some((Sign::Separator('\u{2029}'), at..at + 3)),
        [0xef, 0xbb, 0xbf, ..] => Some((Sign::ByteOrderMark, at..at + 3)),
        _ => None,
    }
}

/// Whether a backslash is not itself escaped: it ends a run of an odd number.
fn escapes(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let run = before.iter().rev().take_while(|byte| **byte == b'\\');
    run.count() % 2 == 0
}

/// Whether a tag that begins here would end at a comma. Where there is another exclamation mark in
/// it, that is the one that counts, so that no byte is looked at often.
fn comma_after_tag(rest: &[u8]) -> bool {
    let mut after = rest.iter().skip(1);
    if rest.get(1) == Some(&b'<') {
        let end = after.find(|byte| matches!(**byte, b'>' | b'!' | b'\n' | b'\r'));
        return end == Some(&b'>') && after.next() == Some(&b',');
    }
    let is_tag = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_;/?:@&=+$.%~*'()>".contains(byte);
    after.find(|byte| !is_tag(byte)) == Some(&b',')
}
