//! Tables about images, for which they are looked up.

use std::collections::{BTreeMap, BTreeSet};

use iib_catalog::named_of;
use iib_oci::{Arch, PullSpec};
use iib_pipeline::decisions::{self, Asked, Merge};
use iib_request::BinaryImages;
use serde::Deserialize;
use serde_json::{Value, json};

use super::images::{CaseImage, CaseImages, whole_name};
use super::{Answer, words};

#[derive(Deserialize)]
pub(super) struct Architectures {
    image: String,
    images: BTreeMap<String, CaseImage>,
}

pub(super) async fn image_arches(input: &Architectures) -> Answer {
    let images = CaseImages::new(&input.images);
    let spec: PullSpec = whole_name(&input.image).parse().map_err(words)?;
    let found = decisions::arches(&images, &spec).await;
    let found = found.map_err(|error| images.in_words_of_the_case(&words(error)))?;
    Ok(found.iter().map(Arch::as_str).collect())
}

#[derive(Deserialize)]
pub(super) struct Bundles {
    bundles: Vec<String>,
    images: BTreeMap<String, CaseImage>,
}

pub(super) async fn resolved_bundles(input: &Bundles) -> Answer {
    let found = resolved(&CaseImages::new(&input.images), &input.bundles).await?;
    Ok(found.into_iter().collect())
}

async fn resolved(images: &CaseImages, requested: &[String]) -> Result<BTreeSet<String>, String> {
    let of_case = |text: String| images.in_words_of_the_case(&text);
    let requested: Vec<String> = requested.iter().map(|name| whole_name(name)).collect();
    let found = decisions::resolved(images, &requested).await;
    let found = found.map_err(|error| of_case(words(error)))?;
    Ok(found
        .iter()
        .map(|image| of_case(image.to_string()))
        .collect())
}

#[derive(Deserialize)]
pub(super) struct Deprecated {
    bundles: Vec<String>,
    deprecation_list: Vec<String>,
    images: BTreeMap<String, CaseImage>,
}

pub(super) async fn deprecation_bundles(input: &Deprecated) -> Answer {
    let images = CaseImages::new(&input.images);
    let list = resolved(&images, &input.deprecation_list).await?;
    let list: Vec<String> = list.into_iter().collect();
    let named = named_of(&list, input.bundles.iter().map(String::as_str));
    Ok(named.into())
}

#[derive(Deserialize)]
pub(super) struct Preparation {
    kind: Kind,
    request: Requested,
    images: BTreeMap<String, CaseImage>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Add,
    Rm,
    Fbc,
    Merge,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Requested {
    binary_image: Option<String>,
    binary_image_config: Option<BinaryImages>,
    distribution_scope: Option<String>,
    from_index: Option<String>,
    source_from_index: Option<String>,
    target_index: Option<String>,
    #[serde(default)]
    bundles: Vec<String>,
    add_arches: Option<Vec<String>>,
}

impl Requested {
    fn indexes(&self) -> impl Iterator<Item = &String> {
        let all = [
            &self.from_index,
            &self.source_from_index,
            &self.target_index,
        ];
        all.into_iter().flatten()
    }
}

/// What the table tells of versions where there is no index.
const NO_INDEX: &str = "v4.5";
const NO_TARGET: &str = "v4.6";

pub(super) async fn prebuild(mut input: Preparation) -> Answer {
    let request = &input.request;
    for index in request.indexes() {
        // The service refuses an index that does not say where its content is, and no case does.
        if let Some(image) = input.images.get_mut(index) {
            image.add_label(
                "operators.operatorframework.io.index.database.v1",
                "/database/index.db",
            );
        }
    }
    let images = CaseImages::new(&input.images);
    let info = info(input.kind, request, &images).await;
    let info = info.map_err(|error| images.in_words_of_the_case(&error))?;
    let info = images.in_words_of_the_case(&info.to_string());
    let info: Value = serde_json::from_str(&info).map_err(words)?;
    Ok(json!({"info": info, "states": [["in_progress", decisions::RESOLVING]]}))
}

async fn info(kind: Kind, request: &Requested, images: &CaseImages) -> Answer {
    let merge = Merge {
        source: request.source_from_index.as_deref().unwrap_or_default(),
        target: request.target_index.as_deref(),
    };
    let add_arches = match kind {
        Kind::Add | Kind::Rm | Kind::Fbc => request.add_arches.as_deref(),
        Kind::Merge | Kind::Other => None,
    };
    let asked = Asked {
        from_index: request.from_index.as_deref(),
        merge: (kind == Kind::Merge).then_some(merge),
        binary_image: super::given(request.binary_image.as_ref()),
        distribution_scope: super::scope(request.distribution_scope.as_ref())?,
        add_arches: add_arches.unwrap_or_default(),
    };
    let configured = request.binary_image_config.clone().unwrap_or_default();
    let settled = decisions::inputs(images, &configured, &asked).await;
    let settled = settled.map_err(words)?;
    let bundles = match kind {
        Kind::Add => request.bundles.as_slice(),
        _ => &[],
    };
    let mapping = decisions::mapping(images, bundles).await.map_err(words)?;
    let version = settled.version.as_deref().unwrap_or(NO_INDEX);
    let (version, source_version) = match kind {
        Kind::Merge => (NO_INDEX, version),
        _ => (version, NO_INDEX),
    };
    let facts = settled.facts;
    Ok(json!({
        "arches": settled.arches,
        "binary_image": facts.binary_image,
        "binary_image_resolved": facts.binary_image_resolved,
        "bundle_mapping": mapping,
        "distribution_scope": facts.distribution_scope,
        "from_index_resolved": facts.from_index_resolved,
        "ocp_version": version,
        "source_from_index_resolved": facts.source_from_index_resolved,
        "source_ocp_version": source_version,
        "target_index_resolved": facts.target_index_resolved,
        "target_ocp_version": settled.target_version.as_deref().unwrap_or(NO_TARGET),
    }))
}
