//! From failures of the database engine to those of the port.

use std::path::Path;

use iib_catalog::{Refusal, Refusals};
use iib_ports::IndexDbError;
use rusqlite::ErrorCode;

use crate::damage::Damage;

/// A failure inside a transaction, before it is known which file it is about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error(transparent)]
    Refused(#[from] Refusals),
    #[error("schema {0} is newer")]
    NewerSchema(i64),
    #[error("not an index database")]
    NotAnIndex,
    #[error(transparent)]
    Damaged(#[from] Damage),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.into())
    }
}

impl Fault {
    pub(crate) fn on(self, path: &Path) -> IndexDbError {
        let path = path.to_owned();
        match self {
            Self::Refused(refusals) => IndexDbError::Refused(refusals),
            Self::NotAnIndex => IndexDbError::NotAnIndex { path },
            Self::NewerSchema(found) => IndexDbError::NewerSchema {
                path,
                found,
                known: crate::schema::VERSION,
            },
            Self::Damaged(damage) => IndexDbError::Corrupt {
                path,
                source: Box::new(damage),
            },
            // Values of another type than their column's are the file's fault.
            Self::Sql(
                error @ (rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::Utf8Error(..)),
            ) => IndexDbError::Corrupt {
                path,
                source: Box::new(error),
            },
            Self::Sql(error) => {
                let code = error.sqlite_error_code();
                let source = Box::new(error);
                match code {
                    Some(ErrorCode::NotADatabase) => IndexDbError::NotAnIndex { path },
                    Some(ErrorCode::DatabaseCorrupt) => IndexDbError::Corrupt { path, source },
                    Some(ErrorCode::DiskFull) => IndexDbError::NoSpace { path, source },
                    Some(
                        ErrorCode::SystemIoFailure
                        | ErrorCode::OutOfMemory
                        | ErrorCode::CannotOpen
                        | ErrorCode::PermissionDenied
                        | ErrorCode::ReadOnly
                        | ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::TooBig,
                    ) => IndexDbError::Unavailable { path, source },
                    _ => IndexDbError::Engine { path, source },
                }
            }
        }
    }
}
