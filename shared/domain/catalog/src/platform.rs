//! Which versions of the platform a bundle is for (worker flows §9, table `bundle_version_valid`): the label
//! `com.redhat.openshift.versions` of its image.
//!
//! | label | for |
//! |---|---|
//! | `v4.6` | that version and all later ones |
//! | `v4.6,v4.8` | the earliest of them and all later ones |
//! | `=v4.6` | just that one |
//! | `v4.6-v4.8` | those, both ends included |
//! | `=v4.6\|>=v4.8` | whatever one of them says; each begins with `=` or `>=` |
//!
//! Versions are read as the reference does, by the rules of Python packages. A label that cannot be
//! read fits nothing.

use std::str::FromStr;

use pep440_rs::Version;

/// An index whose version cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid OCP version, \"{0}\", specified in Index Image")]
pub struct InvalidPlatform(pub String);

/// Whether a bundle with this label fits an index of this version. Without a label it does if `unlabelled`
/// ones do.
///
/// # Errors
/// [`InvalidPlatform`].
pub fn fits_platform(
    label: Option<&str>,
    index_version: &str,
    unlabelled: bool,
) -> Result<bool, InvalidPlatform> {
    let index = Version::from_str(index_version.trim());
    let index = index.map_err(|_| InvalidPlatform(index_version.to_owned()))?;
    Ok(match label.filter(|label| !label.is_empty()) {
        None => unlabelled,
        Some(label) => fits(label, &index).unwrap_or(false),
    })
}

/// `None` for a label that cannot be read.
fn fits(label: &str, index: &Version) -> Option<bool> {
    if label.contains('|') {
        let parts: Vec<&str> = label.split('|').collect();
        if !parts
            .iter()
            .all(|part| part.starts_with('=') || part.starts_with(">="))
        {
            return None;
        }
        for part in parts {
            let fits = match part.strip_prefix(">=") {
                Some(least) => *index >= version(least)?,
                None => *index == version(&part.replace('=', ""))?,
            };
            // What comes behind one that fits is not looked at.
            if fits {
                return Some(true);
            }
        }
        return Some(false);
    }
    if let Some((first, last)) = label.split_once('-') {
        return Some((version(first)?..=version(last)?).contains(index));
    }
    if let Some(exact) = label.strip_prefix('=') {
        return Some(*index == version(&exact.replace('=', ""))?);
    }
    let versions: Option<Vec<Version>> = label.split(',').map(version).collect();
    let least = versions?.into_iter().min()?;
    Some(*index >= least)
}

/// A version, wherever in it a `v` stands.
fn version(text: &str) -> Option<Version> {
    Version::from_str(text.replace('v', "").trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_says_for_which_versions() {
        for (label, fitting) in [
            ("v4.6", "v4.6 v4.7 v4.10"),
            ("4.6", "v4.6 v4.7 v4.10"),
            ("v4.7,v4.6", "v4.6 v4.7 v4.10"),
            ("=v4.6", "v4.6"),
            ("v4.6-v4.7", "v4.6 v4.7"),
            ("v4.5 - v4.6", "v4.5 v4.6"),
            ("=v4.5|>=v4.7", "v4.5 v4.7 v4.10"),
            (">=v4.5|=bad", "v4.5 v4.6 v4.7 v4.10"),
            // What cannot be read.
            (">=v4.5", ""),
            ("=v4.5|v4.6", ""),
            ("=bad|>=v4.5", ""),
            ("v4.5-v4.6-v4.7", ""),
            ("v4.5,", ""),
            ("latest", ""),
            ("v4.5 v4.6", ""),
        ] {
            let all = ["v4.5", "v4.6", "v4.7", "v4.10"];
            let fits = |index: &&str| fits_platform(Some(label), index, false).unwrap();
            let found: Vec<&str> = all.into_iter().filter(fits).collect();
            assert_eq!(found.join(" "), fitting, "{label}");
        }
        for (unlabelled, label) in [(true, None), (true, Some("")), (false, None)] {
            assert_eq!(fits_platform(label, "v4.6", unlabelled), Ok(unlabelled));
        }
        for wrong in ["v4.5,v4.6", "None", "=v4.6", ""] {
            let refused = fits_platform(Some("v4.5"), wrong, false).unwrap_err();
            assert!(refused.to_string().contains(&format!("\"{wrong}\"")));
        }
    }
}
