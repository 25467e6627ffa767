//! Whether everything answers that the API works with.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use iib_pipeline::intake::{self, IntakeDeps, Reached};
use iib_ports::chain;
use serde_json::{Map, json};
use tracing::{error, warn};

/// `GET /readyz`: each dependency with `ok`, or `failed`; why it failed is logged. One that no call needs
/// (the registry) does not decide. Ours.
pub(crate) async fn ready(State(deps): State<Arc<IntakeDeps>>) -> Response {
    let reached = intake::check_dependencies(&deps).await;
    let is_ready = reached
        .iter()
        .all(|reached| reached.fault.is_none() || !reached.is_needed);
    let said = reached.iter().map(
        |Reached {
             name,
             is_needed,
             fault,
         }| {
            let why = fault.as_ref().map(|fault| chain(fault.as_ref()));
            match why {
                Some(why) if *is_needed => error!(dependency = name, error = why, "not ready"),
                Some(why) => warn!(dependency = name, error = why, "does not answer"),
                None => {}
            }
            let said = match fault {
                None => "ok",
                Some(_) => "failed",
            };
            ((*name).to_owned(), said.into())
        },
    );
    let said: Map<_, _> = said.collect();
    let (status, word) = match is_ready {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    (status, Json(json!({"status": word, "dependencies": said}))).into_response()
}
