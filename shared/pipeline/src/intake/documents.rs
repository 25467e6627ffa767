//! Documents of requests beside their logs (spec rest-api §9).

use iib_ports::ArtifactKey;
use iib_request::{Record, Request, RequestId, log_expiration};

use super::{IntakeDeps, IntakeError, Offer, get};
use crate::ending::read_text;

/// A document that requests of one kind have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// The bundles that a regenerated bundle refers to.
    RelatedBundles,
    /// The bundles behind a bundle.
    NestedBundles,
}

impl Document {
    fn offer(self) -> Offer {
        match self {
            Self::RelatedBundles => Offer::RelatedBundles,
            Self::NestedBundles => Offer::NestedBundles,
        }
    }

    /// The kind of request that has it.
    fn kind(self) -> &'static str {
        match self {
            Self::RelatedBundles => "regenerate-bundle",
            Self::NestedBundles => "recursive-related-bundles",
        }
    }

    fn key(self, id: RequestId) -> ArtifactKey {
        match self {
            Self::RelatedBundles => ArtifactKey::related_bundles(id),
            Self::NestedBundles => ArtifactKey::nested_bundles(id),
        }
    }
}

/// Reads a document, as the JSON text that it is. One that has expired and is still there is shown.
///
/// # Errors
/// [`IntakeError`], in the order of spec rest-api §9.
pub async fn document(
    deps: &IntakeDeps,
    id: RequestId,
    document: Document,
) -> Result<String, IntakeError> {
    let offered = match document {
        Document::RelatedBundles => deps.api.offer_related_bundles,
        Document::NestedBundles => true,
    };
    if !offered {
        return Err(IntakeError::NoDocument(id));
    }
    let record = get(deps, id).await?;
    check_kind(id, record.request.name(), document.kind())?;
    if !record.state().is_final() {
        return Err(IntakeError::NotFinished(id, document.offer()));
    }
    match read_text(&*deps.artifacts, &document.key(id)).await? {
        Some(text) => Ok(text),
        None => Err(missing(deps, &record, document.offer())),
    }
}

/// Why a document of a request that has ended is not there: the reference has other words for its
/// folders than for its bucket.
pub(super) fn missing(deps: &IntakeDeps, record: &Record, offer: Offer) -> IntakeError {
    let id = record.id;
    let folder = match offer {
        Offer::Logs => &deps.api.logs_folder,
        Offer::RelatedBundles => &deps.api.related_bundles_folder,
        Offer::NestedBundles => &deps.api.nested_bundles_folder,
        Offer::Plan | Offer::Diff | Offer::Graph => &None,
    };
    let expired = record.data_removed || deps.clock.now() > log_expiration(record, &deps.api);
    match (folder, record.request.organization()) {
        (None, _) if expired => IntakeError::Expired(id),
        (None, _) => IntakeError::NoDocument(id),
        (Some(_), _) if expired => IntakeError::ExpiredInFolder(id, offer),
        (Some(_), Some(organization)) if offer == Offer::RelatedBundles => {
            IntakeError::NotCustomized(id, organization.to_owned())
        }
        (Some(_), _) => IntakeError::NotInFolder(id, offer),
    }
}

/// The deprecations that a request asks for, as they were sent.
///
/// # Errors
/// [`IntakeError`], in the order of spec rest-api §9.
pub async fn deprecation_schema(deps: &IntakeDeps, id: RequestId) -> Result<String, IntakeError> {
    let request = get(deps, id).await?.request;
    check_kind(id, request.name(), "add-deprecations")?;
    match request {
        Request::AddDeprecations(asked) => Ok(asked.deprecation_schema),
        _ => Err(IntakeError::NoDocument(id)),
    }
}

fn check_kind(id: RequestId, kind: &'static str, wanted: &'static str) -> Result<(), IntakeError> {
    match kind == wanted {
        true => Ok(()),
        false => Err(IntakeError::OtherKind { id, kind, wanted }),
    }
}
