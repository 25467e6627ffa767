//! `iib catalog`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use iib_catalog_folder::{CacheError, FolderWriter, WrittenCache, write_cache};
use iib_fbc::{
    BundleForm, Catalog, CatalogDiff, Deprecations, Fault, Picture, Place, Report, Rules,
    ServeForm, check, package_changes, write_blob,
};
use iib_indexdb::ExportError;
use iib_pipeline::CatalogEdit;
use serde_json::json;

use crate::cli::{CacheForm, CatalogCommand, GraphFormat, Target};
use crate::say;
use crate::source::{self, Source};
use crate::{Exit, catalog_filter, catalog_image};

pub(crate) async fn run(command: CatalogCommand) -> anyhow::Result<Exit> {
    faults_shown(done(command).await)
}

/// A catalog with faults is no failure of the command: they are shown, all of them.
pub(crate) fn faults_shown(result: anyhow::Result<Exit>) -> anyhow::Result<Exit> {
    result.or_else(|error| match faults(&error) {
        Some(report) => {
            say::aside(report);
            Ok(Exit::RequestFailed)
        }
        None => Err(error),
    })
}

/// What is wrong with a catalog, if that is what an error says.
fn faults(error: &anyhow::Error) -> Option<&Report> {
    let of_cache = || match error.downcast_ref() {
        Some(CacheError::Invalid(report)) => Some(report),
        _ => None,
    };
    let of_index = || match error.downcast_ref() {
        Some(ExportError::Invalid(report)) => Some(report),
        _ => None,
    };
    of_cache().or_else(of_index)
}

async fn done(command: CatalogCommand) -> anyhow::Result<Exit> {
    match command {
        CatalogCommand::Render {
            catalog,
            form,
            json,
        } => render(&catalog, form.into(), json).await,
        CatalogCommand::Migrate {
            catalog,
            folder,
            form,
            json,
        } => migrate(&catalog, &folder, form.into(), json).await,
        CatalogCommand::Validate {
            catalog,
            rules,
            ocp_version,
            json,
        } => validate(&catalog, rules, ocp_version.as_deref(), json).await,
        CatalogCommand::Diff {
            before,
            after,
            json,
            exit_code,
        } => {
            let differs = diff(&before, &after, json).await?;
            Ok(match differs && exit_code {
                true => Exit::Different,
                false => Exit::Done,
            })
        }
        CatalogCommand::Merge {
            catalog,
            fragments,
            target,
        } => merge(&catalog, &fragments, &target).await,
        CatalogCommand::Rm {
            catalog,
            packages,
            target,
        } => remove(&catalog, packages, &target).await,
        CatalogCommand::Prune {
            catalog,
            keep,
            target,
        } => prune(&catalog, keep, &target).await,
        CatalogCommand::Filter {
            catalog,
            filter,
            target,
        } => catalog_filter::filter(&catalog, &filter, &target).await,
        CatalogCommand::Deprecations {
            catalog,
            file,
            target,
        } => deprecations(&catalog, &file, &target).await,
        CatalogCommand::Graph {
            catalog,
            package,
            format,
            json,
        } => {
            let format = if json { GraphFormat::Json } else { format };
            graph(&catalog, &package, format).await
        }
        CatalogCommand::Cache {
            catalog,
            cache,
            form,
            json,
        } => {
            let form = match form {
                CacheForm::Newest => ServeForm::Newest,
                CacheForm::Opm126 => ServeForm::Opm126,
            };
            cached(&catalog, &cache, form, json).await
        }
    }
}

/// By package, in the order a catalog folder has.
async fn render(catalog: &str, form: BundleForm, as_list: bool) -> anyhow::Result<Exit> {
    let mut out = io::BufWriter::with_capacity(1 << 18, io::stdout().lock());
    if as_list {
        out.write_all(b"[\n")?;
    }
    let mut separator = "";
    // Only newer versions know the other form.
    let rules = match form {
        BundleForm::Objects => Rules::Opm126,
        BundleForm::CsvMetadata => Rules::OpmNewest,
    };
    let source = source::catalog_by(catalog, rules).await?;
    tell_emptiness(&source, catalog)?;
    source.each_package_in(form, |_, mut part| {
        part.sort_contents();
        for blob in part.blobs() {
            out.write_all(separator.as_bytes())?;
            write_blob(blob, &mut out)?;
            separator = if as_list { "," } else { "" };
        }
        Ok(())
    })?;
    if as_list {
        out.write_all(b"]\n")?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// Nothing is checked, as the newest opm does not either.
async fn migrate(
    catalog: &str,
    folder: &Path,
    form: BundleForm,
    as_json: bool,
) -> anyhow::Result<Exit> {
    if is_below(folder, Path::new(catalog)) {
        bail!(
            "{} is in {catalog}, which would get its own packages once more: name a folder elsewhere",
            folder.display()
        );
    }
    let source = source::catalog_by(catalog, Rules::OpmNewest).await?;
    tell_emptiness(&source, catalog)?;
    let mut writer = FolderWriter::new(folder)?;
    let mut packages = Vec::new();
    source.each_package_in(form, |name, part| {
        if !name.is_empty() {
            packages.push(name.to_owned());
        }
        Ok(writer.package(name, &part)?)
    })?;
    writer.finish()?;
    if as_json {
        say::line(json!({"packages": packages}))?;
    }
    Ok(Exit::Done)
}

/// Whether a path, of which the end may not be there yet, is in a folder that is there.
fn is_below(path: &Path, folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else {
        return false;
    };
    let Ok(path) = std::path::absolute(path) else {
        return false;
    };
    let there = path.ancestors().find_map(|above| above.canonicalize().ok());
    there.is_some_and(|there| there.starts_with(folder))
}

async fn validate(
    catalog: &str,
    rules: Rules,
    ocp_version: Option<&str>,
    as_json: bool,
) -> anyhow::Result<Exit> {
    let rules = match ocp_version {
        Some(version) => rules.for_platform(version)?,
        None => rules,
    };
    if rules == Rules::Konflux(None) {
        say::aside(
            "the form of bundles is not checked, as it depends on the version of OpenShift: give it \
             with --ocp-version",
        );
    }
    let source = source::catalog_by(catalog, rules).await?;
    let report = match source.check(rules) {
        Ok(report) => report,
        Err(error) => faults(&error).cloned().ok_or(error)?,
    };
    if report.is_clean() {
        tell_emptiness(&source, catalog)?;
    }
    if as_json {
        let faults = report.faults.iter().map(|fault| {
            let Fault {
                place, text, files, ..
            } = fault;
            let Place {
                package,
                channel,
                bundle,
            } = place;
            json!({
                "files": files,
                "package": package,
                "channel": channel,
                "bundle": bundle,
                "fault": text,
            })
        });
        say::line(serde_json::Value::from_iter(faults))?;
    } else if !report.is_clean() {
        say::aside(&report);
    }
    Ok(match report.is_clean() {
        true => Exit::Done,
        false => Exit::RequestFailed,
    })
}

/// Silence would be taken for a catalog that is fine.
fn tell_emptiness(source: &Source, name: &str) -> anyhow::Result<()> {
    if let Some(reason) = source.emptiness()? {
        say::aside(format_args!("{name} has no package: {reason}"));
    }
    Ok(())
}

/// Shows what differs, package by package as they are read; tells whether anything does.
async fn diff(before: &str, after: &str, as_json: bool) -> anyhow::Result<bool> {
    let names = [before, after];
    let before = source::catalog(before).await?;
    let after = source::catalog(after).await?;
    for (side, name) in [&before, &after].into_iter().zip(names) {
        tell_emptiness(side, name)?;
    }
    let mut out = io::stdout().lock();
    let mut differs = false;
    if as_json {
        out.write_all(b"[")?;
    }
    source::side_by_side(
        &before,
        &after,
        |_| true,
        |name, before, after| {
            let changes = package_changes(name, before, after);
            if as_json {
                for change in &changes {
                    let separator = if differs { "," } else { "" };
                    out.write_all(separator.as_bytes())?;
                    out.write_all(serde_json::to_string(change)?.as_bytes())?;
                    differs = true;
                }
            } else {
                differs |= !changes.is_empty();
                write!(out, "{}", CatalogDiff { changes })?;
            }
            Ok(())
        },
    )?;
    if as_json {
        out.write_all(b"]\n")?;
    }
    out.flush()?;
    Ok(differs)
}

/// Packages of later catalogs replace those of earlier ones as a whole (worker flows,
/// fbc-operations).
async fn merge(catalog: &str, fragments: &[String], target: &Target) -> anyhow::Result<Exit> {
    if let Some(image) = catalog_image::target(&target.to, &target.image)? {
        let (fragments, _held) = catalog_image::fragments(fragments).await?;
        let edit = CatalogEdit::Merge(fragments);
        return catalog_image::changed(catalog, edit, &image, target.json).await;
    }
    let first = source::catalog(catalog).await?;
    let before = first.outline()?;
    let mut after = before.clone();
    let mut parts: Vec<(Source, BTreeSet<String>)> = vec![(first, before.package_names())];
    for fragment in fragments {
        let fragment = source::catalog(fragment).await?;
        let outline = fragment.outline()?;
        let names = outline.package_names();
        for (_, earlier) in &mut parts {
            earlier.retain(|name| !names.contains(name));
        }
        after.merge(outline);
        parts.push((fragment, names));
    }
    let mut touched = BTreeSet::from([String::new()]);
    for (_, names) in parts.iter().skip(1) {
        touched.extend(names.iter().cloned());
    }
    let done = written(&after, target, |writer| {
        let mut of_none = Catalog::default();
        for (part, names) in &parts {
            part.each_package(|name, package| {
                if name.is_empty() {
                    of_none.extend(package);
                } else if names.contains(name) {
                    writer.package(name, &package)?;
                }
                Ok(())
            })?;
        }
        match of_none == Catalog::default() {
            true => Ok(()),
            false => Ok(writer.package("", &of_none)?),
        }
    })?;
    if done == Exit::Done
        && let Some((first, _)) = parts.first()
    {
        let mut changes = Vec::new();
        source::side_by_side(
            first,
            &source::folder(Path::new(&target.to), Rules::Opm126)?,
            |name| touched.contains(name),
            |name, before, after| {
                changes.extend(package_changes(name, before, after));
                Ok(())
            },
        )?;
        catalog_image::show(changes, None, target.json)?;
    }
    Ok(done)
}

async fn remove(catalog: &str, packages: Vec<String>, target: &Target) -> anyhow::Result<Exit> {
    let packages = packages.into_iter().collect();
    if let Some(image) = catalog_image::target(&target.to, &target.image)? {
        let edit = CatalogEdit::Remove(packages);
        return catalog_image::changed(catalog, edit, &image, target.json).await;
    }
    let source = source::catalog(catalog).await?;
    let outline = source.outline()?;
    check_known(&outline.package_names(), &packages)?;
    less(&source, outline, &packages, target)
}

async fn prune(catalog: &str, keep: Vec<String>, target: &Target) -> anyhow::Result<Exit> {
    let keep = keep.into_iter().collect();
    if let Some(image) = catalog_image::target(&target.to, &target.image)? {
        let edit = CatalogEdit::Keep(keep);
        return catalog_image::changed(catalog, edit, &image, target.json).await;
    }
    let source = source::catalog(catalog).await?;
    let outline = source.outline()?;
    let known = outline.package_names();
    check_known(&known, &keep)?;
    let others = known.difference(&keep).cloned().collect();
    less(&source, outline, &others, target)
}

fn check_known(known: &BTreeSet<String>, named: &BTreeSet<String>) -> anyhow::Result<()> {
    match named.difference(known).next() {
        Some(missing) => bail!("the catalog has no package {missing}: check its spelling"),
        None => Ok(()),
    }
}

/// Writes a catalog without these packages.
fn less(
    source: &Source,
    mut after: Catalog,
    packages: &BTreeSet<String>,
    target: &Target,
) -> anyhow::Result<Exit> {
    after.remove_packages(packages);
    let goes = |_: &str, package: &mut Catalog| {
        *package = Catalog::default();
        Ok(())
    };
    rewritten(source, &after, target, |name| packages.contains(name), goes)
}

/// Writes a catalog with those packages changed that are `touched`, and shows what changed. Of which nothing is left,
/// that is gone.
pub(crate) fn rewritten(
    source: &Source,
    after: &Catalog,
    target: &Target,
    touched: impl Fn(&str) -> bool,
    mut change: impl FnMut(&str, &mut Catalog) -> anyhow::Result<()>,
) -> anyhow::Result<Exit> {
    let mut changes = Vec::new();
    let done = written(after, target, |writer| {
        source.each_package(|name, mut package| {
            if touched(name) {
                let before = package.clone();
                change(name, &mut package)?;
                changes.extend(package_changes(name, &before, &package));
                if package == Catalog::default() {
                    return Ok(());
                }
            }
            Ok(writer.package(name, &package)?)
        })
    })?;
    if done == Exit::Done {
        catalog_image::show(changes, None, target.json)?;
    }
    Ok(done)
}

async fn deprecations(catalog: &str, file: &Path, target: &Target) -> anyhow::Result<Exit> {
    let text = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let unusable = || format!("{} cannot be used", file.display());
    let deprecations = Deprecations::read(&text).with_context(unusable)?;
    if let Some(image) = catalog_image::target(&target.to, &target.image)? {
        let edit = CatalogEdit::Deprecate(deprecations);
        let changed = catalog_image::changed(catalog, edit, &image, target.json);
        return changed.await.with_context(unusable);
    }
    let source = source::catalog(catalog).await?;
    let outline = source.outline()?;
    deprecations.check(&outline).with_context(unusable)?;
    rewritten(
        &source,
        &outline,
        target,
        |name| name == deprecations.package,
        |_, package| {
            deprecations.clone().put_into(package);
            Ok(())
        },
    )
}

/// Writes a catalog if its outline has no faults.
fn written(
    outline: &Catalog,
    target: &Target,
    write: impl FnOnce(&mut FolderWriter) -> anyhow::Result<()>,
) -> anyhow::Result<Exit> {
    let report = check(outline, Rules::Opm126);
    if !report.is_clean() {
        say::aside(report);
        return Ok(Exit::RequestFailed);
    }
    let mut writer = FolderWriter::new(Path::new(&target.to))?;
    write(&mut writer)?;
    writer.finish()?;
    Ok(Exit::Done)
}

async fn cached(
    catalog: &str,
    cache: &Path,
    form: ServeForm,
    as_json: bool,
) -> anyhow::Result<Exit> {
    let (catalog, _held) = source::catalog_folder(catalog).await?;
    let WrittenCache {
        digest, warnings, ..
    } = write_cache(&catalog, cache, form)?;
    if as_json {
        say::line(json!({"digest": digest, "warnings": warnings}))?;
        return Ok(Exit::Done);
    }
    for warning in warnings {
        say::aside(format_args!("warning: {warning}"));
    }
    say::line(digest)?;
    Ok(Exit::Done)
}

async fn graph(catalog: &str, package: &str, format: GraphFormat) -> anyhow::Result<Exit> {
    let catalog = source::catalog(catalog).await?.outline()?;
    let picture = Picture::of(&catalog, package).with_context(|| {
        format!(
            "the catalog has no package {package} among its {}; `iib catalog render` shows them",
            catalog.packages.len()
        )
    })?;
    say::text(match format {
        GraphFormat::Svg => picture.to_svg(),
        GraphFormat::Dot => picture.to_dot(),
        GraphFormat::Mermaid => picture.to_mermaid(),
        GraphFormat::Json => format!("{}\n", json!(picture)),
    })?;
    Ok(Exit::Done)
}
