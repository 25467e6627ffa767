//! The words of the commands that send requests to a service.

use std::path::PathBuf;

use clap::Args;
use iib_oci::ImageFormat;

use super::{Following, ServiceAddress};

/// Where a request is sent, and how it is followed.
#[derive(Debug, Args)]
pub struct Sending {
    /// The service
    #[command(flatten)]
    pub service: ServiceAddress,
    /// How the request is followed
    #[command(flatten)]
    pub following: Following,
}

/// How an index is made.
#[derive(Debug, Args)]
pub struct Making {
    /// Image the index is built on
    #[arg(long, value_name = "PULL_SPEC")]
    pub binary_image: Option<String>,
    /// How far the index may travel: prod, stage or dev
    #[arg(long, value_name = "SCOPE")]
    pub distribution_scope: Option<String>,
    /// Which documents it has.
    #[command(flatten)]
    pub documents: Documents,
}

/// Which documents an image has.
#[derive(Debug, Args)]
pub struct Documents {
    /// Documents of the result: docker or oci [default: as the service is set up]
    #[arg(long, value_name = "FORMAT")]
    pub output_format: Option<ImageFormat>,
}

/// Further tags of a result.
#[derive(Debug, Args)]
pub struct Tagging {
    /// Further tag of the result; give it once for each
    #[arg(long = "build-tag", value_name = "TAG")]
    pub build_tags: Vec<String>,
}

/// Architectures.
#[derive(Debug, Args)]
pub struct Architectures {
    /// Architecture to build for besides those of the index; give it once for each
    #[arg(long = "arch", value_name = "ARCH")]
    pub add_arches: Vec<String>,
}

/// Whether the result takes the place of the index.
#[derive(Debug, Args)]
pub struct Overwriting {
    /// Put the result in the place of the index, which has to be named by a tag
    #[arg(long)]
    pub overwrite: bool,
    /// With --overwrite: file with the login for the index, as user:password in one line
    #[arg(long, requires = "overwrite", value_name = "FILE")]
    pub login_file: Option<PathBuf>,
}

/// Options of `iib add`.
#[derive(Debug, Args)]
pub struct AddOptions {
    /// Bundle to add; give it once for each
    #[arg(long = "bundle", value_name = "PULL_SPEC")]
    pub bundles: Vec<String>,
    /// Index to start from; without it, an empty one
    #[arg(long, value_name = "PULL_SPEC")]
    pub from_index: Option<String>,
    /// See first that every image is there which the bundles name
    #[arg(long)]
    pub check_related_images: bool,
    /// Bundle to deprecate when the others are added; give it once for each
    #[arg(long = "deprecate", value_name = "PULL_SPEC")]
    pub deprecation_list: Vec<String>,
    /// Where bundles go in the graph: replaces, semver or semver-skippatch
    #[arg(long, value_name = "MODE")]
    pub graph_update_mode: Option<String>,
    /// How it is made.
    #[command(flatten)]
    pub making: Making,
    /// What for.
    #[command(flatten)]
    pub architectures: Architectures,
    /// Its tags.
    #[command(flatten)]
    pub tagging: Tagging,
    /// What becomes of the index.
    #[command(flatten)]
    pub overwriting: Overwriting,
    /// Where to.
    #[command(flatten)]
    pub sending: Sending,
}

/// Options of `iib rm`.
#[derive(Debug, Args)]
pub struct RmOptions {
    /// Operator (package) to take out; give it once for each
    #[arg(long = "operator", value_name = "PACKAGE", required = true)]
    pub operators: Vec<String>,
    /// Index they are taken out of
    #[arg(long, value_name = "PULL_SPEC")]
    pub from_index: String,
    /// How it is made.
    #[command(flatten)]
    pub making: Making,
    /// What for.
    #[command(flatten)]
    pub architectures: Architectures,
    /// Its tags.
    #[command(flatten)]
    pub tagging: Tagging,
    /// What becomes of the index.
    #[command(flatten)]
    pub overwriting: Overwriting,
    /// Where to.
    #[command(flatten)]
    pub sending: Sending,
}

/// Options of `iib merge`.
#[derive(Debug, Args)]
pub struct MergeOptions {
    /// Index to which is added what the other one has
    #[arg(long, value_name = "PULL_SPEC")]
    pub source_from_index: String,
    /// The other index, for whose platform the result is; without it the source is cleaned
    #[arg(long, value_name = "PULL_SPEC")]
    pub target_index: Option<String>,
    /// Bundle to deprecate; give it once for each
    #[arg(long = "deprecate", value_name = "PULL_SPEC")]
    pub deprecation_list: Vec<String>,
    /// Where bundles go in the graph: replaces, semver or semver-skippatch
    #[arg(long, value_name = "MODE")]
    pub graph_update_mode: Option<String>,
    /// Take bundles that do not say what platform they are for, where the service allows it
    #[arg(long)]
    pub ignore_bundle_ocp_version: bool,
    /// How it is made.
    #[command(flatten)]
    pub making: Making,
    /// Its tags.
    #[command(flatten)]
    pub tagging: Tagging,
    /// What becomes of the target.
    #[command(flatten)]
    pub overwriting: Overwriting,
    /// Where to.
    #[command(flatten)]
    pub sending: Sending,
}

/// Options of `iib create-empty-index`.
#[derive(Debug, Args)]
pub struct CreateEmptyIndexOptions {
    /// Index whose architectures, version and scope the new one gets
    #[arg(long, value_name = "PULL_SPEC")]
    pub from_index: String,
    /// How it is made.
    #[command(flatten)]
    pub making: Making,
    /// Make a file-based catalog instead of a database
    #[arg(long)]
    pub output_fbc: bool,
    /// Label of the new index; give it once for each
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Where to.
    #[command(flatten)]
    pub sending: Sending,
}

/// Options of `iib fbc`.
#[derive(Debug, Args)]
pub struct FbcOptions {
    /// Image with a fragment; give it once for each, of a package in several the last one counts
    #[arg(long = "fragment", value_name = "PULL_SPEC", required = true)]
    pub fragments: Vec<String>,
    /// Index they are put into
    #[arg(long, value_name = "PULL_SPEC")]
    pub from_index: String,
    /// How it is made.
    #[command(flatten)]
    pub making: Making,
    /// What for.
    #[command(flatten)]
    pub architectures: Architectures,
    /// Its tags.
    #[command(flatten)]
    pub tagging: Tagging,
    /// What becomes of the index.
    #[command(flatten)]
    pub overwriting: Overwriting,
    /// Where to.
    #[command(flatten)]
    pub sending: Sending,
}

/// Options of `iib deprecations`.
#[derive(Debug, Args)]
pub struct DeprecationsOptions {
    /// File with an object of schema olm.deprecations, in JSON
    #[arg(long = "file", value_name = "FILE")]
    pub file: PathBuf,
    /// The package that it is about
    #[arg(long, value_name = "PACKAGE")]
    pub operator_package: String,
    /// Index it is put into
    #[arg(long, value_name = "PULL_SPEC")]
    pub from_index: String,
    /// Image the index is built on
    #[arg(long, value_name = "PULL_SPEC")]
    pub binary_image: Option<String>,
    /// Which documents it has.
    #[command(flatten)]
    pub documents: Documents,
    /// Its tags.
    #[command(flatten)]
    pub tagging: Tagging,
    /// What becomes of the index.
    #[command(flatten)]
    pub overwriting: Overwriting,
    /// Where to.
    #[command(flatten)]
    pub sending: Sending,
}

/// Whose bundle it is, and who may read it.
#[derive(Debug, Args)]
pub struct BundleReading {
    /// Organization whose customizations are applied
    #[arg(long, value_name = "NAME")]
    pub organization: Option<String>,
    /// File with logins for the registries of the images, as podman and docker write it; all its `auths` go
    /// to the service
    #[arg(long, value_name = "FILE")]
    pub auth_file: Option<PathBuf>,
}

/// Options of `iib regenerate`.
#[derive(Debug, Args)]
pub struct RegenerateOptions {
    /// The bundle
    #[arg(value_name = "PULL_SPEC")]
    pub bundle: String,
    /// Bundle that it names, and the one to name in its place; give it once for each
    #[arg(long = "replace", value_name = "OLD=NEW", value_parser = replacement)]
    pub replacements: Vec<(String, String)>,
    /// How it is read.
    #[command(flatten)]
    pub reading: BundleReading,
    /// Which documents the result has.
    #[command(flatten)]
    pub documents: Documents,
    /// Where to.
    #[command(flatten)]
    pub sending: Sending,
}

/// Options of `iib related`.
#[derive(Debug, Args)]
pub struct RelatedOptions {
    /// The bundle
    #[arg(value_name = "PULL_SPEC")]
    pub bundle: String,
    /// How it is read.
    #[command(flatten)]
    pub reading: BundleReading,
    /// Where to.
    #[command(flatten)]
    pub sending: Sending,
}

/// Options of `iib batch`.
#[derive(Debug, Args)]
pub struct BatchOptions {
    /// File with the requests as JSON: a list of them, each with the parameters of its call, or an object
    /// with build_requests and perhaps annotations
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What the requests ask for: add-rm or regenerate-bundle
    #[arg(long, value_name = "KIND", default_value = "add-rm", value_parser = ["add-rm", "regenerate-bundle"])]
    pub kind: String,
    /// Where to.
    #[command(flatten)]
    pub sending: Sending,
}

/// Options of `iib rollback`.
#[derive(Debug, Args)]
pub struct RollbackOptions {
    /// The number of the request that overwrote the index
    #[arg(value_name = "NUMBER")]
    pub request: u64,
    /// File with the login for the index, as user:password in one line [default: that which this machine
    /// has for the index's registry, from podman or docker]
    #[arg(long, value_name = "FILE")]
    pub login_file: Option<PathBuf>,
    /// Where to.
    #[command(flatten)]
    pub sending: Sending,
}

/// Reads `name=value`.
fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is no label: write it as name=value")),
    }
}

/// Reads `old=new`. A digest has no equals sign in it.
pub(super) fn replacement(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => {
            Ok((old.to_owned(), new.to_owned()))
        }
        _ => Err(format!(
            "`{text}` names no two bundles: write the one that is named now, `=`, and the one to name in its place"
        )),
    }
}
