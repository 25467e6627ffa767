//! What is not as it was in the files of a bundle.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use similar::TextDiff;

use crate::Regenerated;

/// Lines that are shown around each change.
const CONTEXT: usize = 3;

/// The changes of the files of a bundle, by their paths.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct FilesDiff {
    /// In the unified form, as `diff -u` writes it and `patch` reads it.
    pub files: BTreeMap<String, String>,
}

impl FilesDiff {
    /// What `after` changed in the files `before`.
    pub fn between(before: &BTreeMap<String, Vec<u8>>, after: &Regenerated) -> Self {
        let files = after.files.iter().map(|(file, text)| {
            let before = before.get(file).map(|bytes| String::from_utf8_lossy(bytes));
            let before = before.unwrap_or_default();
            let diff = TextDiff::from_lines(&*before, text);
            let mut unified = diff.unified_diff();
            let unified = unified
                .context_radius(CONTEXT)
                .header(&format!("a/{file}"), &format!("b/{file}"));
            (file.clone(), unified.to_string())
        });
        Self {
            files: files.collect(),
        }
    }
}

impl fmt::Display for FilesDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.values().try_for_each(|diff| f.write_str(diff))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_is_one_that_other_programs_read() {
        let text = |last: &str| format!("a: 1\nb: 2\nc: 3\nd: 4\ne: {last}");
        let before = BTreeMap::from([("manifests/csv.yaml".to_owned(), text("5").into_bytes())]);
        let after = Regenerated {
            files: BTreeMap::from([("manifests/csv.yaml".to_owned(), text("6"))]),
            ..Regenerated::default()
        };
        assert_eq!(
            FilesDiff::between(&before, &after).to_string(),
            "--- a/manifests/csv.yaml\n+++ b/manifests/csv.yaml\n@@ -2,4 +2,4 @@\n b: 2\n c: 3\n d: 4\n-e: 5\n\
             \\ No newline at end of file\n+e: 6\n\\ No newline at end of file\n"
        );
        assert_eq!(
            FilesDiff::between(&before, &Regenerated::default()).to_string(),
            ""
        );
    }
}
