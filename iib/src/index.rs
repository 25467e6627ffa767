//! `iib index`.

use std::path::Path;

use anyhow::Context as _;
use iib_bundle::Bundle;
use iib_catalog::{
    AddOptions, AlphaFeatures, DefaultHeads, DeprecateOptions, LoneBundle, Missing, Overwrite,
    PackageRemoval,
};
use iib_catalog_folder::FolderWriter;
use iib_fbc::{BundleForm, CatalogDiff};
use iib_indexdb::{ChangeReport, SqliteIndex};
use iib_ports::{IndexDb as _, IndexDbError};
use serde_json::json;

use crate::cli::{ImageOptions, IndexCommand, IndexOutput};
use crate::index_target::IndexChange;
use crate::say;
use crate::{Exit, catalog, source};

pub(crate) async fn run(command: IndexCommand) -> anyhow::Result<Exit> {
    match command {
        IndexCommand::Create {
            index,
            binary_image,
            json,
        } => {
            let output = IndexOutput {
                to: None,
                image: ImageOptions {
                    binary_image,
                    output_format: None,
                },
                json,
            };
            let new = IndexChange::new(&index, &output).await?;
            let make = |db: &Path| add(db, &[], &AddOptions::default());
            changed(new, json, make).await
        }
        IndexCommand::Add {
            index,
            bundles,
            mode,
            overwrite_latest,
            output,
        } => {
            let change = IndexChange::of(&index, &output).await?;
            let bundles = source::bundles(&bundles).await?;
            let options = AddOptions {
                mode,
                overwrite: match overwrite_latest {
                    true => Overwrite::Latest,
                    false => Overwrite::Refuse,
                },
                alpha: AlphaFeatures::On,
            };
            changed(change, output.json, |db| add(db, &bundles, &options)).await
        }
        IndexCommand::Rm {
            index,
            packages,
            pass_over_missing,
            output,
        } => {
            let change = IndexChange::of(&index, &output).await?;
            changed(change, output.json, |db| {
                SqliteIndex.remove(db, &packages, missing(pass_over_missing))
            })
            .await
        }
        IndexCommand::RmLatest {
            index,
            package,
            drop_empty_channels,
            output,
        } => {
            let lone = match drop_empty_channels {
                true => LoneBundle::DropChannel,
                false => LoneBundle::Refuse,
            };
            let change = IndexChange::of(&index, &output).await?;
            changed(change, output.json, |db| {
                SqliteIndex.remove_latest(db, &package, lone)
            })
            .await
        }
        IndexCommand::Deprecate {
            index,
            images,
            allow_package_removal,
            pass_over_missing,
            pass_over_heads,
            output,
        } => {
            let options = DeprecateOptions {
                missing: missing(pass_over_missing),
                package_removal: match allow_package_removal {
                    true => PackageRemoval::Allowed,
                    false => PackageRemoval::Refused,
                },
                default_heads: match pass_over_heads {
                    true => DefaultHeads::PassOver,
                    false => DefaultHeads::Refuse,
                },
            };
            let change = IndexChange::of(&index, &output).await?;
            changed(change, output.json, |db| {
                SqliteIndex.deprecate(db, &images, &options)
            })
            .await
        }
        IndexCommand::Prune {
            index,
            keep,
            pass_over_missing,
            output,
        } => {
            let change = IndexChange::of(&index, &output).await?;
            changed(change, output.json, |db| {
                SqliteIndex.prune(db, &keep, missing(pass_over_missing))
            })
            .await
        }
        IndexCommand::PruneStranded { index, output } => {
            let change = IndexChange::of(&index, &output).await?;
            changed(change, output.json, |db| SqliteIndex.prune_stranded(db)).await
        }
        IndexCommand::List { index, json } => list(&index, json).await,
        IndexCommand::Migrate {
            index,
            folder,
            form,
            json,
        } => catalog::faults_shown(migrate(&index, &folder, form.into(), json).await),
    }
}

/// Adds bundles, and reports as every change does.
fn add(db: &Path, bundles: &[Bundle], options: &AddOptions) -> Result<ChangeReport, IndexDbError> {
    let report = SqliteIndex.add(db, bundles, options)?;
    Ok(ChangeReport {
        changes: report.changes,
        passed_over: Vec::new(),
    })
}

async fn migrate(
    index: &str,
    folder: &Path,
    form: BundleForm,
    as_json: bool,
) -> anyhow::Result<Exit> {
    let index = source::index(index).await?;
    let mut writer = FolderWriter::new(folder)?;
    let mut packages = Vec::new();
    let exported = SqliteIndex.export(&index.path, form, |name, catalog| {
        packages.push(name.to_owned());
        writer.package(name, &catalog).map_err(anyhow::Error::from)
    });
    let left_out =
        exported.with_context(|| format!("the catalog of {} cannot be written", index.name))?;
    source::warn(&left_out);
    writer.finish()?;
    if as_json {
        say::line(json!({"packages": packages}))?;
    }
    Ok(Exit::Done)
}

fn missing(pass_over: bool) -> Missing {
    match pass_over {
        true => Missing::PassOver,
        false => Missing::Refuse,
    }
}

/// Makes a change in the working copy, puts it where it goes when all went well, and reports.
async fn changed(
    index: IndexChange,
    as_json: bool,
    change: impl FnOnce(&Path) -> Result<ChangeReport, IndexDbError>,
) -> anyhow::Result<Exit> {
    let report = match change(&index.database) {
        Ok(report) => report,
        Err(refused @ IndexDbError::Refused(_)) => {
            say::aside(format_args!("refused: {refused}"));
            if let IndexDbError::Refused(refusals) = &refused {
                for hint in refusals.hints() {
                    say::aside(format_args!("  {hint}"));
                }
            }
            return Ok(Exit::RequestFailed);
        }
        Err(other) => {
            let name = index.name;
            return Err(other).with_context(|| format!("{name} cannot be changed"));
        }
    };
    let image = index.finish().await?;
    let ChangeReport {
        changes,
        passed_over,
    } = report;
    if as_json {
        let CatalogDiff { changes } = changes;
        say::line(json!({"changes": changes, "passed_over": passed_over, "index_image": image}))?;
    } else {
        say::text(changes)?;
        for name in passed_over {
            say::aside(format_args!("{name} was passed over"));
        }
        if let Some(image) = image {
            say::line(image)?;
        }
    }
    Ok(Exit::Done)
}

async fn list(index: &str, as_json: bool) -> anyhow::Result<Exit> {
    let index = source::index(index).await?;
    let bundles = SqliteIndex.bundles(&index.path);
    let bundles = bundles.with_context(|| format!("{} cannot be read", index.name))?;
    if as_json {
        let bundles = bundles.iter().map(|bundle| {
            json!({
                "package": bundle.package,
                "name": bundle.name,
                "version": bundle.version,
                "image": bundle.image,
            })
        });
        say::line(serde_json::Value::from_iter(bundles))?;
    } else {
        for bundle in bundles {
            say::line(format_args!(
                "{} {} {}",
                bundle.package, bundle.name, bundle.image
            ))?;
        }
    }
    Ok(Exit::Done)
}
