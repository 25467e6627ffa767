//! What the fuzz targets do; `.ci/fuzz` runs them.

pub mod images;
pub mod targets;
