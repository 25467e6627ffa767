//! A small image registry: the distribution protocol over a folder.
//!
//! It behaves as the `distribution` registry does where clients notice: a blob is visible only
//! in repositories it was pushed to or mounted in, a manifest is refused while what it refers to
//! is missing, errors come as the protocol's documents. Bytes of a blob are stored once.
//!
//! ```text
//! <folder>/owner.lock                    process id of the owner
//! <folder>/registry.db                   manifests, tags, and which repository has which blob
//! <folder>/blobs/sha256/ab/abcdef…       content of blobs
//! <folder>/uploads/                      uploads under way; emptied at the start
//! ```
//!
//! Left out: deleting blobs, collecting unreferenced ones, referrers, token authentication.

mod auth;
mod fault;
mod http;
mod name;
mod store;

pub use auth::Auth;
pub use http::{router, serve};
pub use store::RegistryStore;
