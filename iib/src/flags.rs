//! The flags of the command, in place of the members of the API's documents.

/// Flags, by the members of the call's document that they set.
const FLAGS: [(&str, &str); 23] = [
    ("add_arches", "--arch"),
    ("binary_image", "--binary-image"),
    ("build_tags", "--build-tag"),
    ("bundle_replacements", "--replace"),
    ("bundles", "--bundle"),
    ("deprecation_list", "--deprecate"),
    ("deprecation_schema", "--file"),
    ("distribution_scope", "--distribution-scope"),
    ("fbc_fragments", "--fragment"),
    ("from_index", "--from-index"),
    ("graph_update_mode", "--graph-update-mode"),
    ("labels", "--label"),
    ("operator_package", "--operator-package"),
    ("operators", "--operator"),
    ("output_fbc", "--output-fbc"),
    ("output_format", "--output-format"),
    ("overwrite_from_index", "--overwrite"),
    ("overwrite_from_index_token", "--login-file"),
    ("overwrite_target_index", "--overwrite"),
    ("overwrite_target_index_token", "--login-file"),
    ("registry_auths", "--auth-file"),
    ("source_from_index", "--source-from-index"),
    ("target_index", "--target-index"),
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
