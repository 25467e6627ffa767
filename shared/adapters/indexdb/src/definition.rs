//! Definitions of objects (`CREATE …`), compared by their words.
//!
//! The reference spells the schema with other white space, and its renamed tables with quotes; the
//! engine keeps definitions as they were written.

/// The words of a statement: names and keywords in lower case and without quotes, signs one by one,
/// texts in `'` as they are. White space and comments are left out.
///
/// A quoted keyword equals the keyword. That cannot be used to pass off one statement for another
/// with a different meaning: quoted, it is a name, where the grammar wants the keyword.
pub(crate) fn words(statement: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = statement;
    while let Some(first) = rest.chars().next() {
        let (word, length) = match first {
            _ if first.is_ascii_whitespace() => (None, 1),
            // White space to the engine, where it begins a word.
            '\u{feff}' => (None, first.len_utf8()),
            '-' if rest.starts_with("--") => (None, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => (None, closed(rest, 2, "*/")),
            '\'' => {
                let length = closed(rest, 1, "'");
                (rest.get(..length).map(str::to_owned), length)
            }
            '"' | '`' => quoted(rest, if first == '"' { "\"" } else { "`" }),
            '[' => quoted(rest, "]"),
            _ if is_word(first) => {
                let length = rest.find(|sign| !is_word(sign)).unwrap_or(rest.len());
                (rest.get(..length).map(str::to_ascii_lowercase), length)
            }
            _ => (Some(first.to_string()), first.len_utf8()),
        };
        words.extend(word);
        rest = rest.get(length..).unwrap_or_default();
    }
    words
}

fn is_word(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || matches!(sign, '_' | '$') || !sign.is_ascii()
}

/// Length up to and with the closing sign; all of it when that is missing.
fn closed(text: &str, from: usize, sign: &str) -> usize {
    text.get(from..)
        .and_then(|inner| inner.find(sign))
        .map_or(text.len(), |at| from + at + sign.len())
}

/// A name in quotes, all of one byte. Doubled quotes are not understood: they make two words, which
/// equal nothing in the schema.
fn quoted(text: &str, close: &str) -> (Option<String>, usize) {
    let length = closed(text, 1, close);
    let name = text.get(1..length - 1).unwrap_or_default();
    (Some(name.to_ascii_lowercase()), length)
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn spelling_plays_no_part_in_the_words_of_a_definition() {
        let expected = ["create", "table", "a", "(", "b", "text", ",", "c", ")"];
        for statement in [
            "CREATE TABLE a (b TEXT, c)",
            "create\n\ttable \"A\"(`b` Text,[c])",
            "CREATE TABLE a -- (x, y)\n(b /* CHECK (b) */ TEXT, c)",
        ] {
            assert_eq!(words(statement), expected, "{statement}");
        }
    }

    #[test]
    fn what_could_change_a_meaning_stays_in_the_words() {
        for (statement, expected) in [
            ("'It''s'", &["'It'", "'s'"][..]),
            ("a='B c'", &["a", "=", "'B c'"]),
            ("\"b c\"", &["b c"]),
            ("\"a\"\"b\"", &["a", "b"]),
            ("x'ab", &["x", "'ab"]),
            ("\"ab", &["a"]),
            ("\"", &[""]),
            ("/* open", &[]),
            ("-- open", &[]),
            ("ä\u{a0}b", &["ä\u{a0}b"]),
            ("\u{feff}check", &["check"]),
            ("é-1", &["é", "-", "1"]),
        ] {
            assert_eq!(words(statement), expected, "{statement}");
        }
    }
}
