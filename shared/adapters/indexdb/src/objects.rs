//! What the file of a stranger may hold.
//!
//! A definition can carry statements of its author: triggers, views, virtual tables, generated
//! columns, checks, expressions in indexes. They would run in the middle of ours, rewrite rows of
//! packages nobody touches, or never end. What a file holds is therefore compared with the schema,
//! by the words of the definitions, before any statement but the ones here reads it.

use rusqlite::Connection;

use crate::damage::{Damage, ObjectKind};
use crate::definition::words;
use crate::error::Fault;
use crate::migrate;
use crate::schema::{self, Found};

/// The table that holds the schema's version. Tools have spelled it differently over the years.
const VERSION_TABLE: &str = "schema_migrations";

/// Words in the definition of a table that is only read which change what is read.
const NOT_IN_READ_TABLES: [&str; 5] = ["as", "check", "collate", "generated", "without"];

/// An object of a database file.
struct Object {
    kind: ObjectKind,
    /// As it is written.
    name: String,
    /// Name of its table in lower case; of a table, its own.
    table: String,
    /// `None` for an index that comes with a constraint of its table.
    words: Option<Vec<String>>,
}

/// Looks at a file: what it is, and whether it holds only what an index database does.
///
/// # Errors
/// It is a database of something else, of a newer schema, or holds other objects.
pub(crate) fn inspect(connection: &Connection) -> Result<Found, Fault> {
    let ours = ours()?;
    let held = objects(connection)?;
    for object in &held {
        check_kind(object, &ours)?;
    }
    let found = schema::found(connection)?;
    if let Found::Schema(version) = found {
        for object in &held {
            check_index(object, &ours, version)?;
        }
        if version == schema::VERSION {
            check_present(&held, &ours)?;
        } else {
            check_older(connection, &held, version)?;
        }
    }
    Ok(found)
}

/// The objects of the present schema.
fn ours() -> Result<Vec<Object>, Fault> {
    let connection = Connection::open_in_memory()?;
    schema::create(&connection)?;
    objects(&connection)
}

fn objects(connection: &Connection) -> Result<Vec<Object>, Fault> {
    let mut statement =
        connection.prepare("SELECT type, name, tbl_name, sql FROM sqlite_master")?;
    let mut rows = statement.query([])?;
    let mut objects = Vec::new();
    while let Some(row) = rows.next()? {
        let kind: String = row.get(0)?;
        let words = row.get::<_, Option<String>>(3)?.map(|sql| words(&sql));
        let starts = |with: &[&str]| {
            let words = words.as_deref().unwrap_or_default();
            words.iter().zip(with).filter(|(a, b)| a == b).count() == with.len()
        };
        // The engine has compared kind and name with the definition.
        let kind = match kind.as_str() {
            "table" if starts(&["create", "table"]) => ObjectKind::Table,
            "table" => ObjectKind::VirtualTable,
            "index" => ObjectKind::Index,
            "trigger" => ObjectKind::Trigger,
            _ => ObjectKind::View,
        };
        objects.push(Object {
            kind,
            name: row.get(1)?,
            table: row.get::<_, String>(2)?.to_ascii_lowercase(),
            words,
        });
    }
    Ok(objects)
}

fn find<'a>(objects: &'a [Object], kind: ObjectKind, name: &str) -> Option<&'a Object> {
    objects
        .iter()
        .find(|object| object.kind == kind && object.name.eq_ignore_ascii_case(name))
}

/// What holds in every schema: no statements but the schema's, and no table that has a say in what
/// happens to the schema's.
fn check_kind(object: &Object, ours: &[Object]) -> Result<(), Damage> {
    let known = find(ours, object.kind, &object.name);
    let fits = match object.kind {
        ObjectKind::Trigger => known.is_some_and(|known| known.words == object.words),
        ObjectKind::Table if known.is_none() => !has_word(object, &["references"]),
        ObjectKind::Table => {
            object.table != VERSION_TABLE || !has_word(object, &NOT_IN_READ_TABLES)
        }
        ObjectKind::Index => true,
        ObjectKind::View | ObjectKind::VirtualTable | ObjectKind::Column => false,
    };
    if fits {
        Ok(())
    } else {
        Err(Damage::foreign(object.kind, &object.name))
    }
}

fn has_word(object: &Object, among: &[&str]) -> bool {
    let mut words = object.words.iter().flatten();
    words.any(|word| among.contains(&word.as_str()))
}

/// Indexes on tables of ours: those of the schema, and such that only make reading faster.
fn check_index(object: &Object, ours: &[Object], schema: i64) -> Result<(), Damage> {
    if object.kind != ObjectKind::Index || find(ours, ObjectKind::Table, &object.table).is_none() {
        return Ok(());
    }
    // One that comes with a constraint is checked with its table.
    let Some(words) = &object.words else {
        return Ok(());
    };
    match find(ours, ObjectKind::Index, &object.name) {
        Some(known) if known.words == object.words => Ok(()),
        Some(_) => Err(Damage::other_definition(object.kind, &object.name, schema)),
        None if is_plain(words) => Ok(()),
        None => Err(Damage::foreign(object.kind, &object.name)),
    }
}

/// Whether the words define an index on bare columns: `create index i on t ( a , b desc )`.
fn is_plain(words: &[String]) -> bool {
    let [create, index, _, on, _, open, columns @ .., close] = words else {
        return false;
    };
    let is_name = |word: &String| {
        let mut signs = word.chars();
        signs.all(|sign| sign.is_ascii_alphanumeric() || sign == '_')
    };
    [create, index, on, open, close] == ["create", "index", "on", "(", ")"]
        && columns
            .split(|word| word == ",")
            .all(|column| match column {
                [name] => is_name(name),
                [name, order] => is_name(name) && matches!(order.as_str(), "asc" | "desc"),
                _ => false,
            })
}

/// The present schema is written to, so its tables must be defined as ours are. Its triggers were
/// compared before; without them the file is only less tidy.
fn check_present(held: &[Object], ours: &[Object]) -> Result<(), Damage> {
    for known in ours {
        let Object { kind, name, .. } = known;
        let needed = match kind {
            ObjectKind::Table => known.table != VERSION_TABLE,
            ObjectKind::Index => known.words.is_some(),
            _ => false,
        };
        if !needed {
            continue;
        }
        match find(held, *kind, name) {
            Some(object) if object.words == known.words => {}
            Some(_) => return Err(Damage::other_definition(*kind, name, schema::VERSION)),
            None => {
                return Err(Damage::Missing {
                    kind: *kind,
                    name: name.clone(),
                    schema: schema::VERSION,
                });
            }
        }
    }
    Ok(())
}

/// Older schemas are only read: their tables must have the columns that are copied, as stored.
fn check_older(connection: &Connection, held: &[Object], schema: i64) -> Result<(), Fault> {
    for (name, columns) in migrate::copied(schema) {
        let missing = |kind, name: &str| Damage::Missing {
            kind,
            name: name.to_owned(),
            schema,
        };
        let table =
            find(held, ObjectKind::Table, name).ok_or_else(|| missing(ObjectKind::Table, name))?;
        if has_word(table, &NOT_IN_READ_TABLES) {
            return Err(Damage::other_definition(table.kind, name, schema).into());
        }
        let mut present = Vec::new();
        connection.pragma(None, "table_info", name, |row| {
            present.push(row.get::<_, String>("name")?.to_ascii_lowercase());
            Ok(())
        })?;
        for column in columns {
            if !present.iter().any(|name| name == column) {
                let name = format!("{name}.{column}");
                return Err(missing(ObjectKind::Column, &name).into());
            }
        }
    }
    Ok(())
}
