//! Paths of tar entries, kept inside their root.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A path inside a layer: relative, in UTF-8, without `.`, `..` and empty parts. The root itself
/// is the empty path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryPath(String);

/// A path that no layer may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathFault {
    /// It has a part `..`.
    #[error("the path leads out of its directory")]
    Parent,
    /// It is not UTF-8, or holds a NUL byte.
    #[error("the path is not text")]
    NotText,
}

/// Whether the name of an entry is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IsText {
    Yes,
    No,
}

/// The prefix of names that delete something of the layers below (OCI image layer, whiteouts).
const WHITEOUT: &str = ".wh.";
/// The name that hides everything the layers below have in its directory.
const OPAQUE: &str = ".wh..wh..opq";

/// What a whiteout takes away from the layers below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whiteout {
    /// This path, with all below it if it is a directory.
    Path(EntryPath),
    /// Everything below this directory, but not the directory.
    Below(EntryPath),
    /// Nothing: the bookkeeping of a storage driver (`.wh..wh.plnk` of AUFS).
    Nothing,
}

impl EntryPath {
    /// The path of an entry as it stands in an archive. A leading `/` or `./`, a trailing `/` and
    /// empty parts are dropped, since builders differ in them: every path counts from the root of
    /// the image, as GNU tar and the containers' tools have it.
    ///
    /// # Errors
    /// [`PathFault`]; class Reject.
    pub fn parse(raw: &[u8]) -> Result<Self, PathFault> {
        match Self::of_entry(raw)? {
            (path, IsText::Yes) => Ok(path),
            (_, IsText::No) => Err(PathFault::NotText),
        }
    }

    /// The same for a name that need not be text: what is not becomes U+FFFD, which tells at
    /// least the directory.
    pub(super) fn of_entry(raw: &[u8]) -> Result<(Self, IsText), PathFault> {
        if raw.split(|b| *b == b'/').any(|part| part == b"..") {
            return Err(PathFault::Parent);
        }
        let text = String::from_utf8_lossy(raw);
        let is_text = match &text {
            Cow::Borrowed(text) if !text.contains('\0') => IsText::Yes,
            _ => IsText::No,
        };
        let parts: Vec<&str> = text
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        Ok((Self(parts.join("/")), is_text))
    }

    /// Whether this is the root itself.
    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path as text, parts joined by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory and the name in it; `None` for the root.
    pub(super) fn split(&self) -> Option<(&str, &str)> {
        match self.0.rsplit_once('/') {
            Some(pair) => Some(pair),
            None if self.0.is_empty() => None,
            None => Some(("", &self.0)),
        }
    }

    /// Whether `self` is `other` or below it.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self == other || self.is_below(other)
    }

    /// Whether `self` is below the directory `other`.
    pub(super) fn is_below(&self, other: &Self) -> bool {
        other.0.is_empty() && !self.0.is_empty()
            || self
                .0
                .strip_prefix(&other.0)
                .is_some_and(|rest| rest.starts_with('/'))
    }

    /// The root of the layer.
    pub(super) fn root() -> Self {
        Self(String::new())
    }

    /// The directories it is in, the nearest first and the root last.
    pub(super) fn directories(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.split(), |(directory, _)| {
            match directory.rsplit_once('/') {
                Some(pair) => Some(pair),
                None => (!directory.is_empty()).then_some(("", *directory)),
            }
        })
        .map(|(directory, _)| Self(directory.to_owned()))
    }

    /// The path of `name` in this directory.
    pub(super) fn child(&self, name: &str) -> Self {
        Self(if self.0.is_empty() {
            name.to_owned()
        } else {
            format!("{}/{name}", self.0)
        })
    }

    /// What the entry takes away, if its name makes it a whiteout.
    pub(super) fn whiteout(&self) -> Option<Whiteout> {
        let (directory, name) = self.split()?;
        let directory = Self(directory.to_owned());
        if name == OPAQUE {
            return Some(Whiteout::Below(directory));
        }
        let hidden = name.strip_prefix(WHITEOUT)?;
        Some(if hidden.is_empty() || hidden.starts_with(WHITEOUT) {
            Whiteout::Nothing
        } else {
            Whiteout::Path(directory.child(hidden))
        })
    }
}

impl Whiteout {
    /// Whether the path is one of those taken away.
    pub(super) fn hides(&self, path: &EntryPath) -> bool {
        match self {
            Self::Path(hidden) => path.is_within(hidden),
            Self::Below(directory) => path.is_below(directory),
            Self::Nothing => false,
        }
    }
}

impl FromStr for EntryPath {
    type Err = PathFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text.as_bytes())
    }
}

impl fmt::Display for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> EntryPath {
        text.parse().unwrap()
    }

    #[test]
    fn spellings_of_one_path_are_equal() {
        for text in [
            "a/b",
            "./a/b",
            "a//b",
            "a/./b",
            "a/b/",
            "././a/b//",
            "/a/b",
            "//a/b",
            "/./a/b/",
        ] {
            assert_eq!(path(text).as_str(), "a/b", "{text}");
        }
        for text in ["./", "/", "//", ".", "", "/./"] {
            assert!(path(text).is_root(), "{text}");
        }
    }

    #[test]
    fn a_path_knows_the_directories_it_is_in() {
        let above = |text| -> Vec<String> {
            let path = path(text);
            let directories = path.directories();
            directories.map(|found| found.to_string()).collect()
        };
        assert_eq!(above("a/b/c"), ["a/b", "a", ""]);
        assert_eq!(above("a"), [""]);
        assert_eq!(above(""), [""; 0]);
    }

    #[test]
    fn paths_that_leave_their_root_are_refused() {
        for (raw, fault) in [
            (&b"../x"[..], PathFault::Parent),
            (b"/../x", PathFault::Parent),
            (b"..\xff/../x", PathFault::Parent),
            (b"a/../../x", PathFault::Parent),
            (b"a/..", PathFault::Parent),
            (b"a\xff", PathFault::NotText),
            (b"a\0b", PathFault::NotText),
        ] {
            assert_eq!(EntryPath::parse(raw), Err(fault), "{raw:?}");
        }
        assert_eq!(path("a/..b/...").as_str(), "a/..b/...");
        let (lossy, is_text) = EntryPath::of_entry(b"a/b\xff").unwrap();
        assert_eq!((lossy.as_str(), is_text), ("a/b\u{fffd}", IsText::No));
    }

    #[test]
    fn whiteouts_name_what_they_hide() {
        for (entry, hidden, kept) in [
            ("d/.wh.x", vec!["d/x", "d/x/y"], vec!["d", "d/xy", "x"]),
            (".wh.d", vec!["d", "d/x"], vec!["dd", "e/d"]),
            ("d/.wh..wh..opq", vec!["d/x", "d/x/y"], vec!["d", "dd/x"]),
            (".wh..wh..opq", vec!["d", "d/x"], vec![""]),
        ] {
            let whiteout = path(entry).whiteout().unwrap();
            for p in hidden {
                assert!(whiteout.hides(&path(p)), "{entry} {p}");
            }
            for p in kept {
                assert!(!whiteout.hides(&path(p)), "{entry} {p}");
            }
        }
        for entry in [".wh.", ".wh..wh.plnk", "d/.wh..wh.aufs"] {
            assert_eq!(path(entry).whiteout(), Some(Whiteout::Nothing), "{entry}");
        }
        for entry in ["x", "d/.whx", "d/x.wh.y", ".wh.d/x"] {
            assert_eq!(path(entry).whiteout(), None, "{entry}");
        }
    }
}
