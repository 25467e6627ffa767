//! Lists of repositories and tags.

use rusqlite::{Connection, params};

use super::RegistryStore;
use crate::registry::fault::Fault;
use crate::registry::name::Name;

/// A page of a list, sorted by bytes.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::registry) struct ListPage {
    pub(in crate::registry) entries: Vec<String>,
    /// Whether there are more entries after it.
    pub(in crate::registry) more: bool,
}

impl RegistryStore {
    /// Tags of a repository after `last`, at most `limit`.
    pub(in crate::registry) async fn tags(
        &self,
        name: &Name,
        last: String,
        limit: u32,
    ) -> Result<ListPage, Fault> {
        let repository = name.as_str().to_owned();
        let page = self.query("list the tags", move |db| {
            let known = db
                .prepare_cached("SELECT 1 FROM manifests WHERE repository = ?1")?
                .exists([&repository])?;
            if !known {
                return Ok(None);
            }
            let sql = "SELECT tag FROM tags WHERE repository = ?3 AND tag > ?1
                 ORDER BY tag LIMIT ?2";
            page(
                db,
                sql,
                params![last, limit_and_one(limit), repository],
                limit,
            )
            .map(Some)
        });
        page.await?.ok_or_else(|| Fault::NameUnknown(name.clone()))
    }

    /// Repositories with manifests after `last`, at most `limit`.
    pub(in crate::registry) async fn repositories(
        &self,
        last: String,
        limit: u32,
    ) -> Result<ListPage, Fault> {
        self.query("list the repositories", move |db| {
            let sql = "SELECT DISTINCT repository FROM manifests WHERE repository > ?1
                 ORDER BY repository LIMIT ?2";
            page(db, sql, params![last, limit_and_one(limit)], limit)
        })
        .await
    }
}

/// One more than is shown, to see whether there is more.
fn limit_and_one(limit: u32) -> u64 {
    u64::from(limit) + 1
}

fn page(
    db: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    limit: u32,
) -> rusqlite::Result<ListPage> {
    let mut entries = db
        .prepare_cached(sql)?
        .query_map(parameters, |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    let more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    Ok(ListPage { entries, more })
}
