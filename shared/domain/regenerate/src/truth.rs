//! Labels that mean yes or no.

use iib_bundle::{YamlDocument, YamlValue};

/// Whether the value of a label means yes: read as YAML, it is neither false, null, zero nor empty
/// (regenerate-bundle §4). Words such as `no` and `off` are texts, so they mean yes, as for today's service.
pub fn is_true(value: &str) -> bool {
    let Ok(document) = YamlDocument::parse(value) else {
        return true;
    };
    let Some(root) = document.root() else {
        return false;
    };
    match document.value(root) {
        YamlValue::Null => false,
        YamlValue::Bool(value) => value,
        YamlValue::Number { is_zero } => !is_zero,
        YamlValue::Text(text) => !text.is_empty(),
        YamlValue::List => !document.items(root).is_empty(),
        YamlValue::Mapping => !document.members(root).is_empty(),
        YamlValue::Other => true,
    }
}

#[cfg(test)]
mod tests {
    use super::is_true;

    #[test]
    fn what_is_not_false_null_zero_or_empty_means_yes() {
        for yes in ["true", "True", "1", "yes", "no", "off", "None", "[0]"] {
            assert!(is_true(yes), "{yes}");
        }
        for no in [
            "false",
            "False",
            "0",
            "0.0",
            "null",
            "~",
            "",
            " ",
            "''",
            "[]",
            "{}",
            "# x",
            "!!bool 'false'",
        ] {
            assert!(!is_true(no), "{no}");
        }
    }
}
