//! Changing an index with a file-based catalog: the catalog, the database behind it, the serve cache.
//!
//! Packages that came in as bundles are in both (worker flows §15), and where one is changed by way
//! of the database, what that says of it takes the place of what the catalog has. Packages that came in
//! as fragments are in the catalog only. What a request does not touch stays as it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use iib_fbc::{
    Catalog, CatalogChange, CatalogDiff, Deprecations, PackageFilter, Picture, package_changes,
};
use iib_ports::{CatalogError, CatalogFiles, IndexDb, IndexDbError};

use super::contents::Contents;
use super::forms::Forms;
use super::scratch;
use crate::changes::Changes;
use crate::job::Job;
use crate::transfer::blocking;
use crate::{Engine, IndexError, InputError, StageError};

/// An index with a catalog while it is changed.
pub(crate) struct CatalogIndex {
    index_db: Arc<dyn IndexDb>,
    /// For messages.
    image: String,
    /// Those of the new index.
    forms: Forms,
    /// Where deprecations go.
    deprecations_folder: String,
    files: Box<dyn CatalogFiles>,
    contents: Contents,
    /// What changed otherwise.
    noted: Vec<CatalogChange>,
    /// Packages that were touched.
    touched: BTreeSet<String>,
    /// What they were, beside the catalog: all of them may be more than there is memory.
    before: Box<dyn CatalogFiles>,
    /// Packages whose graphs are kept, whether or not they change.
    drawn: BTreeSet<String>,
    /// For the log.
    words: Vec<String>,
}

/// What came of changing a catalog.
pub(crate) struct Changed {
    /// What it said while it was changed.
    pub(crate) words: Vec<String>,
    /// What is not as it was.
    pub(crate) changes: Result<Changes, StageError>,
}

/// Lets `work` change the index in the files of `contents`, which has a catalog; makes the serve
/// cache, and notes what changed.
///
/// # Errors
/// Those of `work`; [`IndexError`] for a catalog that cannot be read, or that is none any more.
pub(crate) async fn change(
    job: &mut Job<'_>,
    contents: &mut Contents,
    work: impl FnOnce(&mut CatalogIndex) -> Result<(), StageError> + Send + 'static,
) -> Result<(), StageError> {
    let plan = job.index_plan()?;
    let image = plan.from.as_ref().map(|index| index.resolved.to_string());
    let image = image.unwrap_or_else(|| "the new index".to_owned());
    let engine = job.deps.engine();
    let Changed { words, changes } =
        change_files(&engine, contents, image, &plan.version, work).await?;
    for line in words {
        job.log(line);
    }
    changes?.keep(job).await
}

/// The same without a job. `image` is for messages, `version` that of the new index.
///
/// # Errors
/// [`IndexError`] for a catalog that cannot be read.
pub(crate) async fn change_files(
    engine: &Engine,
    contents: &mut Contents,
    image: String,
    version: &str,
    work: impl FnOnce(&mut CatalogIndex) -> Result<(), StageError> + Send + 'static,
) -> Result<Changed, StageError> {
    let (catalogs, index_db) = (engine.catalogs.clone(), engine.index_db.clone());
    let copies = contents.clone();
    let forms = Forms::of(version, &engine.work);
    let deprecations_folder = engine.work.deprecations_folder.clone();
    let changed = blocking(move || {
        let Some(copy) = copies.catalog.clone() else {
            return Err(IndexError::NotACatalog(image).into());
        };
        let broken = |source| IndexError::Catalog {
            image: image.clone(),
            source,
        };
        let files = copy.open(&*catalogs, forms.rules).map_err(broken)?;
        let before = copy.folder.with_extension("before");
        fs::create_dir(&before).map_err(scratch("created"))?;
        let before = catalogs.open(&before, forms.rules).map_err(broken)?;
        let mut index = CatalogIndex {
            index_db,
            image,
            forms,
            deprecations_folder,
            files,
            contents: copies,
            noted: Vec::new(),
            touched: BTreeSet::new(),
            before,
            drawn: BTreeSet::new(),
            words: Vec::new(),
        };
        let worked = work(&mut index);
        let finished = worked.and_then(|()| index.finish(&copy.cache));
        let finished = finished.map(|changes| (changes, Arc::from(index.files)));
        Ok::<_, StageError>((finished, index.words))
    });
    let (finished, words) = changed.await?;
    let changes = finished.map(|(changes, known)| {
        if let Some(copy) = &mut contents.catalog {
            copy.known = Some(known);
        }
        changes
    });
    Ok(Changed { words, changes })
}

impl CatalogIndex {
    /// The catalog without its contents, as it is now.
    pub(crate) fn outline(&self) -> &Catalog {
        self.files.outline()
    }

    /// Says something in the log.
    pub(crate) fn tell(&mut self, line: String) {
        self.words.push(line);
    }

    /// Takes a note of what changed before.
    pub(crate) fn note(&mut self, diff: CatalogDiff) {
        self.noted.extend(diff.changes);
    }

    /// Has the graphs of packages kept, as they are at the end, whether or not they change.
    pub(crate) fn draw(&mut self, packages: &BTreeSet<String>) {
        self.drawn.extend(packages.iter().cloned());
    }

    /// What is done to the database behind the catalog.
    pub(crate) fn database<T>(
        &self,
        act: impl FnOnce(&dyn IndexDb, &Path) -> Result<T, IndexDbError>,
    ) -> Result<T, IndexDbError> {
        act(&*self.index_db, &self.contents.database)
    }

    /// The packages in the database.
    ///
    /// # Errors
    /// [`IndexError::Hidden`].
    pub(crate) fn in_database(&self) -> Result<BTreeSet<String>, StageError> {
        if !self.has_database() {
            return Ok(BTreeSet::new());
        }
        let shape = self.database(|index_db, file| index_db.shape(file));
        let shape = shape.map_err(|source| self.hidden(source))?;
        Ok(shape.packages.into_keys().collect())
    }

    /// The packages of the catalog, and those of the database behind it.
    ///
    /// # Errors
    /// [`IndexError::Hidden`].
    pub(crate) fn packages(&self) -> Result<BTreeSet<String>, StageError> {
        let mut known = self.outline().package_names();
        known.extend(self.in_database()?);
        Ok(known)
    }

    /// Takes packages out of the catalog and the database, as far as they are there, and says which
    /// were.
    ///
    /// # Errors
    /// [`IndexError::Hidden`] and [`IndexError::Catalog`].
    pub(crate) fn remove(
        &mut self,
        packages: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, StageError> {
        let mut removed = BTreeSet::new();
        let known = self.in_database()?;
        let known: Vec<String> = packages.intersection(&known).cloned().collect();
        if !known.is_empty() {
            let done = self.database(|index_db, file| index_db.remove_packages(file, &known));
            done.map_err(|source| self.hidden(source))?;
            removed.extend(known);
        }
        for package in packages {
            self.touch(package)?;
            let done = self.files.remove(package);
            if done.map_err(|source| self.broken(source))? {
                removed.insert(package.clone());
            }
        }
        Ok(removed)
    }

    /// Puts packages as the database has them into the catalog. One that the database does not have
    /// any more is left alone.
    ///
    /// # Errors
    /// [`IndexError::Migrate`] and [`IndexError::Catalog`].
    pub(crate) fn migrate(&mut self, packages: &BTreeSet<String>) -> Result<(), StageError> {
        packages
            .iter()
            .try_for_each(|package| self.touch(package))?;
        self.put(packages)
    }

    /// Puts all packages of the database into the catalog, which has none yet. The index has another form
    /// then, and says what it said.
    ///
    /// # Errors
    /// As of [`CatalogIndex::migrate`].
    pub(crate) fn put_all(&mut self) -> Result<(), StageError> {
        let packages = self.in_database()?;
        self.put(&packages)
    }

    fn put(&mut self, packages: &BTreeSet<String>) -> Result<(), StageError> {
        if packages.is_empty() {
            return Ok(());
        }
        let files = &mut self.files;
        let mut failed = None;
        let mut take = |package: &str, content: Catalog| {
            if failed.is_none() {
                failed = files.replace(package, &content).err();
            }
        };
        let exported = self.index_db.export(
            &self.contents.database,
            packages,
            self.forms.bundles,
            &mut take,
        );
        if let Some(source) = failed {
            return Err(self.broken(source).into());
        }
        let left_out = exported.map_err(|source| match source {
            IndexDbError::NoCatalog(_) => IndexError::Migrate(source),
            source => self.hidden(source),
        })?;
        let words = left_out
            .iter()
            .map(|part| format!("{part}; it is left out"));
        self.words.extend(words);
        Ok(())
    }

    /// Puts the packages of a fragment in place of those of the same name. What the database has of
    /// them goes: they are no bundles' any more.
    ///
    /// # Errors
    /// As of [`CatalogIndex::remove`].
    pub(crate) fn merge(
        &mut self,
        fragment: &Path,
        packages: &BTreeSet<String>,
    ) -> Result<(), StageError> {
        packages
            .iter()
            .try_for_each(|package| self.touch(package))?;
        self.remove(packages)?;
        let merged = self.files.merge(fragment);
        Ok(merged.map_err(|source| self.broken(source))?)
    }

    /// Keeps of a package what a filter says. Where that is not all of it, the database forgets the package.
    ///
    /// # Errors
    /// [`IndexError::Filter`], [`IndexError::Hidden`] and [`IndexError::Catalog`].
    pub(crate) fn filter(
        &mut self,
        package: &str,
        filter: &PackageFilter,
    ) -> Result<(), StageError> {
        let before = self.files.package(package);
        let before = before.map_err(|source| self.broken(source))?;
        let mut after = before.clone();
        let filtered = filter.apply(package, &mut after);
        let words = filtered.map_err(IndexError::Filter)?;
        if after == before {
            return Ok(());
        }
        self.touch(package)?;
        if self.in_database()?.contains(package) {
            let names = [package.to_owned()];
            let done = self.database(|index_db, file| index_db.remove_packages(file, &names));
            done.map_err(|source| self.hidden(source))?;
            self.tell(format!(
                "the package {package} is in the catalog only from now on, and not in the database behind it"
            ));
        }
        // Objects of other schemas stay where they are.
        after.others.clear();
        let put = self.files.replace(package, &after);
        put.map_err(|source| self.broken(source))?;
        self.drop_gone_of(package)?;
        self.words.extend(words);
        Ok(())
    }

    /// Puts deprecations in place of those of their package.
    ///
    /// # Errors
    /// [`IndexError::Catalog`].
    pub(crate) fn deprecate(&mut self, deprecations: &Deprecations) -> Result<(), StageError> {
        if let Err(fault) = deprecations.check(self.outline()) {
            // Older programs take whatever there is.
            if self.forms.checks_deprecations() {
                return Err(InputError::Deprecations(fault).into());
            }
            self.tell(format!("warning: {fault}"));
        }
        self.touch(&deprecations.package)?;
        let put = self
            .files
            .deprecate(&self.deprecations_folder, deprecations);
        Ok(put.map_err(|source| self.broken(source))?)
    }

    /// Puts packages into the catalog that only the database has: by itself it would serve them.
    ///
    /// # Errors
    /// As of [`CatalogIndex::migrate`].
    pub(crate) fn follow_database(&mut self) -> Result<(), StageError> {
        let outline = self.files.outline();
        let catalog: BTreeSet<&String> = outline.packages.iter().map(|found| &found.name).collect();
        let known = self.in_database()?.into_iter();
        let missing: BTreeSet<String> = known.filter(|name| !catalog.contains(name)).collect();
        for package in &missing {
            self.tell(format!(
                "the package {package} is in the database behind the catalog and not in the catalog: \
                 it is put there"
            ));
        }
        self.migrate(&missing)
    }

    /// Remembers a package as it is, the first time.
    fn touch(&mut self, package: &str) -> Result<(), StageError> {
        if !self.touched.insert(package.to_owned()) {
            return Ok(());
        }
        let content = self.files.package(package);
        let content = content.map_err(|source| self.broken(source))?;
        if content == Catalog::default() {
            return Ok(());
        }
        let kept = self.before.replace(package, &content);
        Ok(kept.map_err(|source| self.broken(source))?)
    }

    /// Takes out what the deprecations of touched packages say of channels and bundles that are gone, where
    /// what reads the catalog would refuse it.
    fn drop_gone(&mut self) -> Result<(), StageError> {
        if !self.forms.checks_deprecations() {
            return Ok(());
        }
        let touched = self.touched.clone();
        for package in &touched {
            let words = self.drop_gone_of(package)?;
            self.words.extend(words);
        }
        Ok(())
    }

    /// The same for a package, whatever reads it; gives lines about what went.
    fn drop_gone_of(&mut self, package: &str) -> Result<Vec<String>, StageError> {
        let found = Deprecations::without_gone(self.files.outline(), package);
        // One that cannot be read is told with the other faults.
        let Ok(Some((left, words))) = found else {
            return Ok(Vec::new());
        };
        let put = self.files.deprecate(&self.deprecations_folder, &left);
        put.map_err(|source| self.broken(source))?;
        Ok(words)
    }

    /// Checks the catalog, makes its cache, and says what changed.
    fn finish(&mut self, cache: &Path) -> Result<Changes, StageError> {
        self.drop_gone()?;
        let report = self.files.check();
        if !report.is_clean() {
            self.words.push(format!(
                "the catalog was checked by the rules of {}, which the version of the index has by the \
                 settings (`work.newest_rules_from`)",
                self.forms.rules
            ));
            return Err(IndexError::InvalidCatalog(report).into());
        }
        // Who reads the folder has to see what was put into it.
        let unseen = self.files.unseen().map_err(|source| self.broken(source))?;
        if !unseen.is_empty() {
            let unseen: Vec<String> = unseen.into_iter().collect();
            return Err(IndexError::Unseen(unseen.join(", ")).into());
        }
        let cached = self.files.store_cache(cache, self.forms.cache);
        self.words.extend(cached.map_err(IndexError::Cache)?);
        let (mut changes, mut pictures) = (std::mem::take(&mut self.noted), Vec::new());
        let (mut written, mut removed) = (BTreeSet::new(), BTreeSet::new());
        for package in std::mem::take(&mut self.touched) {
            let read = self.before.package(&package);
            let read = read.and_then(|before| Ok((before, self.files.package(&package)?)));
            let (before, after) = read.map_err(|source| self.broken(source))?;
            changes.extend(package_changes(&package, &before, &after));
            match after == Catalog::default() {
                true => removed.insert(package.clone()),
                false => written.insert(package.clone()),
            };
            self.drawn.insert(package);
        }
        for package in &self.drawn {
            pictures.extend(Picture::of(self.files.outline(), package));
        }
        Ok(Changes {
            written,
            removed,
            ..Changes::new(CatalogDiff { changes }, pictures)?
        })
    }

    /// Whether there is a database behind the catalog.
    pub(crate) fn has_database(&self) -> bool {
        self.contents.database.exists()
    }

    /// Bundles that cannot be deprecated are the list's fault; anything else is the database's.
    pub(crate) fn not_deprecated(&self, source: IndexDbError) -> IndexError {
        match source {
            IndexDbError::Refused(_) => IndexError::Deprecate(source),
            source => self.hidden(source),
        }
    }

    /// Bundles that do not fit are the bundles' fault; anything else is the database's.
    pub(crate) fn not_added(&self, source: IndexDbError) -> IndexError {
        match source {
            IndexDbError::Refused(_) => IndexError::Add(source),
            source => self.hidden(source),
        }
    }

    fn hidden(&self, source: IndexDbError) -> IndexError {
        IndexError::Hidden {
            image: self.image.clone(),
            source,
        }
    }

    fn broken(&self, source: CatalogError) -> IndexError {
        IndexError::Catalog {
            image: self.image.clone(),
            source,
        }
    }
}
