//! Changes as lines for people.

use std::fmt::{self, Write as _};

use serde_json::Value;

use super::value::differing;
use super::{CatalogChange, EntryLinks, IconMark, ObjectMark};

/// Characters of a text that are shown.
const SHOWN: usize = 60;
/// Paths of an object that are shown.
const SHOWN_PATHS: usize = 4;
/// Characters of a digest that are shown, `sha256:` among them.
const SHOWN_DIGEST: usize = 19;

/// The line of a change, below a heading if the last one was of another package.
pub(super) fn line<'a>(
    change: &'a CatalogChange,
    last: &mut Option<&'a str>,
    out: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let package = change.package();
    let is_heading = matches!(
        change,
        CatalogChange::PackageAdded { .. } | CatalogChange::PackageRemoved { .. }
    );
    let is_new = *last != Some(package);
    *last = Some(package);
    if is_heading {
        return writeln!(out, "{change}");
    }
    if is_new {
        match package {
            "" => writeln!(out, "~ objects without a package")?,
            package => {
                write!(Visible(out), "~ package {package}")?;
                writeln!(out)?;
            }
        }
    }
    writeln!(out, "  {change}")
}

/// Writes control characters as what they are called: whoever wrote a catalog has no say over the
/// terminal of those who look at it.
struct Visible<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Visible<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(char::is_control) {
            match part.chars().next_back().filter(|last| last.is_control()) {
                Some(last) => {
                    self.0.write_str(part.trim_end_matches(last))?;
                    write!(self.0, "{}", last.escape_default())?;
                }
                None => self.0.write_str(part)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for CatalogChange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let out = &mut Visible(out);
        match self {
            Self::PackageAdded { package } => write!(out, "+ package {package}"),
            Self::PackageRemoved { package } => write!(out, "- package {package}"),
            Self::DefaultChannel {
                package,
                before,
                after,
            } => write!(
                out,
                "~ package {package}: default channel {} -> {}",
                name(before.as_deref()),
                name(after.as_deref())
            ),
            Self::PackageDescription {
                package,
                before,
                after,
            } => {
                let (before, after) = (before.as_deref().map(quoted), after.as_deref().map(quoted));
                let detail = detail("description", before, after);
                write!(out, "~ package {package}: {detail}")
            }
            Self::PackageIcon {
                package,
                before,
                after,
            } => {
                let detail = detail("icon", before.as_ref().map(icon), after.as_ref().map(icon));
                write!(out, "~ package {package}: {detail}")
            }
            Self::PackageProperty {
                package,
                kind,
                before,
                after,
            } => {
                let detail = property(kind, before.as_ref(), after.as_ref());
                write!(out, "~ package {package}: {detail}")
            }
            Self::BundleAdded {
                package, bundle, ..
            } => write!(out, "+ bundle {package}/{bundle}"),
            Self::BundleRemoved {
                package, bundle, ..
            } => write!(out, "- bundle {package}/{bundle}"),
            Self::BundleImage {
                package,
                bundle,
                before,
                after,
            } => write!(
                out,
                "~ bundle {package}/{bundle}: image {} -> {}",
                name(Some(before)),
                name(Some(after))
            ),
            Self::BundleProperty {
                package,
                bundle,
                kind,
                before,
                after,
            } => {
                let detail = property(kind, before.as_ref(), after.as_ref());
                write!(out, "~ bundle {package}/{bundle}: {detail}")
            }
            Self::RelatedImage {
                package,
                bundle,
                name,
                before,
                after,
            } => {
                let what = match name.as_str() {
                    "" => "related image".to_owned(),
                    name => format!("related image {name}"),
                };
                let detail = detail(&what, before.clone(), after.clone());
                write!(out, "~ bundle {package}/{bundle}: {detail}")
            }
            Self::BundleObject {
                package,
                bundle,
                kind,
                name,
                before,
                after,
                paths,
            } => {
                let what = object_name(kind, name);
                let detail = match (before, after, paths.as_slice()) {
                    (Some(_), Some(_), [_, ..]) => format!("{what}: {}", path_list(paths)),
                    (before, after, _) => detail(
                        &what,
                        before.as_ref().map(object),
                        after.as_ref().map(object),
                    ),
                };
                write!(out, "~ bundle {package}/{bundle}: {detail}")
            }
            Self::Deprecation {
                package,
                schema,
                name,
                before,
                after,
            } => {
                let what = match schema.as_str() {
                    "olm.package" => format!("package {package}"),
                    "olm.channel" => format!("channel {package}/{name}"),
                    "olm.bundle" => format!("bundle {package}/{name}"),
                    schema => format!("{schema} {package}/{name}"),
                };
                let (before, after) = (before.as_deref().map(quoted), after.as_deref().map(quoted));
                write!(
                    out,
                    "{}",
                    signed(&format!("deprecation of {what}"), before, after)
                )
            }
            Self::Object {
                package,
                schema,
                name,
                before,
                after,
            } => {
                let place = match (package.as_str(), name.as_str()) {
                    ("", "") => String::new(),
                    ("", name) => format!(" {name}"),
                    (package, "") => format!(" {package}"),
                    (package, name) => format!(" {package}/{name}"),
                };
                let what = format!("object {schema}{place}");
                match (before, after) {
                    (Some(before), Some(after)) => {
                        write!(out, "~ {what}: {}", path_list(&differing(before, after)))
                    }
                    (None, _) => write!(out, "+ {what}"),
                    (_, None) => write!(out, "- {what}"),
                }
            }
            Self::ChannelAdded { .. }
            | Self::ChannelRemoved { .. }
            | Self::ChannelHead { .. }
            | Self::ChannelEntry { .. }
            | Self::ChannelProperty { .. } => channel(self, out),
        }
    }
}

fn channel(change: &CatalogChange, out: &mut Visible<'_, '_>) -> fmt::Result {
    match change {
        CatalogChange::ChannelAdded {
            package,
            channel,
            head,
            entries,
        } => write!(
            out,
            "+ channel {package}/{channel}: head {}, {}",
            name(head.as_deref()),
            count(entries.len())
        ),
        CatalogChange::ChannelRemoved {
            package,
            channel,
            head,
            entries,
        } => write!(
            out,
            "- channel {package}/{channel}: head was {}, {}",
            name(head.as_deref()),
            count(entries.len())
        ),
        CatalogChange::ChannelHead {
            package,
            channel,
            before,
            after,
        } => write!(
            out,
            "~ channel {package}/{channel}: head {} -> {}",
            name(before.as_deref()),
            name(after.as_deref())
        ),
        CatalogChange::ChannelEntry {
            package,
            channel,
            entry,
            before,
            after,
        } => {
            write!(out, "~ channel {package}/{channel}: ")?;
            match (before, after) {
                (Some(before), Some(after)) => {
                    write!(out, "entry {entry}: {}", links_changed(before, after))
                }
                (None, Some(links)) => write!(out, "+ entry {entry}{}", links_shown(links)),
                (Some(links), None) => write!(out, "- entry {entry}{}", links_shown(links)),
                (None, None) => Ok(()),
            }
        }
        CatalogChange::ChannelProperty {
            package,
            channel,
            kind,
            before,
            after,
        } => {
            let detail = property(kind, before.as_ref(), after.as_ref());
            write!(out, "~ channel {package}/{channel}: {detail}")
        }
        _ => Ok(()),
    }
}

fn name(text: Option<&str>) -> &str {
    text.filter(|text| !text.is_empty()).unwrap_or("none")
}

fn count(entries: usize) -> String {
    match entries {
        1 => "1 entry".to_owned(),
        more => format!("{more} entries"),
    }
}

/// A change of a part of something: `what before -> after`, `+ what after` or `- what before`.
fn detail(what: &str, before: Option<String>, after: Option<String>) -> String {
    match (before, after) {
        (Some(before), Some(after)) => format!("{what} {before} -> {after}"),
        (None, after) => format!("+ {what} {}", after.unwrap_or_default()),
        (Some(before), None) => format!("- {what} {before}"),
    }
}

/// The same for a line of its own.
fn signed(what: &str, before: Option<String>, after: Option<String>) -> String {
    match (before, after) {
        (Some(before), Some(after)) => format!("~ {what}: {before} -> {after}"),
        (None, after) => format!("+ {what}: {}", after.unwrap_or_default()),
        (Some(before), None) => format!("- {what}: {before}"),
    }
}

/// Short values are shown, of others where they differ.
fn property(kind: &str, before: Option<&Value>, after: Option<&Value>) -> String {
    let what = format!("property {kind}");
    if let (Some(before), Some(after)) = (before, after) {
        let is_long = |value: &Value| value.to_string().chars().count() > SHOWN;
        if is_long(before) || is_long(after) {
            let paths = differing(before, after);
            if !paths.iter().any(String::is_empty) {
                return format!("{what}: {}", path_list(&paths));
            }
        }
    }
    let shown = |value: &Value| shortened(&value.to_string());
    detail(&what, before.map(shown), after.map(shown))
}

fn path_list(paths: &[String]) -> String {
    let shown: Vec<&str> = paths.iter().take(SHOWN_PATHS).map(String::as_str).collect();
    let shown = shown.join(", ");
    match paths.len().saturating_sub(SHOWN_PATHS) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// In quotes, on one line, shortened.
fn quoted(text: &str) -> String {
    Value::from(shortened(text)).to_string()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn icon(mark: &IconMark) -> String {
    let IconMark {
        mediatype,
        size,
        digest,
    } = mark;
    format!("{mediatype} of {size} bytes, {}", digest_shown(digest))
}

fn object(mark: &ObjectMark) -> String {
    format!("of {} bytes, {}", mark.size, digest_shown(&mark.digest))
}

fn digest_shown(digest: &str) -> &str {
    digest.get(..SHOWN_DIGEST).unwrap_or(digest)
}

fn object_name(kind: &str, name: &str) -> String {
    match (kind, name) {
        ("", "") => "object".to_owned(),
        (kind, "") => format!("object {kind}"),
        (kind, name) => format!("object {kind}/{name}"),
    }
}

/// ` replaces a skips b, c skipRange <1.0.0`
fn links_shown(links: &EntryLinks) -> String {
    let EntryLinks {
        replaces,
        skips,
        skip_range,
    } = links;
    let skips: Vec<&str> = skips.iter().map(String::as_str).collect();
    let parts = [
        ("replaces", replaces.clone()),
        ("skips", skips.join(", ")),
        ("skipRange", skip_range.clone()),
    ];
    let mut shown = String::new();
    for (word, value) in parts.iter().filter(|(_, value)| !value.is_empty()) {
        // Writing to a String cannot fail.
        let _ = write!(shown, " {word} {value}");
    }
    shown
}

fn links_changed(before: &EntryLinks, after: &EntryLinks) -> String {
    let mut parts = Vec::new();
    let mut of = |word: &str, before: &str, after: &str| {
        if before != after {
            let (before, after) = (name(Some(before)), name(Some(after)));
            parts.push(format!("{word} {before} -> {after}"));
        }
    };
    of("replaces", &before.replaces, &after.replaces);
    of("skipRange", &before.skip_range, &after.skip_range);
    let skips = |sign: &str, names: Vec<&String>| {
        let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
        let names = names.join(", ");
        (!names.is_empty()).then(|| format!("{sign} skips {names}"))
    };
    parts.extend(skips("-", before.skips.difference(&after.skips).collect()));
    parts.extend(skips("+", after.skips.difference(&before.skips).collect()));
    parts.join(", ")
}
