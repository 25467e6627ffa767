//! Indexes that are changed without a request: their database in a file, and back into an image.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use iib_catalog::CatalogShape;
use iib_oci::{ImageFormat, Pinned, PullSpec};
use iib_ports::{IndexDb, Registry};
use iib_request::Serves;

use super::contents::copy_database;
use super::new_image::{NewImage, Origin, ToPack};
use super::{layer, places};
use crate::parts::InputLayer;
use crate::steps::inputs::look_at_index;
use crate::transfer::blocking;
use crate::unpacked::Unpacked;
use crate::{IndexError, StageError};

/// The database of an index image, in a file of this machine.
#[derive(Debug)]
pub struct IndexCopy {
    origin: Origin,
    /// Where the database is in the image.
    place: String,
    database: PathBuf,
    input: Option<InputLayer>,
}

impl IndexCopy {
    /// Copies the database of an index image to `folder`, which it keeps for itself.
    ///
    /// # Errors
    /// [`StageError`] naming the image. At most `limit` bytes are unpacked of a layer.
    pub async fn fetch(
        registry: &dyn Registry,
        spec: &PullSpec,
        folder: &Path,
        limit: u64,
    ) -> Result<Self, StageError> {
        let index = look_at_index(registry, spec).await?;
        let Some(place) = index.database.clone() else {
            return Err(IndexError::FileBased(spec.to_string()).into());
        };
        let database = folder.join("index.db");
        let unpacked = Arc::new(Unpacked::off());
        let input =
            copy_database(registry, &index.read, &place, &database, limit, &unpacked).await?;
        Ok(Self {
            origin: Origin {
                spec: spec.clone(),
                index,
            },
            place,
            database,
            input,
        })
    }

    /// The database.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// The image by digest.
    pub fn resolved(&self) -> &Pinned {
        self.origin.resolved()
    }
}

/// An index that is to become an image.
#[derive(Debug)]
pub struct NewIndex<'a> {
    /// Its database.
    pub database: &'a Path,
    /// The image it came from.
    pub origin: Option<&'a IndexCopy>,
    /// The image it is built on. Without one, on what the image is built on that it came from;
    /// else on nothing.
    pub binary_image: Option<&'a PullSpec>,
    /// Which documents it gets.
    pub format: ImageFormat,
}

impl NewIndex<'_> {
    /// Pushes images for all architectures, and the list over them under the tag of `target`. A
    /// tag that was read from is only moved if nobody else moved it meanwhile.
    ///
    /// # Errors
    /// [`StageError`] naming the image.
    pub async fn push(
        &self,
        registry: &Arc<dyn Registry>,
        target: &PullSpec,
    ) -> Result<Pinned, StageError> {
        let place = self.place();
        let image = NewImage {
            origin: self.origin.map(|copy| &copy.origin),
            binary_image: self.binary_image,
            format: self.format,
            serves: Serves::Database,
            place,
        };
        let ground = image.ground(&**registry).await?;
        let to_pack = ToPack {
            items: layer::database(self.database, place),
            // The copy of the layer is small beside the database, and stays with the original.
            input: self.origin.and_then(|copy| copy.input.clone()),
            file: self.database.with_extension("packed"),
        };
        image.push(registry, target, ground, to_pack).await
    }

    /// The path of the database in the image: where it was, unless all else is new too.
    fn place(&self) -> &str {
        match (self.origin, self.binary_image) {
            (Some(origin), None) => &origin.place,
            _ => places::DATABASE.trim_start_matches('/'),
        }
    }
}

/// The catalog of an index image: packages, channels, heads, bundles. Its database is copied to
/// the folder `scratch` on the way.
///
/// # Errors
/// [`StageError`] naming the image.
pub async fn read_catalog(
    registry: &dyn Registry,
    index_db: Arc<dyn IndexDb>,
    index: &PullSpec,
    scratch: &Path,
    limit: u64,
) -> Result<CatalogShape, StageError> {
    let index = IndexCopy::fetch(registry, index, scratch, limit).await?;
    blocking(move || {
        let image = index.resolved().to_string();
        index_db
            .shape(index.database())
            .map_err(|source| IndexError::Database { image, source })
    })
    .await
}
