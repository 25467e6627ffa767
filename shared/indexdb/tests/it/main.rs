//! Index databases through the port.

mod adding;
mod made;
mod migration;
mod opening;
