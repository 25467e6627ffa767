//! Labels of index and bundle images.

use iib_oci::ImageConfig;

/// Version of an index.
pub(crate) const VERSION: &str = "com.redhat.index.delivery.version";
/// Scope of an index.
pub(crate) const SCOPE: &str = "com.redhat.index.delivery.distribution_scope";
/// Path of an index's database.
pub(crate) const DATABASE: &str = "operators.operatorframework.io.index.database.v1";
/// Path of an index's catalog; only file-based ones have it.
pub(crate) const CONFIGS: &str = "operators.operatorframework.io.index.configs.v1";
/// Package of a bundle.
pub(crate) const PACKAGE: &str = "operators.operatorframework.io.bundle.package.v1";

/// The platforms a bundle is for.
pub(crate) const VERSIONS: &str = "com.redhat.openshift.versions";

/// The label of this name, if an image has it.
pub(crate) fn label<'a>(config: &'a ImageConfig, name: &str) -> Option<&'a str> {
    config.labels().get(name).map(String::as_str)
}
