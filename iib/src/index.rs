//! `iib index`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use iib_catalog::{
    AddOptions, AlphaFeatures, CatalogDiff, DeprecateOptions, LoneBundle, Missing, Overwrite,
    PackageRemoval,
};
use iib_catalog_folder::FolderWriter;
use iib_indexdb::{ChangeReport, SqliteIndex};
use iib_ports::{IndexDb as _, IndexDbError};
use serde_json::json;

use crate::cli::{ChangeOptions, IndexCommand};
use crate::{Exit, catalog, source};

pub(crate) async fn run(command: IndexCommand) -> anyhow::Result<Exit> {
    match command {
        IndexCommand::Create { file, json } => create(&file, json),
        IndexCommand::Add {
            file,
            bundles,
            mode,
            overwrite_latest,
            json,
        } => {
            source::existing(&file)?;
            let bundles = source::bundles(&bundles).await?;
            let options = AddOptions {
                mode,
                overwrite: match overwrite_latest {
                    true => Overwrite::Latest,
                    false => Overwrite::Refuse,
                },
                alpha: AlphaFeatures::On,
            };
            changed(&file, json, |db| {
                let report = SqliteIndex.add(db, &bundles, &options)?;
                Ok(ChangeReport {
                    changes: report.changes,
                    passed_over: Vec::new(),
                })
            })
        }
        IndexCommand::Rm {
            file,
            packages,
            change,
        } => changed(&file, change.json, |db| {
            SqliteIndex.remove(db, &packages, missing(change))
        }),
        IndexCommand::RmLatest {
            file,
            package,
            drop_empty_channels,
            json,
        } => {
            let lone = match drop_empty_channels {
                true => LoneBundle::DropChannel,
                false => LoneBundle::Refuse,
            };
            changed(&file, json, |db| {
                SqliteIndex.remove_latest(db, &package, lone)
            })
        }
        IndexCommand::Deprecate {
            file,
            images,
            allow_package_removal,
            change,
        } => {
            let options = DeprecateOptions {
                missing: missing(change),
                package_removal: match allow_package_removal {
                    true => PackageRemoval::Allowed,
                    false => PackageRemoval::Refused,
                },
            };
            changed(&file, change.json, |db| {
                SqliteIndex.deprecate(db, &images, &options)
            })
        }
        IndexCommand::Prune { file, keep, change } => changed(&file, change.json, |db| {
            SqliteIndex.prune(db, &keep, missing(change))
        }),
        IndexCommand::PruneStranded { file, json } => {
            changed(&file, json, |db| SqliteIndex.prune_stranded(db))
        }
        IndexCommand::List { index, json } => list(&index, json).await,
        IndexCommand::Migrate {
            index,
            folder,
            json,
        } => catalog::faults_shown(migrate(&index, &folder, json).await),
    }
}

#[expect(clippy::print_stdout, reason = "a command speaks to its user")]
async fn migrate(index: &str, folder: &Path, as_json: bool) -> anyhow::Result<Exit> {
    let index = source::index(index).await?;
    let mut writer = FolderWriter::new(folder)?;
    let mut packages = Vec::new();
    SqliteIndex.export(&index.path, |name, catalog| {
        packages.push(name.to_owned());
        writer.package(name, &catalog).map_err(anyhow::Error::from)
    })?;
    writer.finish()?;
    if as_json {
        println!("{}", json!({"packages": packages}));
    }
    Ok(Exit::Done)
}

fn missing(change: ChangeOptions) -> Missing {
    match change.pass_over_missing {
        true => Missing::PassOver,
        false => Missing::Refuse,
    }
}

#[expect(clippy::print_stdout, reason = "a command speaks to its user")]
fn create(file: &Path, as_json: bool) -> anyhow::Result<Exit> {
    if file.exists() {
        bail!("{} is there already: name another file", file.display());
    }
    let copy = Copy::beside(file);
    SqliteIndex.add(&copy.path, &[], &AddOptions::default())?;
    copy.take_place_of(file)?;
    if as_json {
        println!("{}", json!({"changes": []}));
    }
    Ok(Exit::Done)
}

/// Makes a change in a copy of the file, which takes its place when all went well, and reports.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks to its user"
)]
fn changed(
    file: &Path,
    as_json: bool,
    change: impl FnOnce(&Path) -> Result<ChangeReport, IndexDbError>,
) -> anyhow::Result<Exit> {
    source::existing(file)?;
    let copy = Copy::beside(file);
    fs::copy(file, &copy.path).with_context(|| format!("{} cannot be copied", file.display()))?;
    let report = match change(&copy.path) {
        Ok(report) => report,
        Err(refused @ IndexDbError::Refused(_)) => {
            eprintln!("refused: {refused}");
            if let IndexDbError::Refused(refusals) = &refused {
                for hint in refusals.hints() {
                    eprintln!("  {hint}");
                }
            }
            return Ok(Exit::RequestFailed);
        }
        Err(other) => return Err(other.into()),
    };
    copy.take_place_of(file)?;
    let ChangeReport {
        changes,
        passed_over,
    } = report;
    if as_json {
        let CatalogDiff { changes } = changes;
        println!(
            "{}",
            json!({"changes": changes, "passed_over": passed_over})
        );
    } else {
        print!("{changes}");
        for name in passed_over {
            eprintln!("{name} is not in the index");
        }
    }
    Ok(Exit::Done)
}

#[expect(clippy::print_stdout, reason = "a command speaks to its user")]
async fn list(index: &str, as_json: bool) -> anyhow::Result<Exit> {
    let index = source::index(index).await?;
    let bundles = SqliteIndex.bundles(&index.path)?;
    if as_json {
        let bundles = bundles.iter().map(|bundle| {
            json!({
                "package": bundle.package,
                "name": bundle.name,
                "version": bundle.version,
                "image": bundle.image,
            })
        });
        println!("{}", serde_json::Value::from_iter(bundles));
    } else {
        for bundle in bundles {
            println!("{} {} {}", bundle.package, bundle.name, bundle.image);
        }
    }
    Ok(Exit::Done)
}

/// A file beside another one, removed in the end unless it took that one's place.
struct Copy {
    path: PathBuf,
}

impl Copy {
    fn beside(file: &Path) -> Self {
        let mut name = OsString::from(file);
        name.push(format!(".{}.new", std::process::id()));
        Self { path: name.into() }
    }

    /// On disk before it has the name, so that a crash leaves the one or the other.
    fn take_place_of(self, file: &Path) -> anyhow::Result<()> {
        File::open(&self.path)?.sync_all()?;
        fs::rename(&self.path, file)
            .with_context(|| format!("{} cannot be replaced", file.display()))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // Renamed away or never made: nothing to remove then.
        let _ = fs::remove_file(&self.path);
    }
}
