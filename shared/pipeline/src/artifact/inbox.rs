//! Request documents.

use bytes::BytesMut;
use futures::TryStreamExt;
use iib_ports::{ArtifactError, ArtifactKey, Class, Classify};
use iib_request::{Form, KINDS, KindRow, Payload, Record, Refusal, Shown, View};
use serde_json::{Value, json};
use tracing::info;

use super::{ArtifactDeps, ArtifactFault, ObjectCreated, answer};
use crate::intake::{self, Asker, IntakeDeps, IntakeError};

/// Largest document that is read, bytes; the same as of a call.
const DOCUMENT_LIMIT: usize = 1024 * 1024;

/// Why a document makes no request. What is read is what the user reads.
#[derive(Debug, thiserror::Error)]
enum DocumentRefusal {
    #[error("the name of a request document ends with .json")]
    Name,
    #[error(
        "the document is larger than {DOCUMENT_LIMIT} bytes, which is the most that is read: split it into several requests"
    )]
    TooLarge,
    #[error("the document is not JSON: {0}")]
    NotJson(serde_json::Error),
    #[error("the document must be a JSON object")]
    NotObject,
    #[error(
        "\"request_type\" is {asked}, and this version takes documents for: {} (\"add\" also without it)",
        names()
    )]
    Kind { asked: Value },
    #[error(
        "\"{0}\" cannot be asked for in a document: whoever may write to the inbox could replace any index that this service may; send a call instead, or set `api.inbox_overwrites`"
    )]
    Overwrites(String),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Intake(IntakeError),
}

/// Makes a request of a document, once, however often its event comes.
pub(super) async fn handle(
    deps: &ArtifactDeps,
    created: &ObjectCreated,
    key: &ArtifactKey,
) -> Result<(), ArtifactFault> {
    let outcome = match read(deps, key).await {
        Ok(document) => submit(deps, created, document).await?,
        // An earlier delivery of the event came to the end.
        Err(ArtifactError::Missing(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let document = match outcome {
        Ok(record) => {
            info!(request.id = record.id.0, %key, "a document was taken in");
            let operators = intake::operators_of(&deps.intake, [&record]).await;
            let operators = operators.map_err(|error| ArtifactFault::Intake(error.into()))?;
            let shown = Shown {
                record: &record,
                operators: &operators,
                builds: &builds(&deps.intake),
                ahead: None,
                settings: &deps.intake.api,
            };
            let view = View::new(shown, Form::Short);
            serde_json::to_value(view).map_err(ArtifactFault::Write)?
        }
        Err(refusal) => {
            info!(%key, reason = %refusal, "a document was refused");
            json!({ "error": refusal.to_string() })
        }
    };
    answer(deps, key, ArtifactKey::result(key), &document).await
}

/// The URL of the listing. Nobody has called, so only the settings can say what it begins with.
fn builds(intake: &IntakeDeps) -> String {
    let base = intake.api.public_url.as_ref().map(ToString::to_string);
    format!("{}/api/v1/builds", base.unwrap_or_default())
}

/// The document; of a larger one somewhat more than the limit.
async fn read(deps: &ArtifactDeps, key: &ArtifactKey) -> Result<BytesMut, ArtifactError> {
    let mut content = deps.intake.artifacts.get(key).await?;
    let mut bytes = BytesMut::new();
    while bytes.len() <= DOCUMENT_LIMIT
        && let Some(piece) = content.try_next().await?
    {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Whether a parameter that may be `true` asks for nothing.
fn says_no(value: &Value) -> bool {
    matches!(value, Value::Bool(false) | Value::Null)
}

async fn submit(
    deps: &ArtifactDeps,
    created: &ObjectCreated,
    document: BytesMut,
) -> Result<Result<Record, DocumentRefusal>, ArtifactFault> {
    let (kind, payload) = match payload(created, &document) {
        Ok(read) => read,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let overwriting = payload
        .iter()
        .find(|(name, value)| name.starts_with("overwrite_") && !says_no(value));
    if let Some((name, _)) = overwriting
        && !deps.intake.api.inbox_overwrites
    {
        return Ok(Err(DocumentRefusal::Overwrites(name.clone())));
    }
    // Read as of nobody: who only writes files has shown no login, and is asked for no token besides.
    // Whether overwriting is open to them, the setting above has said.
    let submission = match intake::read(&deps.intake, kind, &payload, None) {
        Ok(submission) => submission,
        Err(refusal) => return Ok(Err(refusal.into())),
    };
    let ObjectCreated {
        bucket,
        key,
        version,
        principal,
        ..
    } = created;
    let asker = Asker {
        user: principal.clone(),
        once: Some(format!("{bucket}/{key}#{version}")),
        // What the event is of is the same by that.
        asked_for: None,
        // Nobody has called; what is told of it later has to know where it is all the same.
        asked_at: deps.intake.api.public_url.clone(),
        ..Asker::default()
    };
    match intake::submit(&deps.intake, asker, submission).await {
        Ok(record) => Ok(Ok(record)),
        Err(error) if error.class() == Class::Reject => Ok(Err(DocumentRefusal::Intake(error))),
        Err(error) => Err(ArtifactFault::Intake(error)),
    }
}

/// The kind that a document asks for, and the parameters in it as a call would have them in its body.
fn payload(
    created: &ObjectCreated,
    document: &[u8],
) -> Result<(&'static KindRow, Payload), DocumentRefusal> {
    if !created.key.ends_with(".json") {
        return Err(DocumentRefusal::Name);
    }
    if document.len() > DOCUMENT_LIMIT {
        return Err(DocumentRefusal::TooLarge);
    }
    let mut payload = match serde_json::from_slice(document) {
        Ok(Value::Object(payload)) => payload,
        Ok(_) => return Err(DocumentRefusal::NotObject),
        Err(error) => return Err(DocumentRefusal::NotJson(error)),
    };
    let asked = payload.remove("request_type");
    let asked = asked.unwrap_or_else(|| "add".into());
    match KINDS.iter().find(|kind| asked == kind.name) {
        Some(kind) => Ok((kind, payload)),
        None => Err(DocumentRefusal::Kind { asked }),
    }
}

/// All kinds, as a list for people.
fn names() -> String {
    KINDS.map(|kind| kind.name).join(", ")
}
