//! `iib catalog`.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use iib_catalog::{CatalogDiff, CatalogShape};
use iib_catalog_folder::{CacheError, FolderError, write_cache, write_folder};
use iib_fbc::{Catalog, Fault, Picture, Place, Report, check, to_text};
use iib_indexdb::ExportError;
use serde_json::json;

use crate::cli::{CatalogCommand, GraphFormat};
use crate::{Exit, source};

pub(crate) async fn run(command: CatalogCommand) -> anyhow::Result<Exit> {
    faults_shown(done(command).await)
}

/// A catalog with faults is no failure of the command: they are shown, all of them.
#[expect(clippy::print_stderr, reason = "a command speaks to its user")]
pub(crate) fn faults_shown(result: anyhow::Result<Exit>) -> anyhow::Result<Exit> {
    result.or_else(|error| match faults(&error) {
        Some(report) => {
            eprintln!("{report}");
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
        Some(ExportError::<Infallible>::Invalid(report)) => Some(report),
        _ => None,
    };
    let of_migration = || match error.downcast_ref() {
        Some(ExportError::<FolderError>::Invalid(report)) => Some(report),
        _ => None,
    };
    of_cache().or_else(of_index).or_else(of_migration)
}

async fn done(command: CatalogCommand) -> anyhow::Result<Exit> {
    match command {
        CatalogCommand::Render { catalog } => render(&catalog).await,
        CatalogCommand::Validate { catalog, json } => validate(&catalog, json).await,
        CatalogCommand::Diff {
            before,
            after,
            json,
        } => diff(&before, &after, json).await,
        CatalogCommand::Merge {
            catalog,
            fragments,
            to,
        } => merge(&catalog, &fragments, &to).await,
        CatalogCommand::Rm {
            catalog,
            packages,
            to,
        } => remove(&catalog, packages, &to).await,
        CatalogCommand::Graph {
            catalog,
            package,
            format,
        } => graph(&catalog, &package, format).await,
        CatalogCommand::Cache { catalog, cache } => {
            write_cache(&catalog, &cache)?;
            Ok(Exit::Done)
        }
    }
}

/// By package, in the order a catalog folder has.
async fn render(catalog: &str) -> anyhow::Result<Exit> {
    let catalog = source::catalog(catalog).await?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    for part in catalog.by_package().values() {
        for blob in part.blobs() {
            out.write_all(to_text(blob)?.as_bytes())?;
        }
    }
    out.flush()?;
    Ok(Exit::Done)
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks to its user"
)]
async fn validate(catalog: &str, as_json: bool) -> anyhow::Result<Exit> {
    let report = match source::catalog(catalog).await {
        Ok(catalog) => check(&catalog),
        Err(error) => faults(&error).cloned().ok_or(error)?,
    };
    if as_json {
        let faults = report.faults.iter().map(|fault| {
            let Fault { place, text, .. } = fault;
            let Place {
                package,
                channel,
                bundle,
            } = place;
            json!({"package": package, "channel": channel, "bundle": bundle, "fault": text})
        });
        println!("{}", serde_json::Value::from_iter(faults));
    } else if !report.is_clean() {
        eprintln!("{report}");
    }
    Ok(match report.is_clean() {
        true => Exit::Done,
        false => Exit::RequestFailed,
    })
}

#[expect(clippy::print_stdout, reason = "a command speaks to its user")]
async fn diff(before: &str, after: &str, as_json: bool) -> anyhow::Result<Exit> {
    let before = source::catalog(before).await?.shape();
    let after = source::catalog(after).await?.shape();
    let diff = CatalogDiff::between(&before, &after);
    if as_json {
        println!("{}", json!(diff.changes));
    } else {
        print!("{diff}");
    }
    Ok(Exit::Done)
}

async fn merge(catalog: &str, fragments: &[String], to: &Path) -> anyhow::Result<Exit> {
    let mut merged = source::catalog(catalog).await?;
    let before = merged.shape();
    for fragment in fragments {
        merged.merge(source::catalog(fragment).await?);
    }
    written(&before, merged, to)
}

async fn remove(catalog: &str, packages: Vec<String>, to: &Path) -> anyhow::Result<Exit> {
    let mut left = source::catalog(catalog).await?;
    let before = left.shape();
    let packages = packages.into_iter().collect();
    let removed = left.remove_packages(&packages);
    if let Some(missing) = packages.difference(&removed).next() {
        bail!("the catalog has no package {missing}: check its spelling");
    }
    written(&before, left, to)
}

/// Writes a catalog that has no faults, and shows what changed.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks to its user"
)]
fn written(before: &CatalogShape, after: Catalog, to: &Path) -> anyhow::Result<Exit> {
    let report = check(&after);
    if !report.is_clean() {
        eprintln!("{report}");
        return Ok(Exit::RequestFailed);
    }
    let changes = CatalogDiff::between(before, &after.shape());
    write_folder(after, to)?;
    print!("{changes}");
    Ok(Exit::Done)
}

#[expect(clippy::print_stdout, reason = "a command speaks to its user")]
async fn graph(catalog: &str, package: &str, format: GraphFormat) -> anyhow::Result<Exit> {
    let catalog = source::catalog(catalog).await?;
    let picture = Picture::of(&catalog, package).with_context(|| {
        format!(
            "the catalog has no package {package} among its {}; `iib catalog render` shows them",
            catalog.packages.len()
        )
    })?;
    print!(
        "{}",
        match format {
            GraphFormat::Svg => picture.to_svg(),
            GraphFormat::Dot => picture.to_dot(),
            GraphFormat::Mermaid => picture.to_mermaid(),
        }
    );
    Ok(Exit::Done)
}
