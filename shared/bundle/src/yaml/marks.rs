//! Where the reference's reader and the one we use differ, although both are ports of the same
//! code. Before a text is read, signs that would be taken differently are replaced by marks:
//! characters that mean nothing to the reader and are not in the text. In the values that come out
//! each mark becomes again what it stands for there. No mark depends on what it is within, so the
//! text is gone over once.

use std::borrow::Cow;

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

/// With this byte all of them begin, and hardly any text has it.
const FIRST_BYTE: u8 = 0xef;

/// The characters that are marks in a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks([char; SIGNS.len()]);

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
        let marks = Self(marks);
        let mut out = String::new();
        let mut copied = 0;
        let bytes = text.as_bytes();
        let suspects = bytes.iter().enumerate();
        for (at, _) in suspects.filter(|(_, byte)| SUSPECT[usize::from(**byte)]) {
            let Some((sign, length)) = sign(bytes, at) else {
                match forbidden(text, at) {
                    Some(found) => return Err((at, YamlFault::Character(found))),
                    None => continue,
                }
            };
            // A mark that stands for nothing goes behind the sign that asks for it.
            let length = if sign == Sign::Tag { 0 } else { length };
            let keep = usize::from(sign == Sign::Tag);
            out.push_str(text.get(copied..at + keep).unwrap_or_default());
            out.push(marks.of(sign));
            copied = at + keep + length;
        }
        if copied == 0 {
            return Ok((Cow::Borrowed(text), marks));
        }
        out.push_str(text.get(copied..).unwrap_or_default());
        Ok((Cow::Owned(out), marks))
    }

    fn of(&self, sign: Sign) -> char {
        let pairs = SIGNS.iter().zip(self.0);
        let found = { pairs }.find_map(|(one, mark)| (*one == sign).then_some(mark));
        found.unwrap_or_default()
    }

    /// A value without marks.
    pub(super) fn restore(&self, text: String, style: ScalarStyle) -> String {
        if !text.as_bytes().contains(&FIRST_BYTE) || !text.contains(self.0) {
            return text;
        }
        let double = style == ScalarStyle::DoubleQuoted;
        let quoted = double || style == ScalarStyle::SingleQuoted;
        let mut out = String::with_capacity(text.len());
        let mut after_break = false;
        for found in text.chars() {
            let mark = self.0.iter().position(|mark| *mark == found);
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

/// Bytes that can begin a sign that needs a mark, or a character that is not allowed.
const SUSPECT: [bool; 256] = {
    let mut suspect = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        suspect[control] = !matches!(control as u8, b'\t' | b'\n' | b'\r');
        control += 1;
    }
    let others = [b'\\', b'!', b':', 0x7f, 0xc2, 0xe2, FIRST_BYTE];
    let mut at = 0;
    while at < others.len() {
        suspect[others[at] as usize] = true;
        at += 1;
    }
    suspect
};

/// The character at a place, if YAML 1.1 does not allow it.
fn forbidden(text: &str, at: usize) -> Option<char> {
    let found = text.get(at..)?.chars().next()?;
    (found.is_control() || matches!(found, '\u{fffe}' | '\u{ffff}')).then_some(found)
}

/// The sign at a place and its length, if it needs a mark.
fn sign(text: &[u8], at: usize) -> Option<(Sign, usize)> {
    let rest = text.get(at..)?;
    match rest {
        [b'\\', b'\'', ..] => escapes(text, at).then_some((Sign::Backslash, 1)),
        [b':', next, ..] => {
            let before = text.get(..at)?.last()?;
            let plain = !matches!(
                before,
                b' ' | b'\t' | b'\n' | b'\r' | b'"' | b'\'' | b'[' | b']' | b'{' | b'}' | b','
            );
            let marked = matches!(next, b',' | b'?' | b'[' | b']' | b'{' | b'}');
            (plain && marked).then_some((Sign::Colon, 1))
        }
        [b'!', ..] => comma_after_tag(rest).then_some((Sign::Tag, 1)),
        [0xc2, 0x85, ..] => Some((Sign::Separator('\u{85}'), 2)),
        [0xe2, 0x80, 0xa8, ..] => Some((Sign::Separator('\u{2028}'), 3)),
        [0xe2, 0x80, 0xa9, ..] => Some((Sign::Separator('\u{2029}'), 3)),
        [0xef, 0xbb, 0xbf, ..] => Some((Sign::ByteOrderMark, 3)),
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
