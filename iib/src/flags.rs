//! The flags of the command, in place of the members of the API's documents.

/// Flags, by the members of the call's document that they set.
const FLAGS: [(&str, &str); 9] = [
    ("add_arches", "--arch"),
    ("binary_image", "--binary-image"),
    ("build_tags", "--build-tag"),
    ("bundles", "--bundle"),
    ("distribution_scope", "--distribution-scope"),
    ("from_index", "--from-index"),
    ("labels", "--label"),
    ("operators", "--operator"),
    ("output_fbc", "--output-fbc"),
];

/// Members that stand in a text in quotes, or as a word that is nothing else: `bundles` is one.
pub(crate) fn with_flags(text: &str) -> String {
    let mut text = text.to_owned();
    for (member, flag) in FLAGS {
        for quote in ['"', '\'', '`'] {
            text = text.replace(&format!("{quote}{member}{quote}"), flag);
        }
        if member.contains('_') {
            let word = |word: &str| if word == member { flag } else { word }.to_owned();
            text = text.split(' ').map(word).collect::<Vec<_>>().join(" ");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_flags() {
        for (said, told) in [
            ("\"bundles\" must be a list", "--bundle must be a list"),
            (
                "Please specify a binary_image value in the request.",
                "Please specify a --binary-image value in the request.",
            ),
            (
                "No bundles in r.example/binary_image:v1",
                "No bundles in r.example/binary_image:v1",
            ),
        ] {
            assert_eq!(with_flags(said), told);
        }
    }
}
