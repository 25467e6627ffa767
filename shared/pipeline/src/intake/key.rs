//! Keys under which users may repeat a call (IETF draft "The Idempotency-Key HTTP Header Field").

use std::str::FromStr;

use iib_oci::Digest;
use iib_request::{KINDS, Rollback};
use serde_json::{Value, json};

use super::Asker;

impl Asker {
    /// The same under a key of theirs, with a call that says this: a list of what is called and the body. Users have
    /// keys of their own.
    #[must_use]
    pub fn with_key(self, key: &Key, call: &Value) -> Self {
        let whose = json!(["key", self.user, key.as_str()]);
        Self {
            once: Some(Digest::of(whose.to_string().as_bytes()).to_string()),
            asked_for: Some(Digest::of(without_secrets(call).to_string().as_bytes())),
            ..self
        }
    }
}

/// A key under which a call may be repeated (IETF, "The Idempotency-Key HTTP Header Field").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Longest key, characters.
    pub const LIMIT: usize = 255;

    /// The key itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = KeyError;

    /// A key with or without quotes around it.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let text = text.trim_matches(' ');
        let quoted = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        let key = quoted.unwrap_or(text);
        if key.len() > Self::LIMIT {
            return Err(KeyError::TooLong { length: key.len() });
        }
        let is_plain = |c: char| (' '..='~').contains(&c) && c != '"' && c != '\\';
        match !key.is_empty() && key.chars().all(is_plain) {
            true => Ok(Self(key.to_owned())),
            false => Err(KeyError::Characters),
        }
    }
}

/// A key cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is too long.
    #[error(
        "The Idempotency-Key has {length} characters, and at most {limit} are taken: send a shorter one, such as a UUID",
        limit = Key::LIMIT
    )]
    TooLong {
        /// How long it is.
        length: usize,
    },
    /// It is empty, or has characters that no key has.
    #[error(
        "The Idempotency-Key is to have at least one character, all of them letters, digits and other plain ones of ASCII: send a UUID, for instance"
    )]
    Characters,
    /// There is more than one.
    #[error("There are several Idempotency-Keys: send one")]
    Several,
}

/// A call without the secrets of its requests: when it is repeated they may be new. Only where requests have them are they
/// left out: in its body, and in those that a batch lists.
fn without_secrets(call: &Value) -> Value {
    let mut call = call.clone();
    for part in call.as_array_mut().into_iter().flatten() {
        let Value::Object(body) = part else { continue };
        body.retain(|name, _| !is_secret(name));
        let listed = body.get_mut("build_requests").and_then(Value::as_array_mut);
        for request in listed
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            request.retain(|name, _| !is_secret(name));
        }
    }
    call
}

fn is_secret(name: &str) -> bool {
    let kinds = KINDS.iter().flat_map(|kind| kind.parameters.iter());
    let mut parameters = kinds.chain(Rollback::PARAMETERS.iter());
    parameters.any(|parameter| parameter.name == name && parameter.is_secret())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_short_and_plain_with_or_without_quotes() {
        for (text, key) in [
            ("a", "a"),
            (
                "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"",
                "8e03978e-40d5-43dd-bc93-6894a57f9324",
            ),
            (" two words ", "two words"),
        ] {
            assert_eq!(text.parse::<Key>().unwrap().as_str(), key);
        }
        assert!("x".repeat(Key::LIMIT).parse::<Key>().is_ok());
        let long = "x".repeat(10_240);
        assert_eq!(
            long.parse::<Key>(),
            Err(KeyError::TooLong { length: 10_240 })
        );
        for text in ["", " ", "\"\"", "\"", "a\"b", "a\\b", "schlüssel", "a\nb"] {
            assert_eq!(text.parse::<Key>(), Err(KeyError::Characters), "{text:?}");
        }
    }

    #[test]
    fn a_call_is_known_by_its_user_its_key_and_what_it_says_but_for_secrets() {
        let asker = |user: &str, key: &str, call: Value| {
            Asker::from(Some(user.to_owned())).with_key(&key.parse().unwrap(), &call)
        };
        let call = |token: &str, tag: &str| {
            json!(["batch", {"build_requests": [
                {"overwrite_from_index_token": token, "cnr_token": token, "labels": {"cnr_token": tag}},
            ]}])
        };
        let one = asker("ann", "k", call("a:b", "1"));
        assert_eq!(one, asker("ann", "k", call("c:d", "1")));
        let other = asker("ann", "k", call("a:b", "2"));
        assert_eq!(one.once, other.once);
        assert_ne!(one.asked_for, other.asked_for);
        for (user, key) in [("bob", "k"), ("ann", "l")] {
            assert_ne!(one.once, asker(user, key, call("a:b", "1")).once);
        }
    }
}
