//! Where a changed index goes: a file, or an image.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use iib_edge::Config;
use iib_pipeline::{IndexCopy, NewIndex};
use iib_ports::RegistryError;
use tempfile::TempDir;

use crate::cli::IndexOutput;
use crate::image_target::{ImageTarget, check_no_image};
use crate::source::{self, registry};

/// An index that is about to be changed: a working copy, and what becomes of it.
pub(crate) struct IndexChange {
    /// As the user wrote it, for messages.
    pub(crate) name: String,
    /// The working copy.
    pub(crate) database: PathBuf,
    /// The image it came from.
    origin: Option<IndexCopy>,
    target: Target,
}

/// Where the changed index goes.
enum Target {
    /// The working copy is beside this file.
    File { file: PathBuf, copy: Copy },
    /// The working copy is in a folder of its own.
    Image {
        image: Box<ImageTarget>,
        _folder: TempDir,
    },
}

impl IndexChange {
    /// Copies an index, a file or that of an image, to where it can be changed.
    pub(crate) async fn of(index: &str, output: &IndexOutput) -> anyhow::Result<Self> {
        if source::is_path(index) {
            let file = source::existing(Path::new(index))?;
            let change = Self::to(output.to.as_deref().unwrap_or(index), Some(index), output)?;
            let copied = fs::copy(file, &change.database);
            copied.with_context(|| format!("{} cannot be copied", file.display()))?;
            return Ok(change);
        }
        let Some(to) = &output.to else {
            bail!(
                "{index} is an index image: say where the changed index goes, as `--to \
                 {index}` or as another pull spec or file"
            );
        };
        let spec = source::pull_spec(index)?;
        let mut change = Self::to(to, Some(index), output)?;
        let folder = tempfile::tempdir()?;
        let config = Config::from_env()?;
        let registry = registry(&config)?;
        let limit = config.work.max_index_bytes;
        let fetched = IndexCopy::fetch(&registry, &spec, folder.path(), limit).await;
        let fetched = fetched.map_err(|error| anyhow!(error.reason()))?;
        match &mut change.target {
            Target::File { copy, .. } => {
                fs::copy(fetched.database(), &copy.path)
                    .with_context(|| format!("{} cannot be written", copy.path.display()))?;
            }
            Target::Image { _folder, .. } => {
                change.database = fetched.database().to_owned();
                change.origin = Some(fetched);
                *_folder = folder;
            }
        }
        Ok(change)
    }

    /// A new index.
    pub(crate) async fn new(index: &str, output: &IndexOutput) -> anyhow::Result<Self> {
        let change = Self::to(index, None, output)?;
        if let Target::Image { image, .. } = &change.target {
            match image
                .registry
                .manifest(image.spec.repository(), image.spec.reference())
                .await
            {
                Err(RegistryError::NotFound { .. }) => {}
                Ok(_) => bail!("{index} is there already: name another tag"),
                Err(error) => {
                    return Err(error).with_context(|| format!("{index} cannot be looked up"));
                }
            }
        }
        Ok(change)
    }

    /// A working copy that is not there yet, of what goes `to` a file or a tag. A file that is
    /// there is only replaced if it is where the index comes `from`.
    fn to(to: &str, from: Option<&str>, output: &IndexOutput) -> anyhow::Result<Self> {
        let (database, target) = if source::is_path(to) {
            check_no_image("file", to, &output.image)?;
            let file = PathBuf::from(to);
            if file.exists() && from != Some(to) {
                bail!("{to} is there already: name another file");
            }
            let copy = Copy::beside(&file);
            (copy.path.clone(), Target::File { file, copy })
        } else {
            let image = ImageTarget::new(source::pull_spec(to)?, &output.image)?;
            let image = Box::new(image);
            let folder = tempfile::tempdir()?;
            let database = folder.path().join("index.db");
            let _folder = folder;
            (database, Target::Image { image, _folder })
        };
        Ok(Self {
            name: from.unwrap_or(to).to_owned(),
            database,
            origin: None,
            target,
        })
    }

    /// Puts the changed index where it goes. Gives the pull spec of an image, by digest.
    pub(crate) async fn finish(self) -> anyhow::Result<Option<String>> {
        match self.target {
            Target::File { file, copy } => {
                copy.take_place_of(&file)?;
                Ok(None)
            }
            Target::Image { image, _folder } => {
                let new = NewIndex {
                    database: &self.database,
                    origin: self.origin.as_ref(),
                    binary_image: image.binary_image.as_ref(),
                    format: image.format,
                };
                let pushed = new.push(&image.registry, &image.spec).await;
                let pushed = pushed.map_err(|error| anyhow!(error.reason()))?;
                Ok(Some(pushed.to_string()))
            }
        }
    }
}

/// A file beside another one, removed in the end unless it took that one's place.
struct Copy {
    path: PathBuf,
}

impl Copy {
    fn beside(file: &Path) -> Self {
        let mut name = OsString::from(file);
        name.push(format!(".{}.new", std::process::id()));
        Self { path: name.into() }
    }

    /// On disk before it has the name, so that a crash leaves the one or the other.
    fn take_place_of(self, file: &Path) -> anyhow::Result<()> {
        File::open(&self.path)?.sync_all()?;
        fs::rename(&self.path, file)
            .with_context(|| format!("{} cannot be replaced", file.display()))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // Renamed away or never made: nothing to remove then.
        let _ = fs::remove_file(&self.path);
    }
}
