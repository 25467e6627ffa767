//! What the fuzz targets do; `.ci/fuzz` runs them.

pub mod targets;
