//! Why a file that can be opened is not worked on.

use std::fmt;
use std::time::Duration;

/// What is wrong with the file of an index database, as the source of
/// `iib_ports::IndexDbError::Corrupt`, which says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// An object that could act on the others, or on who reads it.
    #[error("the {kind} {name:?} is not part of an index database: remove it from the file")]
    ForeignObject {
        /// What it is.
        kind: ObjectKind,
        /// Its name, shortened when it is long.
        name: String,
    },
    /// An object of the schema with another definition than the schema has.
    #[error("the {kind} {name:?} is not defined as in schema {schema}")]
    OtherDefinition {
        /// What it is.
        kind: ObjectKind,
        /// Its name, shortened when it is long.
        name: String,
        /// The schema the file says it has.
        schema: i64,
    },
    /// An object of the schema is not there.
    #[error("the {kind} {name:?} of schema {schema} is missing")]
    Missing {
        /// What it is.
        kind: ObjectKind,
        /// Its name.
        name: String,
        /// The schema the file says it has.
        schema: i64,
    },
    /// The engine was stopped.
    #[error("work on it was stopped after {} s", limit.as_secs_f64())]
    Endless {
        /// How long a call may take.
        limit: Duration,
    },
}

/// Kinds of objects in a database file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObjectKind {
    /// A table with rows.
    Table,
    /// A table answered by code.
    VirtualTable,
    /// A column of a table, named as `table.column`.
    Column,
    /// An index of a table.
    Index,
    /// A stored query.
    View,
    /// Statements that run when rows change.
    Trigger,
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::VirtualTable => "virtual table",
            Self::Column => "column",
            Self::Index => "index",
            Self::View => "view",
            Self::Trigger => "trigger",
        })
    }
}

/// Longest part of a stranger's name that is shown, in characters: the schema's are below 30.
const SHOWN: usize = 64;

impl Damage {
    pub(crate) fn foreign(kind: ObjectKind, name: &str) -> Self {
        let name = name.chars().take(SHOWN).collect();
        Self::ForeignObject { kind, name }
    }

    pub(crate) fn other_definition(kind: ObjectKind, name: &str, schema: i64) -> Self {
        let name = name.chars().take(SHOWN).collect();
        Self::OtherDefinition { kind, name, schema }
    }
}
