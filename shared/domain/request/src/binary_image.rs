//! Which binary image an index is built on.

use crate::BinaryImages;

/// The word that stands for "no binary image".
pub const SCRATCH: &str = "scratch";

/// The binary image cannot be settled. Texts as worker flows §4.3.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BinaryImageError {
    /// Neither the request nor the settings name one.
    #[error(
        "IIB does not have a configured binary_image for distribution_scope : {scope} and ocp_version: {version}. Please specify a binary_image value in the request."
    )]
    Unconfigured {
        /// The settled scope.
        scope: String,
        /// Version of the index.
        version: String,
    },
    /// The settings want none, the request names one.
    #[error("The index image must be built as a binaryless for {0}.")]
    MustBeScratch(String),
    /// The request wants none, the settings name one.
    #[error("The index image should not be binaryless for {0}.")]
    MustNotBeScratch(String),
}

/// The binary image as a text: the requested one, else that of the settings for this scope and
/// version. Where either of them is `scratch`, both have to be (worker flows §4.3, table
/// `binary_image`).
///
/// # Errors
/// [`BinaryImageError`], a reason to reject the request.
pub fn settle_binary_image(
    requested: Option<&str>,
    configured: &BinaryImages,
    scope: &str,
    version: &str,
) -> Result<String, BinaryImageError> {
    let setting = configured
        .get(scope)
        .and_then(|versions| versions.get(version))
        .map(String::as_str)
        .filter(|image| !image.is_empty());
    match (requested, setting) {
        (None, None) => Err(BinaryImageError::Unconfigured {
            scope: scope.to_owned(),
            version: version.to_owned(),
        }),
        (None, Some(setting)) => Ok(setting.to_owned()),
        (Some(requested), Some(SCRATCH)) if requested != SCRATCH => {
            Err(BinaryImageError::MustBeScratch(version.to_owned()))
        }
        (Some(SCRATCH), setting) if setting != Some(SCRATCH) => {
            Err(BinaryImageError::MustNotBeScratch(version.to_owned()))
        }
        (Some(requested), _) => Ok(requested.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_wins_unless_one_side_wants_no_binary_image() {
        let images: BinaryImages =
            serde_json::from_str(r#"{"prod": {"v4.6": "r.example/b:1", "v4.9": "scratch"}}"#)
                .unwrap();
        let settle = |requested, version| settle_binary_image(requested, &images, "prod", version);
        assert_eq!(
            settle(Some("r.example/x:1"), "v4.6").unwrap(),
            "r.example/x:1"
        );
        assert_eq!(
            settle(Some("r.example/x:1"), "v1").unwrap(),
            "r.example/x:1"
        );
        assert_eq!(settle(None, "v4.6").unwrap(), "r.example/b:1");
        assert_eq!(settle(None, "v4.9").unwrap(), "scratch");
        assert_eq!(settle(Some("scratch"), "v4.9").unwrap(), "scratch");
        for (requested, version, text) in [
            (
                None,
                "v1",
                "IIB does not have a configured binary_image for distribution_scope : prod and ocp_version: v1. Please specify a binary_image value in the request.",
            ),
            (
                Some("r.example/x:1"),
                "v4.9",
                "The index image must be built as a binaryless for v4.9.",
            ),
            (
                Some("scratch"),
                "v4.6",
                "The index image should not be binaryless for v4.6.",
            ),
            (
                Some("scratch"),
                "v1",
                "The index image should not be binaryless for v1.",
            ),
        ] {
            assert_eq!(settle(requested, version).unwrap_err().to_string(), text);
        }
    }
}
