//! Secrets in texts of others.

use url::form_urlencoded;

use super::credential::Secret;

/// What stands in the place of a secret.
const MASK: &str = "***";

/// What stands in the place of a text in which a secret is too short to be told from a part of a word: where it
/// is left out would say what it is.
const ALL_MASKED: &str = "it repeats the login";

/// The fewest characters of a secret, or of its beginning where the text ends in it because it was cut short, that are
/// no chance.
const FEW: usize = 4;

/// The text with a mask in the place of each secret, in each form in which it may be repeated.
pub(super) fn mask(text: String, secrets: &[Secret]) -> String {
    let mut forms: Vec<Secret> = secrets.iter().flat_map(forms).collect();
    forms.retain(|form| !form.expose().is_empty());
    // One that another one begins with would leave the rest of that.
    forms.sort_by_key(|form| std::cmp::Reverse(form.expose().len()));
    let is_short = |form: &&Secret| form.expose().chars().count() < FEW;
    let mut short = forms.iter().filter(is_short);
    if short.any(|form| text.contains(form.expose())) {
        return ALL_MASKED.to_owned();
    }
    let mut text = text;
    for form in &forms {
        text = text.replace(form.expose(), MASK);
    }
    for form in &forms {
        let form = form.expose();
        let beginnings = form.char_indices().map(|(end, _)| &form[..end]);
        let cut = beginnings
            .skip(FEW)
            .filter(|part| text.ends_with(part))
            .last();
        if let Some(cut) = cut {
            text.truncate(text.len() - cut.len());
            text.push_str(MASK);
        }
    }
    text
}

/// As it is, with its white space as texts are told with; as a form has it, in which tokens are sent; and as JSON and
/// HTML have it.
fn forms(secret: &Secret) -> Vec<Secret> {
    let text = secret.expose();
    let json = serde_json::Value::from(text).to_string();
    let html = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;");
    [
        text.to_owned(),
        text.split_whitespace().collect::<Vec<_>>().join(" "),
        form_urlencoded::byte_serialize(text.as_bytes()).collect(),
        json.trim_matches('"').to_owned(),
        html,
    ]
    .map(Secret::new)
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_wherever_it_stands_and_where_it_was_cut_short() {
        let secrets =
            ["YW5uOnMzY3JldA==", "s3crét", "", "s3crétissime", "a b\"c&d"].map(Secret::new);
        for (text, masked) in [
            ("no such image", "no such image"),
            (
                "Basic YW5uOnMzY3JldA==: s3crét, s3crét",
                "Basic ***: ***, ***",
            ),
            ("Authorization: Basic YW5uOn", "Authorization: Basic ***"),
            ("for s3cré", "for ***"),
            ("for s3c", "for s3c"),
            ("for s3crétissime!", "for ***!"),
            ("a+b%22c%26d, a b\\\"c&d, a b&quot;c&amp;d", "***, ***, ***"),
            ("", ""),
        ] {
            assert_eq!(mask(text.to_owned(), &secrets), masked);
        }
    }

    #[test]
    fn where_a_short_secret_stands_nothing_is_told() {
        let short = [Secret::new("e")];
        assert_eq!(mask("manifest unknown".to_owned(), &short), ALL_MASKED);
        assert_eq!(mask("busy".to_owned(), &short), "busy");
    }
}
