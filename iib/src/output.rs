//! How commands print what they found: for people, or for programs.

use std::fmt::Write as _;

use anyhow::Context as _;
use serde_json::Value;

use crate::cli::Form;
use crate::say;

/// Prints a document in a form for programs, or what people are to read of it.
///
/// # Errors
/// That of the output.
pub(crate) fn print(
    document: &Value,
    form: Form,
    for_people: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    match form {
        Form::Table => say::text(for_people())?,
        Form::Json => say::line(serde_json::to_string_pretty(document)?)?,
        Form::Yaml => {
            let text = serde_saphyr::to_string(document).context("it cannot be written as YAML")?;
            say::text(text)?;
        }
    }
    Ok(())
}

/// Rows below their headings, each column as wide as its widest entry but for the last. Without headings: the rows.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let headings: Vec<String> = headings.iter().map(|&heading| heading.to_owned()).collect();
    let all = || {
        let headings = std::iter::once(&headings).filter(|headings| !headings.is_empty());
        headings.chain(rows)
    };
    let columns = all().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let entries = all().filter_map(|row| row.get(column));
        entries
            .map(|entry| entry.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in all() {
        let mut line = String::new();
        for (entry, width) in row.iter().zip(widths.iter().copied()) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{entry:width$}  ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// A text on a terminal: whoever wrote it has no say over that.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c.is_control() {
            true => drop(write!(out, "{}", c.escape_default())),
            false => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_entry() {
        let row = |entries: [&str; 2]| entries.map(str::to_owned).to_vec();
        let rows = [row(["1", "kettle"]), row(["ü23", ""])];
        assert_eq!(
            table(&["ID", "NAME"], &rows),
            "ID   NAME\n1    kettle\nü23\n"
        );
        assert_eq!(table(&[], &rows), "1    kettle\nü23\n");
        assert_eq!(table(&[], &[]), "");
    }

    #[test]
    fn a_text_moves_no_cursor() {
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
    }
}
