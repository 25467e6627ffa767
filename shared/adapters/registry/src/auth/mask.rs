//! Secrets in texts of others.

use super::credential::Secret;

/// What stands in the place of a secret.
const MASK: &str = "***";

/// The fewest characters by which the beginning of a secret is known, where the text ends in it because
/// it was cut short.
const BEGINNING: usize = 4;

/// The text with a mask in the place of each secret.
pub(super) fn mask(mut text: String, secrets: &[Secret]) -> String {
    for secret in secrets {
        let secret = secret.expose();
        if secret.is_empty() {
            continue;
        }
        text = text.replace(secret, MASK);
        let beginnings = secret.char_indices().map(|(end, _)| &secret[..end]);
        let cut = beginnings
            .skip(BEGINNING)
            .filter(|part| text.ends_with(part))
            .last();
        if let Some(cut) = cut {
            text.truncate(text.len() - cut.len());
            text.push_str(MASK);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_wherever_it_stands_and_where_it_was_cut_short() {
        let secrets = ["YW5uOnMzY3JldA==", "s3crét", ""].map(Secret::new);
        for (text, masked) in [
            ("no such image", "no such image"),
            (
                "Basic YW5uOnMzY3JldA==: s3crét, s3crét",
                "Basic ***: ***, ***",
            ),
            ("Authorization: Basic YW5uOn", "Authorization: Basic ***"),
            ("for s3cré", "for ***"),
            ("for s3c", "for s3c"),
            ("", ""),
        ] {
            assert_eq!(mask(text.to_owned(), &secrets), masked);
        }
    }
}
