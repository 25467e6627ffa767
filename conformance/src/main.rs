#![doc = include_str!("../README.md")]

mod api;
mod catalog;
mod decide;
mod flows;
mod images;
mod messages;
mod op;
mod regenerate;
mod request;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use iib_fbc::{BundleForm, Rules, ServeForm};

#[derive(Debug, Parser)]
#[command(name = "iib-conformance", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One operation on an index database
    Op {
        /// The database; it may be absent
        #[arg(long)]
        db: PathBuf,
        /// The operation
        #[arg(long)]
        op: PathBuf,
        /// References of bundles; the registries in it are spoken to over plain HTTP
        #[arg(long, env = "BUNDLE_MAP", hide = true)]
        bundle_map: Option<PathBuf>,
    },
    /// Write the catalog of an index database, or that in a folder, into a folder
    Migrate {
        /// The database or folder
        db: PathBuf,
        /// The folder, absent or empty
        folder: PathBuf,
        /// With olm.csv.metadata in place of the objects of bundles
        #[arg(long)]
        csv_metadata: bool,
    },
    /// Print the catalog of an index database or of a folder, or what a bundle gives to one
    Render {
        /// The database, the folder, or the image of the bundle
        from: String,
        /// With olm.csv.metadata in place of the objects of bundles
        #[arg(long)]
        csv_metadata: bool,
        /// References of bundles; the registries in it are spoken to over plain HTTP
        #[arg(long, env = "BUNDLE_MAP", hide = true)]
        bundle_map: Option<PathBuf>,
    },
    /// Check a catalog folder
    Validate {
        /// The folder
        folder: PathBuf,
        /// Whose rules: opm-1.26, opm-newest or konflux
        #[arg(long, default_value_t = Rules::Opm126)]
        rules: Rules,
    },
    /// Write the serve cache of a catalog folder
    Cache {
        /// The catalog
        catalog: PathBuf,
        /// The cache
        cache: PathBuf,
        /// As the newest version writes it, not as 1.26.4 does
        #[arg(long)]
        newest: bool,
    },
    /// The API with its stores, and nobody who works on requests
    Serve {
        /// Settings of the reference, as JSON
        #[arg(long)]
        config: PathBuf,
        /// Where to listen on loopback
        #[arg(long)]
        port: u16,
    },
    /// Put an object into the artifact bucket of such a service
    PutObject {
        /// Its settings
        #[arg(long)]
        config: PathBuf,
        /// The name of the object, as in the reference's bucket
        #[arg(long)]
        key: String,
        /// Its content
        #[arg(long)]
        file: PathBuf,
    },
    /// Play scenarios of the API, and compare the messages that are sent
    Messages {
        /// Scenarios, or folders of them
        #[arg(required = true)]
        scenarios: Vec<PathBuf>,
    },
    /// A table of decisions
    Decide {
        /// The table
        input: PathBuf,
        /// Where the answers go
        output: PathBuf,
    },
    /// Play recorded traces of whole requests in worlds of their own
    Flows {
        /// The traces
        file: PathBuf,
    },
    /// Adapt the bundle of a vector
    Regenerate {
        /// The vector, or a folder of them
        vector: PathBuf,
        /// Where the answer goes, or a folder for them
        output: PathBuf,
    },
    /// One whole request
    Request {
        /// The request and the settings of the service
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Op { db, op, bundle_map } => run_op(&db, &op, bundle_map.as_deref()),
        Command::Migrate {
            db,
            folder,
            csv_metadata,
        } => told(catalog::migrate(&db, &folder, form(csv_metadata))),
        Command::Render {
            from,
            csv_metadata,
            bundle_map,
        } => {
            let images = images::Images::new(bundle_map.as_deref());
            told(images.and_then(|images| catalog::render(&from, form(csv_metadata), &images)))
        }
        Command::Validate { folder, rules } => match catalog::validate(&folder, rules) {
            Ok(()) => ExitCode::SUCCESS,
            Err(text) => complain(&text, 1),
        },
        Command::Cache {
            catalog,
            cache,
            newest,
        } => {
            let form = match newest {
                true => ServeForm::Newest,
                false => ServeForm::Opm126,
            };
            match iib_catalog_folder::write_cache(&catalog, &cache, form) {
                Ok(_) => ExitCode::SUCCESS,
                Err(error) => complain(&iib_ports::chain(&error), 1),
            }
        }
        Command::Serve { config, port } => told(api::serve(&config, port)),
        Command::PutObject { config, key, file } => told(api::put_object(&config, &key, &file)),
        Command::Messages { scenarios } => compared(messages::run(&scenarios)),
        Command::Flows { file } => compared(flows::run(&file)),
        Command::Decide { input, output } => told(decide::run(&input, &output)),
        Command::Regenerate { vector, output } => told(match vector.is_dir() {
            true => regenerate::all(&vector, &output),
            false => regenerate::one(&vector, &output),
        }),
        Command::Request { file } => told(request::run(&file)),
    }
}

fn form(csv_metadata: bool) -> BundleForm {
    match csv_metadata {
        true => BundleForm::CsvMetadata,
        false => BundleForm::Objects,
    }
}

/// Whether what was compared is alike.
fn compared(alike: anyhow::Result<bool>) -> ExitCode {
    match alike {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => complain(&format!("{error:#}"), 1),
    }
}

fn told(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("{error:#}"), 1),
    }
}

fn run_op(
    db: &std::path::Path,
    op: &std::path::Path,
    bundle_map: Option<&std::path::Path>,
) -> ExitCode {
    let images = match images::Images::new(bundle_map) {
        Ok(images) => images,
        Err(error) => return complain(&format!("{error:#}"), 1),
    };
    match op::run(db, op, &|reference| images.read(reference)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => complain(&iib_ports::chain(&failure), failure.exit_code()),
    }
}

/// The last line a suite reads.
#[expect(clippy::print_stderr, reason = "a command speaks to its user")]
fn complain(text: &str, code: u8) -> ExitCode {
    eprintln!("Error: {text}");
    ExitCode::from(code)
}
