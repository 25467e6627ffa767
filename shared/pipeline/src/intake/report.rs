//! What a request changes, or would change, as a text to paste into a pull request. Ours: the reference has nothing of it.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use iib_fbc::Picture;
use iib_request::{Record, Request};

use super::RequestDiff;

/// Bytes of diff and graphs together: a comment of a pull request may have 65,536 characters.
const ALL: usize = 60_000;
/// Bytes of a diff that is shown.
const DIFF: usize = 40_000;
/// Characters and edges of a graph that is drawn: what those who draw Mermaid take (`maxTextSize`, `maxEdges`).
const GRAPH: usize = 50_000;
const EDGES: usize = 500;
/// Graphs that are named where they are not drawn.
const NAMED: usize = 20;

/// What a request changed, or would change.
pub(super) struct Report<'a> {
    pub(super) record: &'a Record,
    /// None of a request that changes no catalog and no files.
    pub(super) diff: Option<&'a RequestDiff>,
    pub(super) graphs: &'a BTreeMap<String, Option<Picture>>,
}

impl fmt::Display for Report<'_> {
    /// Markdown. Names in it are strangers' texts: they stand in code only, fenced longer than anything in them.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.record;
        let (id, kind) = (record.id, record.request.name());
        match record.is_dry_run {
            true => writeln!(
                out,
                "### Dry run of `{kind}` (request {id}): nothing was pushed\n"
            )?,
            false => writeln!(out, "### `{kind}` (request {id})\n")?,
        }
        for (what, image) in named(record) {
            writeln!(out, "- {what}: {}", code(image))?;
        }
        writeln!(out)?;
        let left = match self.diff {
            None => ALL,
            Some(diff) if diff.is_empty() => {
                writeln!(out, "Nothing is another.")?;
                ALL
            }
            Some(diff) => ALL - self.write_diff(diff, out)?,
        };
        self.write_graphs(left, out)
    }
}

impl Report<'_> {
    /// Writes as much of the diff as is shown, and says how much that was.
    fn write_diff(
        &self,
        diff: &RequestDiff,
        out: &mut fmt::Formatter<'_>,
    ) -> Result<usize, fmt::Error> {
        let text = match diff {
            RequestDiff::Catalog(diff) => with_signs_first(&diff.to_string()),
            RequestDiff::Files(diff) => diff.to_string(),
        };
        let end = text.char_indices().map(|(at, _)| at);
        let end = end.take_while(|at| *at <= DIFF).last().unwrap_or_default();
        match text.split_at_checked(end).filter(|_| text.len() > DIFF) {
            None => {
                fenced("diff", &text, out)?;
                Ok(text.len().min(DIFF))
            }
            Some((shown, _)) => {
                let (lines, _) = shown.rsplit_once('\n').unwrap_or((shown, ""));
                fenced("diff", lines, out)?;
                let left_out = text.lines().count() - lines.lines().count();
                let id = self.record.id;
                writeln!(
                    out,
                    "\n{left_out} more lines: `GET /api/v1/builds/{id}/diff?format=text` has all of them."
                )?;
                Ok(DIFF)
            }
        }
    }

    fn write_graphs(&self, left: usize, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut left, mut left_out) = (left, Vec::new());
        for (package, picture) in self.graphs {
            let small = picture
                .as_ref()
                .filter(|picture| picture.edges.len() <= EDGES);
            let text = small.map(Picture::to_mermaid);
            match text.filter(|text| text.len() <= left.min(GRAPH)) {
                Some(text) => {
                    left -= text.len();
                    writeln!(out, "\nUpgrade graph of {}:\n", code(package))?;
                    fenced("mermaid", &text, out)?;
                }
                None => left_out.push(code(package)),
            }
        }
        let more = left_out.len().saturating_sub(NAMED);
        left_out.truncate(NAMED);
        let named = left_out.join(", ");
        match (left_out.is_empty(), more) {
            (true, _) => Ok(()),
            (false, 0) => writeln!(out, "\nGraphs that are not drawn: {named}"),
            (false, more) => writeln!(out, "\nGraphs that are not drawn: {named} and {more} more"),
        }
    }
}

/// The images that a reader has to know.
fn named(record: &Record) -> Vec<(&'static str, &str)> {
    let (facts, request) = (&record.facts, &record.request);
    if let Request::Rollback(rollback) = request {
        return vec![
            ("index", &rollback.from_index),
            ("from", rollback.result.as_str()),
            ("back to", rollback.replaced.as_str()),
        ];
    }
    let mut named = Vec::new();
    let resolved = [
        ("index", &facts.from_index_resolved),
        ("source index", &facts.source_from_index_resolved),
        ("target index", &facts.target_index_resolved),
        ("bundle", &facts.from_bundle_image_resolved),
        ("bundle", &facts.parent_bundle_image_resolved),
    ];
    let resolved = resolved.into_iter();
    named.extend(resolved.filter_map(|(what, image)| Some((what, image.as_deref()?))));
    named.extend(request.overwritten().map(|index| ("overwrites", index)));
    let result = facts.index_image_resolved.as_deref();
    let result = result.or(facts.bundle_image.as_deref());
    named.extend(result.map(|image| ("result", image)));
    named
}

/// A text as code, whatever is in it.
fn code(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).collect();
    let ticks = "`".repeat(longest_run(&plain) + 1);
    match ticks.len() {
        1 => format!("`{plain}`"),
        _ => format!("{ticks} {plain} {ticks}"),
    }
}

fn fenced(language: &str, text: &str, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let fence = "`".repeat(longest_run(text).max(2) + 1);
    writeln!(
        out,
        "{fence}{language}\n{}\n{fence}",
        text.trim_end_matches('\n')
    )
}

/// The longest run of backticks.
fn longest_run(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or_default()
}

/// Where lines of a catalog's diff are indented, the sign goes in front, by which they are coloured.
fn with_signs_first(diff: &str) -> String {
    let mut out = String::new();
    for line in diff.lines() {
        let rest = line.trim_start_matches(' ');
        let indent = line.len() - rest.len();
        let _ = match (indent, rest.split_at_checked(1)) {
            (1.., Some((sign @ ("+" | "-" | "~"), rest))) => {
                writeln!(out, "{sign}{}{rest}", " ".repeat(indent))
            }
            _ => writeln!(out, "{line}"),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_holds_whatever_is_in_it() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a`b``c\n"), "``` a`b``c ```");
    }

    #[test]
    fn signs_come_first() {
        let diff = "~ package a\n  + bundle a/a.v1\n  - channel a/b\n+ package c\n";
        let shown = "~ package a\n+   bundle a/a.v1\n-   channel a/b\n+ package c\n";
        assert_eq!(with_signs_first(diff), shown);
    }
}
