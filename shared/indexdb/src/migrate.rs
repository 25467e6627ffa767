//! placeholder
use rusqlite::Connection;
use crate::error::Fault;
pub(crate) fn up(_connection: &mut Connection) -> Result<(), Fault> { Err(Fault::NotAnIndex) }
