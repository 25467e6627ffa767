//! Add requests from end to end, over stores in memory, the real registry client and the real
//! index database: good input, bad input, and things that break on the way.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in helpers of tests, which clippy does not take for tests"
)]

mod add_deprecations;
mod binary_images;
mod bundles;
mod calls;
mod cancels;
mod catalog_drafts;
mod catalogs;
mod changes;
mod crash;
mod crashes;
mod create_empty_index;
mod created;
mod denied;
mod dry_runs;
mod expiry;
mod faults;
mod fbc_operations;
mod figures;
mod git;
mod image;
mod index_copies;
mod indexes;
mod links;
mod merge;
mod moved_tags;
mod oci_output;
mod outcome;
mod overwrite;
mod panics;
mod platform_forms;
mod pull_specs;
mod reasons;
mod regenerate;
mod repeats;
mod rm;
mod rollback;
mod samples;
mod taken_tags;
mod tar_file;
mod unpacked;
mod uploads;
mod vetting;
mod world;
