//! References to images as the newest version of the reference takes them in a catalog (newest-opm §4
//! "Bundles"). They need neither a host nor a tag, unlike the pull specs that this project works
//! with.

/// Host of references that name none.
const DEFAULT_HOST: &str = "docker.io";
/// Longest name with its host.
const NAME_LIMIT: usize = 255;
/// Longest tag.
const TAG_LIMIT: usize = 128;
/// Fewest digits of a digest of any kind.
const DIGEST_DIGITS: usize = 32;

const NO_REFERENCE: &str = "invalid reference format";

/// Says what is wrong with a reference, if anything is.
pub(crate) fn fault(text: &str) -> Option<String> {
    check(text).err()
}

fn check(text: &str) -> Result<(), String> {
    if is_digits(text, 64) {
        return Err(format!(
            "invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
        ));
    }
    let is_host = |part: &str| part.contains(['.', ':']) || part == "localhost";
    let (host, rest) = match text.split_once('/') {
        Some((first, rest)) if is_host(first) => (first, rest),
        _ => (DEFAULT_HOST, text),
    };
    let before_colon = rest.split(':').next().unwrap_or_default();
    if before_colon.to_lowercase() != before_colon {
        return Err(format!("{NO_REFERENCE}: repository name must be lowercase"));
    }
    let (named, digest) = match rest.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (rest, None),
    };
    let (path, tag) = match named.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (named, None),
    };
    let (algorithm, digits) = match digest {
        Some(digest) => digest.split_once(':').ok_or(NO_REFERENCE)?,
        None => ("", ""),
    };
    // A name that is no host may still be the first part of a path.
    let is_good = (is_host_and_port(host) || is_path_part(host))
        && path.split('/').all(is_path_part)
        && tag.is_none_or(is_tag)
        && (digest.is_none() || is_algorithm(algorithm) && is_hexadecimal(digits));
    if !is_good {
        return Err(NO_REFERENCE.to_owned());
    }
    if host.len() + 1 + path.len() > NAME_LIMIT {
        return Err(format!(
            "repository name must not be more than {NAME_LIMIT} characters"
        ));
    }
    let expected = match algorithm {
        "" => return Ok(()),
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err("unsupported digest algorithm".to_owned()),
    };
    match is_digits(digits, expected) {
        true => Ok(()),
        false => Err("invalid checksum digest format".to_owned()),
    }
}

/// Lower-case hexadecimal digits, exactly so many.
fn is_digits(text: &str, count: usize) -> bool {
    text.len() == count
        && text
            .bytes()
            .all(|sign| matches!(sign, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_hexadecimal(digits: &str) -> bool {
    digits.len() >= DIGEST_DIGITS && digits.bytes().all(|sign| sign.is_ascii_hexdigit())
}

/// Names of letters and digits that begin with a letter, joined by single signs.
fn is_algorithm(text: &str) -> bool {
    text.split(['-', '_', '+', '.']).all(|part| {
        part.starts_with(|first: char| first.is_ascii_alphabetic())
            && part.bytes().all(|sign| sign.is_ascii_alphanumeric())
    })
}

fn is_host_and_port(text: &str) -> bool {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|sign| sign.is_ascii_digit());
    let is_part = |part: &str| {
        let inner = |sign: u8| sign.is_ascii_alphanumeric() || sign == b'-';
        !part.is_empty()
            && part.bytes().all(inner)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    host.split('.').all(is_part) && port.is_none_or(is_port)
}

fn is_tag(text: &str) -> bool {
    let is_word = |sign: u8| sign.is_ascii_alphanumeric() || sign == b'_';
    text.len() <= TAG_LIMIT
        && text.bytes().next().is_some_and(is_word)
        && text
            .bytes()
            .all(|sign| is_word(sign) || matches!(sign, b'.' | b'-'))
}

/// Lower-case letters and digits, joined by `.`, `_`, `__`, or dashes.
fn is_path_part(text: &str) -> bool {
    let is_inner = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit();
    let joints = text.split(is_inner).filter(|joint| !joint.is_empty());
    text.starts_with(is_inner) && text.ends_with(is_inner) && { joints }
        .all(|joint| matches!(joint, "." | "_" | "__") || joint.bytes().all(|sign| sign == b'-'))
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn references_are_taken() {
        let digits = "ab".repeat(32);
        let longest = format!("r.invalid/{}", "a".repeat(245));
        for text in [
            "busybox",
            "library/busybox:1",
            "localhost/x",
            "LOCALHOST:5000/x",
            "r.invalid:5000/a/b__c/d--e.f_g:v1.0_a-B",
            &format!("r.invalid/a@sha256:{digits}"),
            &format!("r.invalid/a:1@sha256:{digits}"),
            &format!("a@sha512:{}", "0".repeat(128)),
            &"ab".repeat(31),
            &longest,
            &format!("a:{}", "x".repeat(128)),
        ] {
            assert_eq!(fault(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        let digits = "ab".repeat(32);
        for (text, words) in [
            (&*digits, "64-byte hexadecimal"),
            ("r.invalid/A", "must be lowercase"),
            ("Foo/bar", "must be lowercase"),
            ("a@SHA256:ab", "must be lowercase"),
            ("", "invalid reference format"),
            ("/a", "invalid reference format"),
            ("a/", "invalid reference format"),
            ("a//b", "invalid reference format"),
            ("https://r.invalid/a", "invalid reference format"),
            ("r.invalid/a:1 ", "invalid reference format"),
            ("r.invalid/a:1:2", "invalid reference format"),
            ("r.invalid/a:", "invalid reference format"),
            ("a:-x", "invalid reference format"),
            (
                &format!("a:{}", "x".repeat(129)),
                "invalid reference format",
            ),
            ("r.invalid:/a", "invalid reference format"),
            ("r.invalid:x/a", "invalid reference format"),
            ("-r.invalid/a", "invalid reference format"),
            ("a___b", "invalid reference format"),
            ("a..b", "invalid reference format"),
            ("a-", "invalid reference format"),
            ("ä", "invalid reference format"),
            ("a@", "invalid reference format"),
            ("a@sha256:abcdef", "invalid reference format"),
            (
                &format!("a@sha256:{digits}0"),
                "invalid checksum digest format",
            ),
            (
                &format!("a@sha256:{}", "AB".repeat(32)),
                "invalid checksum digest format",
            ),
            (&format!("a@md5:{digits}"), "unsupported digest algorithm"),
            (&format!("r.invalid/{}", "a".repeat(246)), "more than 255"),
        ] {
            let said = fault(text).unwrap_or_default();
            assert!(said.contains(words), "{text}: {said}");
        }
    }
}
