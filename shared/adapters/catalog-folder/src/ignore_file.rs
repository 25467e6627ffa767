//! Which files are left out of a catalog: the rules of `.indexignore` files as the reference applies
//! them (spec index-database §13). They look like Git's and differ: of all patterns of all such files
//! the last one that matches a file, or a folder it is in, decides, so that a file can be taken in
//! again from a folder that was left out. No library has these rules.

use std::path::Path;

/// The patterns of all ignore files of a catalog, in the order these are found.
#[derive(Debug, Default)]
pub(crate) struct Patterns(Vec<Pattern>);

#[derive(Debug)]
struct Pattern {
    /// The folder it holds in, as names from the root.
    folder: Vec<String>,
    /// What is between its slashes.
    parts: Vec<Part>,
    /// It takes files in again.
    takes_in: bool,
    /// It is for folders and what is in them.
    folders_only: bool,
}

#[derive(Debug)]
enum Part {
    /// Nothing, as before a slash at the beginning.
    Empty,
    /// `**`
    AnyFolders,
    Name(Vec<Sign>),
    /// One that cannot be understood, or has `**` inside: it matches nothing.
    Broken,
}

/// A part of a pattern for a name.
#[derive(Debug)]
enum Sign {
    /// `*`
    Some,
    /// `?`
    One,
    Exactly(char),
    /// `[…]`
    OneOf {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Patterns {
    /// Takes in the lines of an ignore file in a folder relative to the root.
    pub(crate) fn add(&mut self, folder: &Path, lines: &str) {
        let folder = names(folder);
        for line in lines.lines().map(str::trim) {
            if !line.is_empty() && !line.starts_with('#') {
                self.0.push(Pattern::new(folder.clone(), line));
            }
        }
    }

    /// Whether a file, relative to the root, is left out.
    pub(crate) fn leave_out(&self, file: &Path) -> bool {
        let path = names(file);
        let mut last_first = self.0.iter().rev();
        last_first
            .find(|pattern| pattern.matches(&path))
            .is_some_and(|pattern| !pattern.takes_in)
    }
}

fn names(path: &Path) -> Vec<String> {
    let names = path.iter();
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

impl Pattern {
    fn new(folder: Vec<String>, line: &str) -> Self {
        let (takes_in, line) = match line.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let (folders_only, line) = match line.strip_suffix('/') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        Self {
            folder,
            parts: line.split('/').map(Part::new).collect(),
            takes_in,
            folders_only,
        }
    }

    fn matches(&self, path: &[String]) -> bool {
        match path.strip_prefix(self.folder.as_slice()) {
            None | Some([]) => false,
            Some(path) => match self.parts.as_slice() {
                [part] => self.matches_a_name(part, path),
                parts => self.matches_the_way(parts, path),
            },
        }
    }

    /// A pattern without a slash: the file, or any folder it is in.
    fn matches_a_name(&self, part: &Part, path: &[String]) -> bool {
        let found = path.iter().position(|name| part.matches(name));
        found.is_some_and(|at| !self.folders_only || at + 1 < path.len())
    }

    /// A pattern with slashes: the way to the file from the beginning, as far as the pattern goes.
    fn matches_the_way(&self, parts: &[Part], mut path: &[String]) -> bool {
        let mut matched = false;
        let mut anywhere = false;
        for (at, part) in parts.iter().enumerate() {
            match part {
                Part::Empty => anywhere = false,
                Part::AnyFolders if at + 1 == parts.len() => break,
                Part::AnyFolders => anywhere = true,
                Part::Name(_) | Part::Broken => {
                    let reach = if anywhere {
                        path.len()
                    } else {
                        path.len().min(1)
                    };
                    let mut reached = path.iter().take(reach);
                    let Some(found) = reached.position(|name| part.matches(name)) else {
                        return false;
                    };
                    path = path.get(found + 1..).unwrap_or_default();
                    matched = true;
                    anywhere = false;
                }
            }
        }
        matched && !(self.folders_only && path.is_empty())
    }
}

impl Part {
    fn new(text: &str) -> Self {
        match text {
            "" => Self::Empty,
            "**" => Self::AnyFolders,
            _ if text.contains("**") => Self::Broken,
            _ => signs(text).map_or(Self::Broken, Self::Name),
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Name(signs) => name_matches(signs, name),
            // By itself it stands for one name, as a star does.
            Self::AnyFolders => true,
            Self::Empty | Self::Broken => false,
        }
    }
}

/// `None` if the text is no pattern.
fn signs(text: &str) -> Option<Vec<Sign>> {
    let mut signs = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(found) = rest.next() {
        signs.push(match found {
            '*' => Sign::Some,
            '?' => Sign::One,
            '\\' => Sign::Exactly(rest.next()?),
            '[' => {
                let negated = rest.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                loop {
                    if !ranges.is_empty() && rest.next_if_eq(&']').is_some() {
                        break;
                    }
                    let low = in_brackets(&mut rest)?;
                    let high = match rest.next_if_eq(&'-') {
                        Some(_) => in_brackets(&mut rest)?,
                        None => low,
                    };
                    ranges.push((low, high));
                }
                Sign::OneOf { negated, ranges }
            }
            _ => Sign::Exactly(found),
        });
    }
    Some(signs)
}

fn in_brackets(rest: &mut impl Iterator<Item = char>) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        found => Some(found),
    }
}

/// Goes back to the last star only, which is enough.
fn name_matches(signs: &[Sign], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut sign, mut at) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let fits = match (signs.get(sign), name.get(at)) {
            (None, None) => return true,
            (Some(Sign::Some), _) => {
                star = Some((sign + 1, at));
                sign += 1;
                continue;
            }
            (Some(wanted), Some(found)) => wanted.fits(*found),
            (None, Some(_)) | (Some(_), None) => false,
        };
        if fits {
            (sign, at) = (sign + 1, at + 1);
            continue;
        }
        match star {
            Some((after, from)) if from < name.len() => {
                star = Some((after, from + 1));
                (sign, at) = (after, from + 1);
            }
            _ => return false,
        }
    }
}

impl Sign {
    fn fits(&self, found: char) -> bool {
        match self {
            Self::Some | Self::One => true,
            Self::Exactly(wanted) => *wanted == found,
            Self::OneOf { negated, ranges } => {
                let mut ranges = ranges.iter();
                ranges.any(|(low, high)| (*low..=*high).contains(&found)) != *negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Patterns;

    #[track_caller]
    fn check(lines: &str, left_out: &[&str], taken: &[&str]) {
        let mut patterns = Patterns::default();
        patterns.add(Path::new(""), lines);
        for file in left_out {
            assert!(patterns.leave_out(Path::new(file)), "{lines:?}: {file}");
        }
        for file in taken {
            assert!(!patterns.leave_out(Path::new(file)), "{lines:?}: {file}");
        }
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        check(
            "*\n!foo",
            &["bar/c.json", "c.json"],
            &["foo/c.json", "a/foo/c"],
        );
        check("*.json\n!foo/", &["bar/c.json"], &["foo/c.json", "c.yaml"]);
        check("*\n!/foo", &["foo"].map(|_| "a/foo/c"), &["foo/c.json"]);
        check("!a\n*", &["a"], &[]);
    }

    #[test]
    fn names_and_ways_are_matched() {
        check("a", &["a", "x/a", "a/x", "x/a/y"], &["ab", "x/ba"]);
        check("a/", &["a/x", "y/a/x"], &["a", "y/a"]);
        check("/a", &["a", "a/b"], &["x/a"]);
        check("a/b", &["a/b", "a/b/c"], &["a/c", "x/a/b", "a"]);
        check("a//b", &["a/b"], &[]);
        check("**/b", &["b", "a/b", "a/c/b/d"], &["a/c"]);
        check("a/**", &["a/b", "a/b/c"], &["b/a"]);
        check("a/**/d", &["a/d", "a/b/c/d"], &["a/b/c"]);
        check("b**", &[], &["b", "bc"]);
    }

    #[test]
    fn signs_stand_for_characters() {
        check("a?c", &["abc", "aöc"], &["ac", "abbc"]);
        check("*a*b", &["ab", "xaybzb"], &["ba", "xaybz"]);
        check("[a-c]x", &["bx"], &["dx"]);
        check("[^a-c]x", &["dx"], &["bx"]);
        check("[!a]x", &["!x", "ax"], &["bx"]);
        check("\\*", &["*"], &["a"]);
        check("{a,b}", &["{a,b}"], &["a"]);
        for broken in ["[", "[]", "[a", "a\\", "[-a]"] {
            check(broken, &[], &["a", "a\\", "[", "[]"]);
        }
    }

    #[test]
    fn lines_have_space_and_comments() {
        check("  # a\n\t a \n\n", &["a"], &["# a"]);
    }

    #[test]
    fn a_file_holds_in_its_folder() {
        let mut patterns = Patterns::default();
        patterns.add(Path::new("d"), "/x\n");
        assert!(patterns.leave_out(Path::new("d/x")));
        assert!(!patterns.leave_out(Path::new("x")));
        assert!(!patterns.leave_out(Path::new("d/y/x")));
    }
}
