//! What an index holds, out of its image and into a layer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use iib_fbc::Rules;
use iib_oci::layer::{EntryPath, PackedLayer};
use iib_oci::{ImageFormat, PullSpec, Repository};
use iib_ports::{ArtifactKey, CatalogError, CatalogFiles, Catalogs, Registry};
use iib_request::{Built, BuiltLayer, IndexForm, IndexPlan, IndexToRead, Serves, Unknown};

use super::{layer, places};
use crate::job::Job;
use crate::output::output;
use crate::parts::{self, Copy, InputLayer};
use crate::transfer::{blocking, write_artifact};
use crate::unpacked::{Held, HeldCatalog, Manner, Unpacked};
use crate::{Engine, IndexError, StageError, WorkError};

/// What an index holds, in files of this machine that may be changed.
#[derive(Debug, Clone)]
pub(crate) struct Contents {
    /// Its database; of an index with a catalog the one behind that. It may be absent.
    pub(crate) database: PathBuf,
    /// Its catalog, if it has one.
    pub(crate) catalog: Option<CatalogCopy>,
    pub(crate) input: Option<InputLayer>,
}

/// A file-based catalog in a folder.
#[derive(Debug, Clone)]
pub(crate) struct CatalogCopy {
    pub(crate) folder: PathBuf,
    /// Where the files of its serve cache are, or go.
    pub(crate) cache: PathBuf,
    /// The catalog as it was read or made on this machine; none if it has to be read.
    pub(crate) known: Option<Arc<dyn CatalogFiles>>,
}

impl CatalogCopy {
    fn below(folder: &Path) -> Self {
        Self {
            folder: folder.join("configs"),
            cache: folder.join("cache"),
            known: None,
        }
    }

    /// The catalog with its serve cache, if it is known.
    fn held(&self) -> Option<HeldCatalog> {
        let (catalog, cache) = (self.known.clone()?, self.cache.clone());
        Some(HeldCatalog { catalog, cache })
    }

    /// The catalog in the folder by these rules. It is read if it is not known.
    ///
    /// # Errors
    /// As of [`Catalogs::open`].
    pub(crate) fn open(
        &self,
        catalogs: &dyn Catalogs,
        rules: Rules,
    ) -> Result<Box<dyn CatalogFiles>, CatalogError> {
        match &self.known {
            Some(known) if known.rules() == rules => Ok(known.in_folder(&self.folder)),
            Some(_) | None => catalogs.open(&self.folder, rules),
        }
    }
}

impl Contents {
    /// An index with nothing in it, to be made in a folder.
    pub(crate) fn empty(folder: &Path) -> Self {
        Self {
            database: folder.join("index.db"),
            catalog: None,
            input: None,
        }
    }

    /// Gives the index an empty catalog in place of whatever it has.
    ///
    /// # Errors
    /// [`WorkError::Scratch`].
    pub(crate) async fn with_empty_catalog(mut self, folder: &Path) -> Result<Self, StageError> {
        let copy = CatalogCopy::below(folder);
        let (catalog, cache) = (copy.folder.clone(), copy.cache.clone());
        blocking(move || -> Result<(), WorkError> {
            for folder in [&catalog, &cache] {
                match fs::remove_dir_all(folder) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                }
                .map_err(layer::scratch("removed"))?;
            }
            fs::create_dir(&catalog).map_err(layer::scratch("created"))?;
            layer::set_usual_modes(&catalog)
        })
        .await?;
        self.catalog = Some(copy);
        Ok(self)
    }

    /// The catalog in a folder of this machine, copied to another one, which is empty.
    ///
    /// # Errors
    /// [`WorkError::Scratch`].
    pub(crate) async fn of_folder(catalog: &Path, folder: &Path) -> Result<Self, StageError> {
        let copy = CatalogCopy::below(folder);
        let (from, to) = (catalog.to_owned(), copy.folder.clone());
        blocking(move || -> Result<(), WorkError> {
            copy_tree(&from, &to)?;
            layer::set_usual_modes(&to)
        })
        .await?;
        Ok(Self {
            catalog: Some(copy),
            ..Self::empty(folder)
        })
    }

    /// Copies what a plan's index holds to a folder, which is empty; that is nothing for a plan that
    /// starts from none.
    ///
    /// # Errors
    /// [`StageError`] naming the image.
    pub(crate) async fn of_plan(
        job: &mut Job<'_>,
        plan: &IndexPlan,
        folder: &Path,
    ) -> Result<Self, StageError> {
        let registry = job.registry().await?;
        Self::copy(&job.deps.engine(), &*registry, plan.from.as_ref(), folder).await
    }

    /// The same for any index.
    ///
    /// # Errors
    /// As [`Contents::of_plan`].
    pub(crate) async fn fetch(
        job: &mut Job<'_>,
        index: &IndexToRead,
        folder: &Path,
    ) -> Result<Self, StageError> {
        let registry = job.registry().await?;
        Self::copy(&job.deps.engine(), &*registry, Some(index), folder).await
    }

    /// The same without a job, or through a client of the caller's.
    ///
    /// # Errors
    /// As [`Contents::of_plan`].
    pub(crate) async fn copy(
        engine: &Engine,
        registry: &dyn Registry,
        index: Option<&IndexToRead>,
        folder: &Path,
    ) -> Result<Self, StageError> {
        let limit = engine.work.max_index_bytes;
        let contents = Self::empty(folder);
        let Some(index) = index else {
            return Ok(contents);
        };
        let path = match &index.form {
            IndexForm::Database(path) => {
                let database = &contents.database;
                let input =
                    copy_database(registry, index, path, database, limit, &engine.unpacked).await?;
                return Ok(Self { input, ..contents });
            }
            IndexForm::Catalog(path) => path,
        };
        let image = index.resolved.to_string();
        let missing = || IndexError::NoCatalog {
            image: image.clone(),
            path: path.clone(),
        };
        let root = EntryPath::parse(path.as_bytes()).map_err(|_| missing())?;
        let hidden = index
            .hidden
            .as_ref()
            .unwrap_or(&engine.work.hidden_database);
        let hidden = EntryPath::parse(hidden.as_bytes());
        let hidden = hidden.map_err(|_| WorkError::Incomplete("the settings"))?;
        let mut copy = CatalogCopy::below(folder);
        let copies = [
            Copy::folder(root, copy.folder.clone()),
            Copy::file(hidden, contents.database.clone()),
        ];
        let copied = parts::copy(
            registry,
            &index.image,
            &copies,
            folder,
            limit,
            &engine.unpacked,
        )
        .await?;
        if copied.found.first() != Some(&true) {
            return Err(missing().into());
        }
        let (catalog, cache, made) = (copy.folder.clone(), copy.cache.clone(), copied.made);
        copy.known = blocking(move || {
            layer::set_usual_modes(&catalog)?;
            let made = made.and_then(|made| made.take(&cache));
            // It was made in another folder, of which these files have been copied.
            Ok::<_, WorkError>(made.map(|made| Arc::from(made.in_folder(&catalog))))
        })
        .await?;
        Ok(Self {
            catalog: Some(copy),
            input: copied.input,
            ..contents
        })
    }

    /// Packs it into the index layer and stores that, in one pass.
    ///
    /// # Errors
    /// [`WorkError::Pack`], [`StageError::Artifact`], and [`WorkError::StoredOther`] for a store that
    /// kept something else.
    pub(crate) async fn store(self, job: &mut Job<'_>) -> Result<Built, StageError> {
        let key = ArtifactKey::layer(job.record.id, &job.token);
        let serves = self.serves();
        let format = job.index_plan()?.output_format;
        let hidden = job.deps.work.hidden_database.clone();
        let unpacked = job.deps.unpacked.clone();
        let repositories = repositories_of_result(job)?;
        let (packed, stored) = write_artifact(&*job.deps.artifacts, &key, move |out| {
            let items = self.items(&hidden)?;
            // Of a layer without pieces nobody takes anything over.
            let has_pieces = format.is_docker();
            let file =
                (unpacked.is_on() && has_pieces).then(|| self.database.with_extension("layer"));
            let mut beside = Beside::new(out, file);
            let packed = layer::pack(items, format, self.input.as_ref(), &mut beside)?;
            let input = beside.finish().map(|file| InputLayer {
                pieces: packed.table.clone(),
                file,
            });
            if unpacked.is_on() && input.is_some() == has_pieces {
                self.keep(&unpacked, &repositories, &packed, input.as_ref(), &hidden);
            }
            Ok(packed)
        })
        .await?;
        if stored.digest != packed.digest {
            let (sent, got) = (packed.digest.to_string(), stored.digest.to_string());
            return Err(WorkError::StoredOther { sent, got }.into());
        }
        let PackedLayer {
            digest,
            size,
            pieces,
            pieces_reused,
            ..
        } = &packed;
        let made = format!("the index layer {digest} has {size} bytes");
        job.log(match format {
            ImageFormat::Docker => {
                format!("{made}; {pieces_reused} of its {pieces} pieces are those of the input")
            }
            ImageFormat::Oci => format!("{made}; it is one zstd frame"),
        });
        let layer = BuiltLayer {
            artifact: key.as_str().to_owned(),
            layer: packed.descriptor(format),
            diff_id: packed.diff_id,
            holds: places::of(serves).to_owned(),
            unknown: Unknown::default(),
        };
        Ok(Built {
            layers: vec![layer],
            serves,
            labels: BTreeMap::new(),
            unknown: Unknown::default(),
        })
    }

    /// Keeps it for the request that starts from the layer that was made of it.
    fn keep(
        &self,
        unpacked: &Unpacked,
        repositories: &BTreeSet<Repository>,
        packed: &PackedLayer,
        input: Option<&InputLayer>,
        hidden: &str,
    ) {
        let place = |path: &str| EntryPath::parse(path.as_bytes()).ok();
        let (copies, found, settles) = match &self.catalog {
            None => {
                let database =
                    place(places::DATABASE).map(|at| Copy::file(at, self.database.clone()));
                (vec![database], vec![true], true)
            }
            Some(catalog) => {
                let folder =
                    place(places::CATALOG).map(|at| Copy::folder(at, catalog.folder.clone()));
                let behind = place(hidden).map(|at| Copy::file(at, self.database.clone()));
                (
                    vec![folder, behind],
                    vec![true, self.database.exists()],
                    false,
                )
            }
        };
        let copies: Option<Vec<Copy>> = copies.into_iter().collect();
        let made = self.catalog.as_ref().and_then(CatalogCopy::held);
        let held = Held {
            repositories,
            layers: std::slice::from_ref(&packed.digest),
            settles,
            copies: &copies.unwrap_or_default(),
            found: &found,
            input,
            made: made.as_ref(),
        };
        unpacked.keep(&held, Manner::Move);
    }

    fn serves(&self) -> Serves {
        match self.catalog {
            Some(_) => Serves::Catalog,
            None => Serves::Database,
        }
    }

    /// What goes into the layer: the catalog at one path, the database behind it at another.
    pub(crate) fn items_at(
        &self,
        catalog_at: &str,
        hidden: &str,
    ) -> Result<Vec<layer::Item>, WorkError> {
        let Some(catalog) = &self.catalog else {
            return Ok(layer::database(&self.database, places::DATABASE));
        };
        let made = catalog.held().ok_or(WorkError::Incomplete("change"))?;
        let mut items = layer::catalog(&catalog.folder, catalog_at, &made)?;
        if self.database.exists() {
            items.extend(layer::database(&self.database, hidden));
        }
        Ok(items)
    }

    fn items(&self, hidden: &str) -> Result<Vec<layer::Item>, WorkError> {
        self.items_at(places::CATALOG, hidden)
    }
}

/// Copies a folder with all that is in it. What links lead to is copied.
fn copy_tree(from: &Path, to: &Path) -> Result<(), WorkError> {
    let (read, written) = (layer::scratch("read"), layer::scratch("written"));
    fs::create_dir(to).map_err(layer::scratch("created"))?;
    for entry in fs::read_dir(from).map_err(&read)? {
        let entry = entry.map_err(&read)?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        match fs::metadata(&path).map_err(&read)?.is_dir() {
            true => copy_tree(&path, &to)?,
            false => fs::copy(&path, &to).map(drop).map_err(&written)?,
        }
    }
    Ok(())
}

/// Where the layer that a request makes comes to lie: with its result, and with the index that it overwrites.
fn repositories_of_result(job: &Job<'_>) -> Result<BTreeSet<Repository>, WorkError> {
    let output = output(&job.deps.work, &job.record.id.to_string())?;
    let overwritten = job.record.request.overwritten();
    let overwritten = overwritten.and_then(|index| index.parse::<PullSpec>().ok());
    let specs = [output].into_iter().chain(overwritten);
    Ok(specs.map(|spec| spec.repository().clone()).collect())
}

/// Copies the database of an index to a file.
///
/// # Errors
/// [`StageError`] naming the image.
pub(crate) async fn copy_database(
    registry: &dyn Registry,
    index: &IndexToRead,
    path: &str,
    to: &Path,
    limit: u64,
    unpacked: &Arc<Unpacked>,
) -> Result<Option<InputLayer>, StageError> {
    let image = index.resolved.to_string();
    let path = path.to_owned();
    let missing = || IndexError::NoDatabase {
        image: image.clone(),
        path: path.clone(),
    };
    let wanted = EntryPath::parse(path.as_bytes()).map_err(|_| missing())?;
    let scratch = to.parent().unwrap_or(Path::new("."));
    let copies = [Copy::file(wanted, to.to_owned())];
    let copied = parts::copy(registry, &index.image, &copies, scratch, limit, unpacked).await?;
    match copied.found[..] {
        [true] => Ok(copied.input),
        _ => Err(missing().into()),
    }
}

/// A layer that goes into a file besides, as far as there is room for it.
struct Beside<'o, W> {
    out: &'o mut W,
    file: Option<(File, PathBuf)>,
}

impl<'o, W: Write> Beside<'o, W> {
    fn new(out: &'o mut W, path: Option<PathBuf>) -> Self {
        let open = |path: PathBuf| Some((File::create(&path).ok()?, path));
        let file = path.and_then(open);
        Self { out, file }
    }

    /// The file, if all of the layer is in it.
    fn finish(self) -> Option<PathBuf> {
        self.file.map(|(_, path)| path)
    }
}

impl<W: Write> Write for Beside<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        if let Some((file, path)) = &mut self.file
            && file.write_all(&bytes[..written]).is_err()
        {
            // What is left of it goes with the folder, if not now.
            let _ = fs::remove_file(path);
            self.file = None;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
