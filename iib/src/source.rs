//! Where indexes and catalogs come from: files, folders, registries.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context as _, anyhow, bail};
use iib_bundle::{Bundle, BundleFiles};
use iib_catalog_folder::CatalogFolder;
use iib_edge::Config;
use iib_fbc::{BundleForm, Catalog, CatalogBundle, Fault, Report, Rules, check};
use iib_indexdb::{LeftOut, SqliteIndex};
use iib_oci::PullSpec;
use iib_pipeline::{ContentLimits, ImageContent, IndexCopy};
use iib_ports::IndexDb as _;
use iib_registry::{RegistryClient, RegistryConfig};
use tempfile::TempDir;

use crate::say;

/// An index database, a copy of an image's or a file.
pub(crate) struct Index {
    pub(crate) path: PathBuf,
    /// As the user wrote it, for messages.
    pub(crate) name: String,
    /// Holds the copy.
    _folder: Option<TempDir>,
}

/// The registry client of the settings.
pub(crate) fn registry(config: &Config) -> anyhow::Result<RegistryClient> {
    Ok(RegistryClient::new(RegistryConfig {
        insecure_registries: config.registries.insecure.clone(),
        allowed_registries: config.registries.allowed.clone(),
        own_registries: config.result_registries(),
        auth_files: config.registries.auth_files.clone(),
        outward: Some(config.outward()?),
        ..RegistryConfig::default()
    })?)
}

/// Whether a text names something on this machine: what is there, or is written like a path.
pub(crate) fn is_path(text: &str) -> bool {
    Path::new(text).exists()
        || text.starts_with(['/', '.'])
        || Path::new(text).extension().is_some_and(|extension| {
            let of_files = ["db", "json", "yaml", "yml"];
            of_files.iter().any(|known| extension == *known)
        })
}

/// A pull spec that a user wrote where a file could stand too.
pub(crate) fn pull_spec(text: &str) -> anyhow::Result<PullSpec> {
    text.parse().with_context(|| {
        format!("`{text}` is neither a file or folder that is there nor a pull spec")
    })
}

/// The database that a file or an index image has.
pub(crate) async fn index(text: &str) -> anyhow::Result<Index> {
    if is_path(text) {
        return Index::file(text);
    }
    let spec = pull_spec(text)?;
    let config = Config::from_env()?;
    let folder = tempfile::tempdir()?;
    let limit = config.work.max_index_bytes;
    let copy = IndexCopy::fetch(&registry(&config)?, &spec, folder.path(), limit).await;
    let copy = copy.map_err(|error| anyhow!(error.reason()))?;
    Ok(Index::copy(&copy, text, folder))
}

impl Index {
    fn file(text: &str) -> anyhow::Result<Self> {
        Ok(Self {
            path: existing(Path::new(text))?.to_owned(),
            name: text.to_owned(),
            _folder: None,
        })
    }

    fn copy(copy: &IndexCopy, name: &str, folder: TempDir) -> Self {
        Self {
            path: copy.database().to_owned(),
            name: name.to_owned(),
            _folder: Some(folder),
        }
    }
}

/// A database file that is there; commands make none by accident.
pub(crate) fn existing(file: &Path) -> anyhow::Result<&Path> {
    if !file.is_file() {
        bail!(
            "there is no index database {}: make one with `iib index create`",
            file.display()
        );
    }
    Ok(file)
}

/// Where a catalog is read from, a package at a time: it may be larger than what memory there is.
pub(crate) enum Source {
    Folder(Folder),
    Index(Index),
    /// No catalog, but what a bundle's image gives to one.
    Bundle(Box<Bundle>),
}

/// A catalog folder, a copy of an image's or one of this machine.
pub(crate) struct Folder {
    catalog: CatalogFolder,
    /// Holds the copy.
    _folder: Option<TempDir>,
}

/// A catalog in a folder on this machine.
pub(crate) fn folder(path: &Path, rules: Rules) -> anyhow::Result<Source> {
    Ok(Source::Folder(Folder {
        catalog: CatalogFolder::open_by(path, rules)?,
        _folder: None,
    }))
}

/// What a path leads to.
enum Local {
    Folder,
    Database,
    /// What may be a catalog file.
    Text,
}

/// Bytes at the beginning of a file that tell what it is.
const BEGINNING: u64 = 512;
const DATABASE: &[u8] = b"SQLite format 3\0";
/// Files that people have at hand and take for catalogs, by how they begin.
const OTHERS: [(&[u8], &str); 6] = [
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\x7fELF", "a program"),
    (b"\xff\xfe", "a text in UTF-16, which has to be UTF-8"),
];
/// Where tar archives have their mark.
const TAR: (usize, &[u8]) = (257, b"ustar");

/// Looks at a path that a user named as a catalog.
fn local(text: &str) -> anyhow::Result<Local> {
    let path = Path::new(text);
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => anyhow!(
            "there is no {text}: a catalog is a folder, a catalog file, an index database, or an \
             index image"
        ),
        _ => anyhow!(error).context(format!("{text} cannot be read")),
    })?;
    if metadata.is_dir() {
        return Ok(Local::Folder);
    }
    let expected = "a catalog is a folder, a file in JSON or YAML, or an index database";
    if !metadata.is_file() {
        bail!("{text} is neither a file nor a folder: {expected}");
    }
    let mut begin = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BEGINNING).read_to_end(&mut begin));
    read.with_context(|| format!("{text} cannot be read"))?;
    if begin.starts_with(DATABASE) {
        return Ok(Local::Database);
    }
    let known = OTHERS.iter().find(|(mark, _)| begin.starts_with(mark));
    let (at, mark) = TAR;
    let found = match known {
        Some((_, name)) => name,
        None if begin.get(at..).is_some_and(|rest| rest.starts_with(mark)) => "a tar archive",
        None if begin.contains(&0) => "binary",
        None => return Ok(Local::Text),
    };
    bail!("{text} is {found}: {expected}")
}

/// A catalog in a single file.
fn file(text: &str, rules: Rules) -> anyhow::Result<Source> {
    let opened = CatalogFolder::open_file(Path::new(text), rules);
    Ok(Source::Folder(Folder {
        catalog: opened.with_context(|| format!("{text} is no catalog"))?,
        _folder: None,
    }))
}

/// A catalog in a folder, a file of its own, a database file or an image.
pub(crate) async fn catalog(text: &str) -> anyhow::Result<Source> {
    catalog_by(text, Rules::Opm126).await
}

/// The same, read by these rules.
pub(crate) async fn catalog_by(text: &str, rules: Rules) -> anyhow::Result<Source> {
    let source = match is_path(text) {
        true => on_this_machine(text, rules)?,
        false => of_image(text, rules).await?,
    };
    source.tell_templates(text);
    Ok(source)
}

fn on_this_machine(text: &str, rules: Rules) -> anyhow::Result<Source> {
    match local(text)? {
        Local::Folder => folder(Path::new(text), rules),
        Local::Database => Ok(Source::Index(Index::file(text)?)),
        Local::Text => file(text, rules),
    }
}

async fn of_image(text: &str, rules: Rules) -> anyhow::Result<Source> {
    let (folder, content) = fetched(text).await?;
    Ok(match content {
        ImageContent::Database(copy) => Source::Index(Index::copy(&copy, text, folder)),
        ImageContent::Catalog(path) => Source::Folder(Folder {
            catalog: CatalogFolder::open_by(&path, rules)?,
            _folder: Some(folder),
        }),
        ImageContent::Bundle(files) => {
            let bundle = bundle(text, &files)?;
            Source::Bundle(Box::new(bundle))
        }
    })
}

/// The folder of a catalog, and what holds it if it is a copy of an image's.
///
/// The cache of a catalog tells folder and files by names and permissions, so a file by itself gets
/// a folder that only has it.
pub(crate) async fn catalog_folder(text: &str) -> anyhow::Result<(PathBuf, Option<TempDir>)> {
    if is_path(text) {
        return match local(text)? {
            Local::Folder => Ok((text.into(), None)),
            Local::Database => bail!("{}", no_catalog(text)),
            Local::Text => {
                file(text, Rules::Opm126)?;
                let folder = tempfile::tempdir()?;
                let root = folder.path().join("catalog");
                fs::create_dir(&root)?;
                fs::set_permissions(&root, Permissions::from_mode(0o755))?;
                let name = Path::new(text).file_name().unwrap_or_default();
                fs::copy(text, root.join(name))?;
                Ok((root, Some(folder)))
            }
        };
    }
    match fetched(text).await? {
        (folder, ImageContent::Catalog(path)) => Ok((path, Some(folder))),
        _ => bail!("{}", no_catalog(text)),
    }
}

fn no_catalog(text: &str) -> String {
    format!("{text} has no file-based catalog: write one with `iib index migrate`")
}

async fn fetched(text: &str) -> anyhow::Result<(TempDir, ImageContent)> {
    let spec = pull_spec(text)?;
    let config = Config::from_env()?;
    let folder = tempfile::tempdir()?;
    let limits = ContentLimits {
        index_bytes: config.work.max_index_bytes,
        bundle_bytes: config.work.max_bundle_bytes,
    };
    let content =
        iib_pipeline::fetch_content(&registry(&config)?, &spec, folder.path(), limits).await;
    Ok((folder, content.map_err(|error| anyhow!(error.reason()))?))
}

/// Gives out the packages that either of two catalogs has, as both have them, in the order of
/// [`Source::each_package`]. No more than two of each are in memory.
///
/// Both are read at the same time: one hands its packages over from a thread of its own.
pub(crate) fn side_by_side(
    before: &Source,
    after: &Source,
    wanted: impl Fn(&str) -> bool + Sync,
    mut take: impl FnMut(&str, &Catalog, &Catalog) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let nothing = Catalog::default();
    let wanted = &wanted;
    thread::scope(|scope| {
        let (send, receive) = mpsc::sync_channel(0);
        scope.spawn(move || {
            let handed = before.each_package_of(wanted, |name, part| {
                let handed = send.send(Ok((name.to_owned(), part)));
                handed.context("the other catalog was not read to its end")
            });
            if let Err(error) = handed {
                // Nobody may be there any more, who then has a failure to tell already.
                let _ = send.send(Err(error));
            }
        });
        let next = || receive.recv().ok().transpose();
        let mut old: Option<(String, Catalog)> = next()?;
        after.each_package_of(wanted, |name, new| {
            while let Some((earlier, part)) = old.take_if(|(old, _)| place(old) < place(name)) {
                take(&earlier, &part, &nothing)?;
                old = next()?;
            }
            match old.take_if(|(old, _)| old == name) {
                Some((_, part)) => {
                    take(name, &part, &new)?;
                    old = next()?;
                }
                None => take(name, &nothing, &new)?,
            }
            Ok(())
        })?;
        while let Some((name, part)) = old.take() {
            take(&name, &part, &nothing)?;
            old = next()?;
        }
        Ok(())
    })
}

/// Where a package comes: those objects that have none are last.
fn place(package: &str) -> (bool, &str) {
    (package.is_empty(), package)
}

impl Source {
    /// Says on standard error which files are templates: nobody looks at what they would become.
    fn tell_templates(&self, text: &str) {
        let Self::Folder(folder) = self else {
            return;
        };
        for (file, schema) in &folder.catalog.found().templates {
            say::aside(format_args!(
                "{text}: {file} is a template ({schema}), not a catalog: make the catalog of it \
                 with `opm alpha render-template` and name that"
            ));
        }
    }

    /// Why the catalog has no package, if it has none. Reads no contents.
    pub(crate) fn emptiness(&self) -> anyhow::Result<Option<String>> {
        let catalog = match self {
            Self::Folder(folder) => &folder.catalog,
            Self::Index(index) => {
                let shape = SqliteIndex.shape(&index.path);
                let shape = shape.with_context(|| format!("{} cannot be read", index.name))?;
                let reason = shape.packages.is_empty().then_some("the index is empty");
                return Ok(reason.map(str::to_owned));
            }
            Self::Bundle(_) => return Ok(None),
        };
        if catalog.packages().any(|name| !name.is_empty()) {
            return Ok(None);
        }
        let found = catalog.found();
        Ok(Some(match (found.files, found.left_out) {
            (0, 0) => "there is no file in it".to_owned(),
            (0, _) => "its .indexignore leaves out every file".to_owned(),
            (1, _) => "there is none in its one file".to_owned(),
            (files, _) => format!("there is none in its {files} files"),
        }))
    }

    /// Gives out all packages, sorted by name, and last those objects that have none. Warns of what
    /// an index holds that is not among them.
    pub(crate) fn each_package(
        &self,
        take: impl FnMut(&str, Catalog) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.each_package_of(|_| true, take)
    }

    /// The same with bundles in this form; what was read by the newest rules is as newer versions of
    /// opm write it.
    pub(crate) fn each_package_in(
        &self,
        form: BundleForm,
        take: impl FnMut(&str, Catalog) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        warn(&self.readable(|_| true, form, take)?);
        Ok(())
    }

    /// The same for those packages that are wanted.
    fn each_package_of(
        &self,
        wanted: impl Fn(&str) -> bool,
        take: impl FnMut(&str, Catalog) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        warn(&self.readable(wanted, BundleForm::Objects, take)?);
        Ok(())
    }

    /// The same; tells what is not among them.
    fn readable(
        &self,
        wanted: impl Fn(&str) -> bool,
        form: BundleForm,
        mut take: impl FnMut(&str, Catalog) -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<LeftOut>> {
        match self {
            Self::Folder(Folder { catalog, .. }) => {
                let mut names: Vec<&str> = catalog.packages().filter(|name| wanted(name)).collect();
                names.sort_by_key(|name| place(name));
                for name in names {
                    let mut package = catalog.package(name)?;
                    if catalog.rules() != Rules::Opm126 {
                        package.write_anew()?;
                        package.convert(form)?;
                    }
                    take(name, package)?;
                }
                Ok(Vec::new())
            }
            Self::Index(index) => {
                let exported =
                    SqliteIndex.export(&index.path, form, |name, catalog| match wanted(name) {
                        true => take(name, catalog),
                        false => Ok(()),
                    });
                let mut left_out = exported.with_context(|| {
                    format!("not all of the catalog of {} can be read", index.name)
                })?;
                left_out.retain(|left_out| wanted(&left_out.package));
                Ok(left_out)
            }
            Self::Bundle(bundle) => {
                let mut catalog = Catalog::default();
                catalog
                    .bundles
                    .push(CatalogBundle::of_image_in(bundle, form)?);
                if wanted(&bundle.package) {
                    take(&bundle.package, catalog)?;
                }
                Ok(Vec::new())
            }
        }
    }

    /// The catalog without its contents.
    pub(crate) fn outline(&self) -> anyhow::Result<Catalog> {
        if let Self::Folder(folder) = self {
            return Ok(folder.catalog.outline().clone());
        }
        let (outline, left_out) = self.readable_outline(Rules::Opm126)?;
        warn(&left_out);
        Ok(outline)
    }

    fn readable_outline(&self, rules: Rules) -> anyhow::Result<(Catalog, Vec<LeftOut>)> {
        let mut outline = Catalog::default();
        let left_out = self.readable(
            |_| true,
            BundleForm::Objects,
            |_, catalog| {
                catalog
                    .into_blobs()
                    .for_each(|blob| outline.push(blob.outlined(rules)));
                Ok(())
            },
        )?;
        Ok((outline, left_out))
    }

    /// Every fault of the catalog by these rules, which it was read by.
    pub(crate) fn check(&self, rules: Rules) -> anyhow::Result<Report> {
        match self {
            Self::Folder(folder) => Ok(folder.catalog.check()),
            Self::Index(_) | Self::Bundle(_) => {
                let (outline, left_out) = self.readable_outline(rules)?;
                let mut report = check(&outline, rules);
                report.faults.extend(left_out.iter().map(|left_out| {
                    let LeftOut { package, fault } = left_out;
                    Fault::of_bundle(package, &fault.bundle, fault.to_string())
                }));
                Ok(report)
            }
        }
    }
}

/// Says what an index holds that is not in its catalog.
pub(crate) fn warn(left_out: &[LeftOut]) {
    for left_out in left_out {
        say::aside(format_args!("warning: {left_out}; it is left out"));
    }
}

/// Bundles, read from their images.
pub(crate) async fn bundles(pull_specs: &[String]) -> anyhow::Result<Vec<Bundle>> {
    let config = Config::from_env()?;
    let registry = registry(&config)?;
    let mut bundles = Vec::new();
    for text in pull_specs {
        let spec: PullSpec = text
            .parse()
            .with_context(|| format!("`{text}` is no pull spec"))?;
        let files = iib_pipeline::read_bundle(&registry, &spec, config.work.max_bundle_bytes);
        let files = files.await.map_err(|error| anyhow!(error.reason()))?;
        bundles.push(bundle(text, &files)?);
    }
    Ok(bundles)
}

/// A bundle of these files; those that are passed over are told.
fn bundle(image: &str, files: &BundleFiles) -> anyhow::Result<Bundle> {
    let bundle =
        Bundle::read(image, files).with_context(|| format!("the bundle {image} cannot be used"))?;
    for file in &bundle.passed_over {
        say::aside(format_args!(
            "warning: {image}: {file}; the file is passed over"
        ));
    }
    Ok(bundle)
}
