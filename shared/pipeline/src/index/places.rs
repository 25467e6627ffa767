//! Where an index's contents are in every index image made here (worker flows §15).

use iib_request::Serves;

/// The database, and what its label says.
pub(crate) const DATABASE: &str = "/database/index.db";
/// The folder of a file-based catalog, and what its label says.
pub(crate) const CATALOG: &str = "/configs";
/// The folder of its serve cache.
pub(crate) const CACHE: &str = "/tmp/cache";

/// Where that is which an index serves.
pub(crate) fn of(serves: Serves) -> &'static str {
    match serves {
        Serves::Database => DATABASE,
        Serves::Catalog => CATALOG,
    }
}
