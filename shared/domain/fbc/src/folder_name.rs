//! Names of packages that can be those of their folders.

/// Longest name in bytes. Those of files made of it stay below the 255 that file systems take.
const LONGEST: usize = 200;

/// How names of files begin that hide others in the layer of an image (OCI image-spec, layer.md).
const WHITEOUT: &str = ".wh.";

/// Whether a folder in a layer of an image can have the name of a package.
pub fn is_folder_name(package: &str) -> bool {
    (1..=LONGEST).contains(&package.len())
        && !matches!(package, "." | "..")
        && !package.starts_with(WHITEOUT)
        && !package.contains(|sign: char| matches!(sign, '/' | '\\') || sign.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_a_path_and_hides_nothing() {
        let long = "a".repeat(LONGEST);
        for name in ["lantern", ".lantern", "3scale", "a..b", &long] {
            assert!(is_folder_name(name), "{name}");
        }
        let longer = format!("{long}a");
        let others = [
            "",
            "..",
            ".",
            "a/b",
            "a\\b",
            "/a",
            ".wh.a",
            ".wh..wh..opq",
            "a\nb",
            "a\0",
            &longer,
        ];
        for name in others {
            assert!(!is_folder_name(name), "{name:?}");
        }
    }
}
