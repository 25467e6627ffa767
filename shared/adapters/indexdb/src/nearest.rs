//! What is meant by a name that the index does not have.

use std::collections::BTreeSet;
use std::path::Path;

use iib_bundle::Bundle;
use iib_ports::IndexDbError;

use crate::error::Fault;
use crate::{export, open, rows};

/// Where a bundle that is not there is looked for.
#[derive(Default)]
pub(crate) struct Around {
    /// The packages that are changed.
    pub(crate) packages: BTreeSet<String>,
    /// Names of bundles that come in.
    pub(crate) new: BTreeSet<String>,
}

impl Around {
    pub(crate) fn bundles(new: &[Bundle]) -> Self {
        Self {
            packages: new.iter().map(|bundle| bundle.package.clone()).collect(),
            new: new.iter().map(|bundle| bundle.name.clone()).collect(),
        }
    }

    pub(crate) fn package(name: &str) -> Self {
        Self {
            packages: BTreeSet::from([name.to_owned()]),
            ..Self::default()
        }
    }
}

/// Refusals with the nearest names of the index as it is, which is as it was before. Where it cannot be
/// read now they stay what they are: they are told first.
pub(crate) fn told(error: IndexDbError, db: &Path, around: &Around) -> IndexDbError {
    let IndexDbError::Refused(refusals) = error else {
        return error;
    };
    let looked_up = open::read(db, open::TIME_LIMIT, |connection| {
        let bundles = || -> Result<BTreeSet<String>, Fault> {
            let found = rows::packages(connection, &around.packages)?;
            let there = found
                .into_values()
                .flat_map(|rows| rows.present.into_keys());
            Ok(there.chain(around.new.iter().cloned()).collect())
        };
        let packages = || Ok(export::packages(connection)?.into_iter().collect());
        refusals.clone().with_nearest(bundles, packages)
    });
    IndexDbError::Refused(looked_up.unwrap_or(refusals))
}
