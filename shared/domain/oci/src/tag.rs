//! What can be a tag (distribution specification, "Pulling manifests"): the one place that knows.

/// The longest tag, in bytes.
const LIMIT: usize = 128;

/// [`is_tag`] in words, for messages.
pub const TAG_GRAMMAR: &str =
    "a tag is at most 128 letters, digits and . _ -, and does not begin with . or -";

/// Whether registries take this text for a tag. One that passes is safe as the name of a file, and has
/// no sign that means something in a path, a query or a pull spec.
pub fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= LIMIT
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::{LIMIT, TAG_GRAMMAR, is_tag};

    #[test]
    fn a_tag_begins_with_a_letter_a_digit_or_an_underscore() {
        let longest = "a".repeat(LIMIT);
        for tag in ["latest", "V1.0_x-y", "_", "_a", "0", "4.15-z", &longest] {
            assert!(is_tag(tag), "{tag}");
        }
        let longer = "a".repeat(LIMIT + 1);
        for text in [
            "", ".", "..", ".a", "-a", "a/b", "a:b", "a@b", "a b", "a\0", "ä", &longer,
        ] {
            assert!(!is_tag(text), "{text}");
        }
    }

    #[test]
    fn the_words_name_the_limit() {
        assert!(TAG_GRAMMAR.contains(&LIMIT.to_string()));
    }
}
