//! Taking the latest bundle out of a package (mutable-registry O5).

use std::collections::BTreeSet;

use iib_catalog::{Latest, LoneBundle, Refusal, check_kept, latest};
use iib_fbc::CatalogDiff;
use rusqlite::Connection;

use crate::ChangeReport;
use crate::error::Fault;
use crate::{graph_rows, overwrite, removal, rows, summary};

/// Removes it, and builds the graph of what is left.
///
/// # Errors
/// There is no such package; channels would be empty, or lose other bundles.
pub(crate) fn remove(
    connection: &Connection,
    package: &str,
    lone: LoneBundle,
) -> Result<ChangeReport, Fault> {
    let touched = BTreeSet::from([package.to_owned()]);
    let before = summary::of_rows(connection, &rows::packages(connection, &touched)?)?;
    let found = rows::package(connection, package)?;
    let latest = latest(&found, lone).map_err(|refusal| match refusal {
        Refusal::NoPackage { .. } => removal::no_package(connection, package),
        refusal => refusal.into(),
    });
    match latest? {
        Latest::Package => {
            removal::package(connection, package)?;
            removal::sweep(connection)?;
        }
        Latest::Bundle(name) => {
            overwrite::remove_head(connection, package, &name)?;
            graph_rows::rebuild(connection, package, &[])??;
            removal::tidy(connection)?;
            check_kept(&found, &rows::package(connection, package)?, &name)?;
        }
    }
    let after = summary::of_rows(connection, &rows::packages(connection, &touched)?)?;
    Ok(ChangeReport {
        changes: CatalogDiff::between(&before, &after),
        passed_over: Vec::new(),
    })
}
