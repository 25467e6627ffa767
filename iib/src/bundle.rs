//! `iib bundle`: bundles without a service.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail, ensure};
use iib_bundle::{Bundle, BundleFiles};
use iib_edge::Config;
use iib_pipeline::{Adapting, BundleDraft};
use iib_ports::Registry;
use iib_regenerate::{
    Customization, FilesDiff, Manifests, NamedImage, Regenerated, annotations,
    check_customizations, customizations,
};
use iib_request::OrganizationCustomizations;
use serde_json::{Value, json};

use crate::cli::{BundleCommand, BundleRegenerateOptions, ImageOptions};
use crate::image_target::ImageTarget;
use crate::{Exit, catalog_image, say, source};

/// The folders of a bundle.
const FOLDERS: [&str; 2] = ["manifests", "metadata"];

pub(crate) async fn run(command: BundleCommand) -> anyhow::Result<Exit> {
    match command {
        BundleCommand::Regenerate(options) => regenerate(&options).await,
        BundleCommand::Validate { bundle, json } => validate(&bundle, json).await,
        BundleCommand::Images { bundle, json } => images(&bundle, json).await,
    }
}

async fn regenerate(options: &BundleRegenerateOptions) -> anyhow::Result<Exit> {
    let organization = options.organization.as_deref();
    let steps = match &options.customizations {
        Some(file) => match steps(file, organization)? {
            Ok(steps) => steps,
            Err(faults) => {
                faults.iter().for_each(say::aside);
                return Ok(Exit::RequestFailed);
            }
        },
        None => Customization::defaults(),
    };
    let made = ImageOptions {
        binary_image: None,
        output_format: options.target.documents.output_format,
    };
    let image = catalog_image::target(&options.target.to, &made)?;
    let folder = Path::new(&options.target.to);
    if image.is_none() {
        check_free(folder)?;
        check_apart(Path::new(&options.bundle), folder)?;
    }
    let config = Config::from_env()?;
    let registry: Arc<dyn Registry> = Arc::new(source::registry(&config)?);
    let mut bundle = draft(&options.bundle, &*registry, &config).await?;
    let before = bundle.files().clone();
    let asked = Adapting {
        steps,
        has_organization: options.customizations.is_some(),
        replacements: options.replacements.iter().cloned().collect(),
        patience: 2 * config.work.call_patience(),
    };
    let mut told = Vec::new();
    let done = bundle.adapt(registry, asked, &mut told).await;
    told.iter().for_each(say::aside);
    let done = done.map_err(|error| anyhow!(error.reason()))?;
    done.notes.iter().for_each(say::aside);
    let made = match image {
        Some(image) => Some(push(bundle, &image, &done).await?),
        None => {
            write(folder, bundle.files())?;
            tell_left_out(&options.bundle);
            None
        }
    };
    show(&before, &done, made.as_deref(), options.target.json)?;
    Ok(Exit::Done)
}

/// The steps in a file: a list of them, or such lists by organization. Everything that is wrong with it is told at once.
fn steps(
    file: &Path,
    organization: Option<&str>,
) -> anyhow::Result<Result<Vec<Customization>, Vec<String>>> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).with_context(|| format!("{name} cannot be read"))?;
    let document: Value =
        serde_json::from_str(&text).with_context(|| format!("{name} is no JSON"))?;
    let all: OrganizationCustomizations = match document {
        Value::Array(steps) => {
            let name = organization.unwrap_or("customizations");
            [(name.to_owned(), steps)].into()
        }
        document @ Value::Object(_) => serde_json::from_value(document)
            .with_context(|| format!("{name} has no lists of customizations by organization"))?,
        _ => bail!("{name} is to have a list of customizations, or such lists by organization"),
    };
    ensure!(!all.is_empty(), "{name} has no customizations");
    let faults = check_customizations(&name, &all);
    if !faults.is_empty() {
        return Ok(Err(faults.iter().map(ToString::to_string).collect()));
    }
    let steps = match (organization, all.len()) {
        (None, 1) => all.values().next(),
        (None, _) => {
            let names: Vec<&str> = all.keys().map(String::as_str).collect();
            bail!(
                "{name} is for several organizations: name one with --organization ({})",
                names.join(", ")
            )
        }
        (Some(organization), _) => {
            let steps = all.get(organization);
            ensure!(steps.is_some(), "{name} has no organization {organization}");
            steps
        }
    };
    let steps = customizations(steps.map(Vec::as_slice));
    Ok(Ok(steps.map_err(|fault| anyhow!("{name}: {fault}"))?))
}

async fn draft(
    text: &str,
    registry: &dyn Registry,
    config: &Config,
) -> anyhow::Result<BundleDraft> {
    if source::is_path(text) {
        return Ok(BundleDraft::of_files(files(Path::new(text))?));
    }
    let spec = source::pull_spec(text)?;
    let limit = config.work.max_bundle_bytes;
    let draft = BundleDraft::of_image(registry, &spec, limit).await;
    draft.map_err(|error| anyhow!(error.reason()))
}

/// The files of a bundle in a folder, by their paths in it.
fn files(folder: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    ensure!(
        folder.join("manifests").is_dir(),
        "{} is no folder of a bundle: there is no folder `manifests` in it",
        folder.display()
    );
    let root =
        fs::canonicalize(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut files = BTreeMap::new();
    for name in FOLDERS {
        if root.join(name).is_dir() {
            collect(&root, name, &mut files)?;
        }
    }
    Ok(files)
}

fn collect(root: &Path, below: &str, files: &mut BTreeMap<String, Vec<u8>>) -> anyhow::Result<()> {
    let cannot = |path: &Path| format!("{} cannot be read", path.display());
    let place = root.join(below);
    for entry in fs::read_dir(&place).with_context(|| cannot(&place))? {
        let entry = entry.with_context(|| cannot(&place))?;
        let name = entry.file_name();
        let name = name
            .to_str()
            .with_context(|| format!("the name of {} is no text", entry.path().display()))?;
        let path = format!("{below}/{name}");
        // Links are followed, as far as the bundle reaches.
        let real = fs::canonicalize(entry.path()).with_context(|| cannot(&entry.path()))?;
        ensure!(
            real.starts_with(root),
            "{} leads out of the folder of the bundle, to {}: put the file itself there",
            entry.path().display(),
            real.display()
        );
        let found = fs::metadata(&real).with_context(|| cannot(&entry.path()))?;
        ensure!(
            found.is_dir() || found.is_file(),
            "{} is neither a file nor a folder",
            entry.path().display()
        );
        match found.is_dir() {
            true => collect(root, &path, files)?,
            false => {
                let bytes = fs::read(&real).with_context(|| cannot(&entry.path()))?;
                files.insert(path, bytes);
            }
        }
    }
    Ok(())
}

/// Sees that nothing would be overwritten.
fn check_free(folder: &Path) -> anyhow::Result<()> {
    let is_free = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be read", folder.display()));
        }
    };
    ensure!(
        is_free,
        "there is something in {}: name a folder that is empty, or not there",
        folder.display()
    );
    Ok(())
}

/// Sees that the result does not come into the bundle that it is made of.
fn check_apart(from: &Path, to: &Path) -> anyhow::Result<()> {
    let mut above = to
        .ancestors()
        .filter_map(|above| fs::canonicalize(above).ok());
    let (Some(nearest), Ok(from)) = (above.next(), fs::canonicalize(from)) else {
        return Ok(());
    };
    ensure!(
        !nearest.starts_with(&from),
        "{} is in the folder of the bundle: name another one",
        to.display()
    );
    Ok(())
}

/// Says what else is in the folder that the bundle came from.
fn tell_left_out(from: &str) {
    let entries = fs::read_dir(from).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut others: Vec<String> = names.filter(|name| !FOLDERS.contains(&&**name)).collect();
    others.sort();
    if !others.is_empty() {
        say::aside(format_args!(
            "left out, because it is no part of a bundle: {}",
            others.join(", ")
        ));
    }
}

/// Writes the files of a bundle: beside the folder first, so that there is all of it or nothing.
fn write(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> anyhow::Result<()> {
    let parent = match folder.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let cannot = |path: &Path| format!("{} cannot be written", path.display());
    fs::create_dir_all(parent).with_context(|| cannot(parent))?;
    let beside = tempfile::Builder::new()
        .prefix(".iib-bundle-")
        .tempdir_in(parent);
    let beside = beside.with_context(|| cannot(parent))?;
    let root = beside.path().join("bundle");
    for (path, bytes) in files {
        let place: PathBuf = root.join(path);
        let above = place.parent().unwrap_or(&root);
        fs::create_dir_all(above).with_context(|| cannot(above))?;
        fs::write(&place, bytes).with_context(|| cannot(&place))?;
    }
    // Takes the place of an empty folder.
    fs::rename(&root, folder).with_context(|| cannot(folder))
}

/// Pushes a bundle; one that came from a folder gets the labels that its annotations say.
async fn push(
    bundle: BundleDraft,
    image: &ImageTarget,
    done: &Regenerated,
) -> anyhow::Result<String> {
    let mut labels = match bundle.is_of_image() {
        true => BTreeMap::new(),
        false => annotations(bundle.files())?,
    };
    labels.extend(done.labels.clone());
    let pushed = bundle.push(&image.registry, &image.spec, labels, image.format);
    let pushed = pushed.await.map_err(|error| anyhow!(error.reason()))?;
    Ok(pushed.to_string())
}

fn show(
    before: &BTreeMap<String, Vec<u8>>,
    done: &Regenerated,
    image: Option<&str>,
    as_json: bool,
) -> anyhow::Result<()> {
    let diff = FilesDiff::between(before, done);
    if as_json {
        say::line(json!({
            "files": diff.files,
            "labels": done.labels,
            "related_bundles": done.related_bundles,
            "bundle_image": image,
        }))?;
        return Ok(());
    }
    say::text(&diff)?;
    image.map_or(Ok(()), say::line)?;
    Ok(())
}

async fn files_of(text: &str) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    if source::is_path(text) {
        return files(Path::new(text));
    }
    let config = Config::from_env()?;
    let registry = source::registry(&config)?;
    Ok(draft(text, &registry, &config).await?.files().clone())
}

async fn validate(text: &str, as_json: bool) -> anyhow::Result<Exit> {
    let found = Bundle::check(text, &as_added(files_of(text).await?));
    let refusals: Vec<String> = found.refusals.iter().map(ToString::to_string).collect();
    let passed_over = found.passed_over.iter();
    let passed_over = passed_over.map(|file| format!("{file}; the file is passed over"));
    let removed = found.removed_apis.iter().map(ToString::to_string);
    let warnings: Vec<String> = passed_over.chain(removed).collect();
    if as_json {
        say::line(json!({"faults": refusals, "warnings": warnings}))?;
    } else {
        refusals.iter().for_each(say::aside);
        for warning in &warnings {
            say::aside(format_args!("warning: {warning}"));
        }
    }
    Ok(match refusals.is_empty() {
        true => Exit::Done,
        false => Exit::RequestFailed,
    })
}

/// The files that are looked at when a bundle is added: those that lie directly in its folders.
fn as_added(files: BTreeMap<String, Vec<u8>>) -> BundleFiles {
    let mut added = BundleFiles::default();
    for (path, bytes) in files {
        let Some((folder, name)) = path.split_once('/') else {
            continue;
        };
        let into = match folder {
            "manifests" => &mut added.manifests,
            _ => added.metadata.get_or_insert_default(),
        };
        if !name.contains('/') {
            into.insert(name.to_owned(), bytes);
        }
    }
    added
}

async fn images(text: &str, as_json: bool) -> anyhow::Result<Exit> {
    let files = files_of(text).await?;
    let named = Manifests::read(&files).and_then(|manifests| manifests.named_images());
    let named = named.with_context(|| format!("{text} cannot be used"))?;
    if as_json {
        let named: Vec<Value> = named.iter().map(of_named).collect();
        say::line(Value::from(named))?;
        return Ok(Exit::Done);
    }
    for NamedImage {
        file,
        line,
        path,
        image,
    } in &named
    {
        say::line(format_args!("{file}:{line}: {image} ({path})"))?;
    }
    Ok(Exit::Done)
}

fn of_named(named: &NamedImage) -> Value {
    let NamedImage {
        file,
        line,
        path,
        image,
    } = named;
    json!({"file": file, "line": line, "path": path, "image": image})
}
