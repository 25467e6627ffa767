//! Indexes, and which request made what of which.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use iib_pipeline::intake::IntakeError;
use iib_ports::{Listed, Listing};
use iib_request::{Cursor, Filters, RequestId};

use super::requests::piece;
use super::words::{Standing, Time, short};
use super::{Root, filters, page};
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "indexes.html")]
struct Indexes {
    root: String,
    asked: String,
    /// Indexes of the newest requests.
    recent: BTreeSet<String>,
    made: Vec<Made>,
    starts: Vec<Made>,
}

/// What a request made of an index.
struct Made {
    id: RequestId,
    kind: &'static str,
    standing: Standing,
    from: String,
    from_digest: String,
    to: String,
    to_digest: String,
    updated: Time,
}

/// `GET /indexes`.
pub(crate) async fn show(
    State(listing): State<Arc<dyn Listing>>,
    Root(root): Root,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let asked = query.into_iter().find(|(name, _)| name == "index");
    let asked = asked
        .map(|(_, value)| value.trim().to_owned())
        .unwrap_or_default();
    let newest = Cursor { before: None };
    let found = async |filters| match piece(&*listing, filters, newest).await {
        Ok(older) => Ok(older.items),
        // Nobody has used it.
        Err(IntakeError::Refused(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let (made, starts, recent) = match asked.is_empty() {
        true => (Vec::new(), Vec::new(), found(Filters::default()).await?),
        false => {
            let made = found(Filters {
                index_image: Some(asked.clone()),
                ..Filters::default()
            });
            let starts = found(Filters {
                from_index: Some(asked.clone()),
                ..Filters::default()
            });
            let (made, starts) = futures::try_join!(made, starts)?;
            (made, starts, Vec::new())
        }
    };
    let records = recent.iter().flatten();
    let recent = records.flat_map(|record| {
        let result = record.facts.index_image.as_deref();
        [record.request.listed_index(), result]
    });
    page(&Indexes {
        root,
        recent: recent.flatten().map(str::to_owned).collect(),
        made: all(&made),
        starts: all(&starts),
        asked,
    })
}

fn all(listed: &[Listed]) -> Vec<Made> {
    let records = listed.iter().flatten();
    records
        .map(|record| {
            let facts = &record.facts;
            let text = |image: Option<&str>| image.map(short).unwrap_or_default();
            Made {
                id: record.id,
                kind: record.request.name(),
                standing: Standing::of(record),
                from: text(record.request.listed_index()),
                from_digest: digest(facts.from_index_resolved.as_deref()),
                to: text(facts.index_image.as_deref()),
                to_digest: digest(facts.index_image_resolved.as_deref()),
                updated: Time(record.updated()),
            }
        })
        .collect()
}

/// The beginning of the digest of an image that is named by it.
fn digest(image: Option<&str>) -> String {
    let digest = image.and_then(|image| image.split_once('@'));
    digest
        .map(|(_, digest)| digest.chars().take(19).collect())
        .unwrap_or_default()
}
