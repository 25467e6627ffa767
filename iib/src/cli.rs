//! The words of the command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use iib_catalog::Mode;
use iib_fbc::{BundleForm, Rules};
use iib_oci::ImageFormat;
use iib_ports::Secret;

pub use self::itself::*;
pub use self::looking::*;
pub use self::requests::*;
use crate::client::Token;

mod itself;
mod looking;
mod requests;

/// What stands below the commands in `iib --help`.
const AFTER_HELP: &str = "\
Begin with `iib demo`: it needs nothing and shows everything once.

Where things come from:
  Settings     `iib serve --print-settings` names all of them with their variables (IIB_…); a file
               named by IIB_CONFIG overrides the defaults, the environment overrides both; a
               variable that is empty is not set
  Logins       the auth files of podman and docker, or IIB_AUTH_FILE; `iib auth explain` tells
  Registries   IIB_ALLOWED_REGISTRIES names those that may be used, also by where they lead
  Plain HTTP   only to hosts in IIB_INSECURE_REGISTRIES
  Authorities  those of the system, and those in the file that IIB_CA_FILE names
  Proxies      HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY; never for this machine itself
  Service      IIB_URL and IIB_TOKEN, for the commands that speak to one

Exit codes: 0 done; 1 the request failed, the catalog has faults, or `diff --exit-code` found a
difference; 2 wrong use, or the work could not be done; 3 not done in time, it goes on; 130 stopped
by Ctrl-C; 141 nobody read the output any more.";

/// Builds operator index images, without privileges and without other programs.
#[derive(Debug, Parser)]
#[command(name = "iib", version, about, after_help = AFTER_HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the whole way on this machine: a registry, small bundles, an index, a newer bundle.
    Demo(DemoOptions),
    /// Run the API and all stages over one data folder.
    Serve(ServeOptions),
    /// Ask a running service to add bundles to an index.
    Add(AddOptions),
    /// Ask a running service to take operators out of an index
    Rm(RmOptions),
    /// Ask a running service to add to an index what another one has
    Merge(MergeOptions),
    /// Ask a running service for an index without operators, made of another one
    CreateEmptyIndex(CreateEmptyIndexOptions),
    /// Ask a running service to put fragments of a file-based catalog into an index that has one
    Fbc(FbcOptions),
    /// Ask a running service to say in an index what of an operator is deprecated
    Deprecations(DeprecationsOptions),
    /// Ask a running service to make a bundle anew: with its images pinned, and as an organization wants it
    Regenerate(RegenerateOptions),
    /// Ask a running service for the bundles that a bundle names, and for those behind them
    Related(RelatedOptions),
    /// Ask a running service for several things at once: it takes all of them in, or none
    Batch(BatchOptions),
    /// Ask a running service to put back what an index named before a request overwrote it
    Rollback(RollbackOptions),
    /// List the requests of a running service, the newest first
    List(ListOptions),
    /// Show a request of a running service
    Show(ShowOptions),
    /// Print the log of a request of a running service
    Logs(LogsOptions),
    /// Follow a request of a running service to its end.
    Wait(WaitOptions),
    /// Ask a running service to stop a request, before anything is pushed
    Cancel(CancelOptions),
    /// Open the page of a request in a browser, or the list of them
    Open(OpenOptions),
    /// Look at the logins for registries.
    #[command(subcommand)]
    Auth(AuthCommand),
    /// Change and list index databases.
    #[command(subcommand)]
    Index(IndexCommand),
    /// Print, check and compare catalogs.
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// Change bundles and look into them, without a service
    #[command(subcommand)]
    Bundle(BundleCommand),
    /// Measure adding one bundle to indexes of growing size; prints ratios to moving the bytes.
    Bench(BenchOptions),
    /// See whether a service could work here: settings, disk, registry, logins, clock; and what to do if not
    Doctor(DoctorOptions),
    /// Print what a shell completes the words of this command with
    Completions(CompletionsOptions),
    /// Print the manual page, or write one for each command
    Man(ManOptions),
    /// One stage of one request, for `bench`.
    #[command(hide = true)]
    BenchStage(BenchStageOptions),
}

/// What to do with an index database: a file, or the pull spec of an index image. A change is made
/// as a whole or not at all.
#[derive(Debug, Subcommand)]
pub enum IndexCommand {
    /// Make an empty index
    Create {
        /// The database file or the pull spec, which must not be there
        index: String,
        /// The image that the new one is built on [default: none]
        #[arg(long, value_name = "PULL_SPEC")]
        binary_image: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Add bundles
    Add {
        /// A database file, or the pull spec of an index image
        index: String,
        /// Bundle image; give it once for each
        #[arg(long = "bundle", value_name = "PULL_SPEC", required = true)]
        bundles: Vec<String>,
        /// Where bundles go in the graph: replaces, semver or semver-skippatch
        #[arg(long, default_value = "replaces")]
        mode: Mode,
        /// Let a bundle take the place of one of its name that is the head of its channels
        #[arg(long)]
        overwrite_latest: bool,
        /// Where the result goes
        #[command(flatten)]
        output: IndexOutput,
    },
    /// Remove packages with their bundles
    Rm {
        /// A database file, or the pull spec of an index image
        index: String,
        /// Packages
        #[arg(required = true, value_name = "PACKAGE")]
        packages: Vec<String>,
        /// Pass over what is not in the index, instead of refusing all
        #[arg(long)]
        pass_over_missing: bool,
        /// Where the result goes
        #[command(flatten)]
        output: IndexOutput,
    },
    /// Remove the latest bundle of a package; what it replaced is the head again
    RmLatest {
        /// A database file, or the pull spec of an index image
        index: String,
        /// The package
        package: String,
        /// Remove channels that have no other bundle, and a package that has none
        #[arg(long)]
        drop_empty_channels: bool,
        /// Where the result goes
        #[command(flatten)]
        output: IndexOutput,
    },
    /// Deprecate bundles, and remove what is below them
    Deprecate {
        /// A database file, or the pull spec of an index image
        index: String,
        /// Images of the bundles, as `iib index list` shows them
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<String>,
        /// Remove packages of which all channel heads are deprecated
        #[arg(long)]
        allow_package_removal: bool,
        /// Pass over what is not in the index, instead of refusing all
        #[arg(long)]
        pass_over_missing: bool,
        /// Leave bundles as they are whose deprecation would take the default channel of their
        /// package, instead of refusing all
        #[arg(long)]
        pass_over_heads: bool,
        /// Where the result goes
        #[command(flatten)]
        output: IndexOutput,
    },
    /// Remove every package but some
    Prune {
        /// A database file, or the pull spec of an index image
        index: String,
        /// Package to keep; give it once for each
        #[arg(long = "keep", required = true, value_name = "PACKAGE")]
        keep: Vec<String>,
        /// Pass over what is not in the index, instead of refusing all
        #[arg(long)]
        pass_over_missing: bool,
        /// Where the result goes
        #[command(flatten)]
        output: IndexOutput,
    },
    /// Remove bundles that no channel names any more
    PruneStranded {
        /// A database file, or the pull spec of an index image
        index: String,
        /// Where the result goes
        #[command(flatten)]
        output: IndexOutput,
    },
    /// List the bundles with their images, from which the index can be built again
    List {
        /// A database file, or the pull spec of an index image
        index: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the file-based catalog of an index
    Migrate {
        /// A database file, or the pull spec of an index image
        index: String,
        /// Folder for the catalog, absent or empty
        folder: PathBuf,
        /// How bundles are written
        #[command(flatten)]
        form: FormOptions,
        /// Print JSON: the packages
        #[arg(long)]
        json: bool,
    },
}

/// What to do with a bundle: a folder that has `manifests/` and `metadata/`, or the pull spec of a bundle image.
#[derive(Debug, Subcommand)]
pub enum BundleCommand {
    /// Make a bundle anew: with its images pinned, and as an organization wants it
    Regenerate(Box<BundleRegenerateOptions>),
    /// Show everything for which an index would refuse the bundle, and what newer platforms do not take of it
    Validate {
        /// The bundle
        #[arg(value_name = "FOLDER|PULL_SPEC")]
        bundle: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show where the bundle names images: file, line, image, path in the document
    Images {
        /// The bundle
        #[arg(value_name = "FOLDER|PULL_SPEC")]
        bundle: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Options of `iib bundle regenerate`.
#[derive(Debug, Args)]
pub struct BundleRegenerateOptions {
    /// The bundle
    #[arg(value_name = "FOLDER|PULL_SPEC")]
    pub bundle: String,
    /// File with the customizations, in JSON: a list of steps, or such lists by organization [default: the steps that
    /// need no settings: images are pinned, bundles listed and replaced]
    #[arg(long, value_name = "FILE")]
    pub customizations: Option<PathBuf>,
    /// The organization, where the file has several
    #[arg(long, requires = "customizations", value_name = "NAME")]
    pub organization: Option<String>,
    /// Bundle that it names, and the one to name in its place; give it once for each
    #[arg(long = "replace", value_name = "OLD=NEW", value_parser = requests::replacement)]
    pub replacements: Vec<(String, String)>,
    /// Where the result goes
    #[command(flatten)]
    pub target: BundleTarget,
}

/// Where a changed index goes.
#[derive(Debug, Args)]
pub struct IndexOutput {
    /// File or tag for the result [default: the file that is changed; an image needs it]
    #[arg(long, value_name = "FILE|PULL_SPEC")]
    pub to: Option<String>,
    /// How an image is made
    #[command(flatten)]
    pub image: ImageOptions,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How the image is made that a changed index or catalog goes to.
#[derive(Debug, Args)]
pub struct ImageOptions {
    /// The image that the new one is built on [default: what the index image is built on, or
    /// nothing]
    #[arg(long, value_name = "PULL_SPEC")]
    pub binary_image: Option<String>,
    /// Documents of the image that it goes to: docker or oci [default: the setting's, which is docker]
    #[arg(long, value_name = "FORMAT")]
    pub output_format: Option<ImageFormat>,
}

/// What to do with a catalog: a folder, a single file in JSON or YAML, a database file, or the pull
/// spec of an index image, with a database or with a catalog.
#[derive(Debug, Subcommand)]
pub enum CatalogCommand {
    /// Print a catalog as a stream of JSON objects
    Render {
        /// The catalog, or the pull spec of a bundle image: then its one object
        catalog: String,
        /// How bundles are printed
        #[command(flatten)]
        form: FormOptions,
        /// Print one JSON list instead of a stream
        #[arg(long)]
        json: bool,
    },
    /// Write a catalog anew as the newest opm does: a file for each package, PACKAGE/catalog.json
    Migrate {
        /// The catalog
        catalog: String,
        /// Folder for the result, absent or empty
        folder: PathBuf,
        /// How bundles are written
        #[command(flatten)]
        form: FormOptions,
        /// Print JSON: the packages
        #[arg(long)]
        json: bool,
    },
    /// Check a catalog and show all faults
    Validate {
        /// The catalog
        catalog: String,
        /// Whose rules: opm-1.26, opm-newest, or konflux, which also asks for a file of its own for
        /// each package and for the form of bundles that fits the version of OpenShift
        #[arg(long, default_value_t = Rules::OpmNewest)]
        rules: Rules,
        /// The version of OpenShift that the catalog is for, such as v4.17; for the rules of konflux
        #[arg(long, value_name = "VERSION")]
        ocp_version: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what differs between two catalogs
    Diff {
        /// The catalog before
        before: String,
        /// The catalog after
        after: String,
        /// Print JSON: a list of changes, each with what was before and what is after
        #[arg(long)]
        json: bool,
        /// End with 1 if anything differs
        #[arg(long)]
        exit_code: bool,
    },
    /// Put fragments into a catalog; their packages replace those of the same name
    Merge {
        /// The catalog
        catalog: String,
        /// Fragments, of which later ones win
        #[arg(required = true, value_name = "FRAGMENT")]
        fragments: Vec<String>,
        /// Where the result goes
        #[command(flatten)]
        target: Target,
    },
    /// Take packages out of a catalog
    Rm {
        /// The catalog
        catalog: String,
        /// Packages
        #[arg(required = true, value_name = "PACKAGE")]
        packages: Vec<String>,
        /// Where the result goes
        #[command(flatten)]
        target: Target,
    },
    /// Take every package out of a catalog but some
    Prune {
        /// The catalog
        catalog: String,
        /// Package to keep; give it once for each
        #[arg(long = "keep", required = true, value_name = "PACKAGE")]
        keep: Vec<String>,
        /// Where the result goes
        #[command(flatten)]
        target: Target,
    },
    /// Keep packages, and of them channels and versions, with an upgrade graph that is whole
    #[command(after_help = FILTER_HELP)]
    Filter {
        /// The catalog
        catalog: String,
        /// What is kept
        #[command(flatten)]
        filter: FilterOptions,
        /// Where the result goes
        #[command(flatten)]
        target: Target,
    },
    /// Say which bundles and channels of a package are deprecated, in place of what was said
    Deprecations {
        /// The catalog
        catalog: String,
        /// A file with one object of schema olm.deprecations, in JSON or YAML
        file: PathBuf,
        /// Where the result goes
        #[command(flatten)]
        target: Target,
    },
    /// Draw the upgrade graph of a package
    Graph {
        /// The catalog
        catalog: String,
        /// The package
        package: String,
        /// The language of the picture
        #[arg(long, value_enum, default_value_t = GraphFormat::Svg)]
        format: GraphFormat,
        /// The same as `--format json`
        #[arg(long, conflicts_with = "format")]
        json: bool,
    },
    /// Write the serve cache of a catalog, as `opm serve` takes it, and print its digest
    Cache {
        /// The catalog folder or file, or the pull spec of an index image with a catalog
        catalog: String,
        /// Folder for the cache: absent, empty, or an older cache
        cache: PathBuf,
        /// The opm that writes it so
        #[arg(long = "as", value_name = "VERSION", default_value = "newest")]
        form: CacheForm,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// The form of bundles in a catalog.
#[derive(Debug, Clone, Copy, Args)]
pub struct FormOptions {
    /// With one property olm.csv.metadata in place of the objects of a bundle, as catalogs for
    /// OpenShift 4.17 and later have it
    #[arg(long)]
    pub csv_metadata: bool,
}

impl From<FormOptions> for BundleForm {
    fn from(options: FormOptions) -> Self {
        match options.csv_metadata {
            true => Self::CsvMetadata,
            false => Self::Objects,
        }
    }
}

/// What stands below the options of `iib catalog filter`.
const FILTER_HELP: &str = "\
  iib catalog filter index.example/team/index:v4.17 --package lantern --channel lantern:stable \\
      --versions 'lantern:>=1.2.0 <2.0.0' --package kettle --to index.example/team/less:v4.17

Packages that are not named go. Of a package all channels stay unless some are named, and all
versions unless a range is: comparisons that all have to hold (= < <= > >=, or a version alone).

In a channel everything in the range stays, and what is between in its graph, so that there is one
way up to the version on top. What is above goes; what is below goes, too, and who has it can
upgrade as before, because replaces and skips stay. A channel without any of the versions goes
unless it was named. The default channel has to stay, or another one is named. On an image, a
package of which something goes is in the catalog only from then on: the database behind it knows
whole packages.";

/// What a filter of a catalog keeps.
#[derive(Debug, Args)]
pub struct FilterOptions {
    /// Package to keep; give it once for each
    #[arg(long = "package", required = true, value_name = "PACKAGE")]
    pub packages: Vec<String>,
    /// Channel to keep; give it once for each [default: all of the package]
    #[arg(long = "channel", value_name = "PACKAGE:CHANNEL")]
    pub channels: Vec<String>,
    /// Versions to keep [default: all of the package]
    #[arg(long, value_name = "PACKAGE:RANGE")]
    pub versions: Vec<String>,
    /// Channel that becomes the default one [default: the one that is]
    #[arg(long = "default-channel", value_name = "PACKAGE:CHANNEL")]
    pub default_channels: Vec<String>,
}

/// Where a changed catalog goes.
#[derive(Debug, Args)]
pub struct Target {
    /// Folder for the result, absent or empty; or tag for an index image with it, with a serve cache, and
    /// with the database behind the catalog changed alike if there is one
    #[arg(long, value_name = "FOLDER|PULL_SPEC")]
    pub to: String,
    /// How an image is made
    #[command(flatten)]
    pub image: ImageOptions,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Where a bundle goes that was made anew.
#[derive(Debug, Args)]
pub struct BundleTarget {
    /// Folder for the result, absent or empty; or tag for a bundle image, on those that the bundle came from
    #[arg(long, value_name = "FOLDER|PULL_SPEC")]
    pub to: String,
    /// Which documents an image has
    #[command(flatten)]
    pub documents: Documents,
    /// Print JSON: the diffs of files, labels, the bundles that it names, the image
    #[arg(long)]
    pub json: bool,
}

/// Forms of serve caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CacheForm {
    /// With deprecations, objects of other schemas, and CSVs made of olm.csv.metadata.
    Newest,
    /// Without them.
    #[value(name = "opm-1.26")]
    Opm126,
}

/// Languages of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum GraphFormat {
    /// A picture by itself.
    Svg,
    /// For Graphviz.
    Dot,
    /// For Mermaid.
    Mermaid,
    /// Nodes and edges, for programs.
    Json,
}

/// Options of `iib bench`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BenchOptions {
    /// Something else than adding a bundle to indexes of growing size
    #[command(subcommand)]
    pub other: Option<BenchOther>,
    /// Sizes of the indexes, in bundles
    #[arg(long, value_delimiter = ',', default_value = "0,100,1000,7000")]
    pub bundles: Vec<usize>,
    /// Runs of each; the shortest times are shown
    #[arg(long, default_value_t = 3)]
    pub runs: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What else `iib bench` measures.
#[derive(Debug, Subcommand)]
pub enum BenchOther {
    /// The API over the embedded stores, full and empty
    Api(BenchApiOptions),
    /// A request of each kind, on an index with a database and on one with a catalog
    Kinds(BenchKindsOptions),
    /// Bundles made anew and found behind a bundle, with a registry that takes its time
    Bundles(BenchBundlesOptions),
}

/// Options of `iib bench bundles`.
#[derive(Debug, Args)]
pub struct BenchBundlesOptions {
    /// Images that the bundles name
    #[arg(long, value_delimiter = ',', default_value = "10,50")]
    pub images: Vec<u32>,
    /// What the slow registry takes for each answer, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub answers_after: u64,
    /// Runs of each; the shortest times are shown
    #[arg(long, default_value_t = 3)]
    pub runs: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `iib bench kinds`.
#[derive(Debug, Args)]
pub struct BenchKindsOptions {
    /// Sizes of the indexes, in bundles, at least 60
    #[arg(long, value_delimiter = ',', default_value = "100,1000", value_parser = clap::value_parser!(u32).range(60..))]
    pub bundles: Vec<u32>,
    /// Runs of each; the shortest times are shown
    #[arg(long, default_value_t = 3)]
    pub runs: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `iib bench api`.
#[derive(Debug, Args)]
pub struct BenchApiOptions {
    /// Requests in the full stores
    #[arg(long, default_value_t = 100_000)]
    pub stored: u64,
    /// How long each kind of call is made
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `iib bench-stage`.
#[derive(Debug, Args)]
pub struct BenchStageOptions {
    /// What to run
    #[arg(long)]
    pub stage: BenchStage,
    /// Data folder with the request
    #[arg(long)]
    pub data_folder: PathBuf,
    /// The registry
    #[arg(long)]
    pub registry: String,
    /// The input index, for a stage
    #[arg(long)]
    pub index: Option<String>,
    /// A file with requests, for them
    #[arg(long)]
    pub requests: Option<PathBuf>,
}

/// What a process of the benchmark runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum BenchStage {
    /// The pin function's handler.
    Pin,
    /// The mutate function's handler.
    Mutate,
    /// The push function's handler.
    Push,
    /// Download, unpack, pack and upload the same layer, and nothing else.
    Moved,
    /// Whole requests, one after the other.
    Requests,
}

impl BenchStage {
    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pin => "pin",
            Self::Mutate => "mutate",
            Self::Push => "push",
            Self::Moved => "moved",
            Self::Requests => "requests",
        }
    }
}

/// Options of `iib demo`.
#[derive(Debug, Args)]
pub struct DemoOptions {
    /// Folder for what the demo makes [default: a new folder among the temporary files]
    #[arg(long)]
    pub data_folder: Option<PathBuf>,
    /// Use a service that runs already, instead of starting one
    #[arg(
        long,
        value_name = "URL",
        requires = "registry",
        conflicts_with = "data_folder"
    )]
    pub url: Option<String>,
    /// The registry the examples are pushed to, which that service has to reach; credentials and
    /// plain HTTP are set as for `iib serve`
    #[arg(long, value_name = "HOST", requires = "url")]
    pub registry: Option<String>,
    /// Token to show to that service if it asks for one; better set in the environment
    #[arg(long, env = "IIB_TOKEN", hide_env_values = true)]
    pub token: Option<Token>,
}

/// Options of `iib serve`.
#[derive(Debug, Args)]
pub struct ServeOptions {
    /// Settings file; see `--print-settings` for what can stand in it
    #[arg(long, env = "IIB_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder of requests, queues, artifacts, logs and the small registry
    #[arg(long)]
    pub data_folder: Option<PathBuf>,
    /// Where the API listens
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where the small registry listens; it runs unless the settings name another one
    #[arg(long, default_value = "127.0.0.1:5000")]
    pub registry_listen: SocketAddr,
    /// Ask for this user and password on the small registry; the service uses them itself
    #[arg(
        long,
        value_name = "USER:PASSWORD",
        env = "IIB_REGISTRY_LOGIN",
        hide_env_values = true,
        value_parser = secret
    )]
    pub registry_login: Option<Secret>,
    /// Write log lines as JSON
    #[arg(long)]
    pub json_logs: bool,
    /// Print all settings with their defaults and end
    #[arg(long)]
    pub print_settings: bool,
}

/// A user and a password, never shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
}

impl Login {
    /// Reads a login that was given to a command.
    ///
    /// # Errors
    /// Another form; the text is not repeated.
    pub(crate) fn read(text: &Secret) -> anyhow::Result<Self> {
        match text.expose().split_once(':') {
            Some((user, password))
                if !user.is_empty()
                    && !password.is_empty()
                    && !text.expose().contains(char::is_control) =>
            {
                Ok(Self {
                    user: user.to_owned(),
                    password: Secret::new(password),
                })
            }
            _ => anyhow::bail!(
                "the login of the small registry (--registry-login, IIB_REGISTRY_LOGIN) has another form: write it as user:password, without line breaks"
            ),
        }
    }
}

/// Takes any text: what is said of one that the parser refuses would repeat it.
fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

/// Where `iib add` is told to find the service unless it is told.
pub(crate) const LOCAL_URL: &str = "http://127.0.0.1:8080";

/// The service a command speaks to.
#[derive(Debug, Args)]
pub struct ServiceAddress {
    /// Where the service is
    #[arg(long, env = "IIB_URL", default_value = LOCAL_URL)]
    pub url: String,
    /// Token to show to a service that asks for one; better set in the environment
    #[arg(long, env = "IIB_TOKEN", hide_env_values = true)]
    pub token: Option<Token>,
}

/// What to do with logins. They are where podman and docker keep them; IIB_AUTH_FILE names one file
/// instead.
#[derive(Debug, Subcommand)]
pub enum AuthCommand {
    /// Say which login is used for an image, and why; passwords are never shown
    Explain {
        /// The pull spec of an image, or a repository
        #[arg(value_name = "PULL_SPEC")]
        image: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Options of `iib wait`.
#[derive(Debug, Args)]
pub struct WaitOptions {
    /// The number of the request
    #[arg(value_name = "NUMBER")]
    pub request: u64,
    /// The service
    #[command(flatten)]
    pub service: ServiceAddress,
    /// How long at most, such as 90s or 10m
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = duration)]
    pub timeout: Duration,
    /// Print JSON: every change on a line of its own, the finished request last
    #[arg(long)]
    pub json: bool,
}

/// Whether and how a request is followed that was just made.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("waiting").args(["wait", "dry_run"]).multiple(true))]
pub struct Following {
    /// Wait for the end of the request and show how it goes
    #[arg(long)]
    pub wait: bool,
    /// Push nothing: wait for what the request would change, and print it as Markdown, ready for a pull request
    #[arg(long)]
    pub dry_run: bool,
    /// With --wait or --dry-run: how long at most, such as 90s or 10m
    #[arg(long, requires = "waiting", value_name = "DURATION", default_value = "30m", value_parser = duration)]
    pub timeout: Duration,
    /// Print JSON: every change on a line of its own, the finished request last
    #[arg(long)]
    pub json: bool,
}

impl Following {
    /// Whether it is waited for.
    pub fn waits(&self) -> bool {
        self.wait || self.dry_run
    }
}

/// Reads `90s`, `10m`, `2h` or plain seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, factor) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) if text.ends_with('m') => (number, 60),
        Some(number) if text.ends_with('h') => (number, 3600),
        Some(number) => (number, 1),
        None => (text, 1),
    };
    number
        .parse::<u32>()
        .map(|n| Duration::from_secs(u64::from(n) * factor))
        .map_err(|_| format!("`{text}` is no duration: write 90s, 10m or 2h"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        assert!(duration("soon").is_err());
    }

    #[test]
    fn a_password_is_never_shown() {
        let login = Login::read(&Secret::new("u:secret")).unwrap();
        assert!(!format!("{login:?}").contains("secret"));
        for text in ["hunter2", ":hunter2", "u:"] {
            let refused = Login::read(&Secret::new(text)).unwrap_err();
            assert!(!refused.to_string().contains("hunter2"), "{refused}");
            let words = ["iib", "serve", "--registry-login", text];
            assert!(Cli::try_parse_from(words).is_ok(), "{text}");
        }
    }
}
