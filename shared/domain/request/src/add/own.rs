//! Checks of the add endpoint's own parameters. They come before the check of names, so an
//! explicit null is still seen here, and refused (spec rest-api §4.4).

use serde_json::Value;

use super::payload::{Payload, set, texts, without_repeats};
use crate::{ApiSettings, Refusal};

/// The own parameters, checked in the order of spec rest-api §4.4.
pub(super) struct Own {
    pub(super) bundles: Vec<String>,
    pub(super) deprecation_list: Vec<String>,
    pub(super) check_related_images: Option<bool>,
    pub(super) graph_update_mode: Option<String>,
    pub(super) organization: Option<String>,
}

impl Own {
    pub(super) fn read(payload: &Payload, settings: &ApiSettings) -> Result<Self, Refusal> {
        let bundles = list(payload, "bundles")?;
        let deprecation_list = list(payload, "deprecation_list")?;
        if bundles.is_empty() && set(payload, "from_index").is_none() {
            return Err(Refusal::NothingToBuild);
        }
        let check_related_images = match payload.get("check_related_images") {
            None => None,
            Some(_) if bundles.is_empty() => return Err(Refusal::NothingToCheck),
            Some(Value::Bool(check)) => Some(*check),
            Some(_) => return Err(Refusal::ParameterNotBoolean("check_related_images")),
        };
        // Checked and then dropped, as the reference does (worker flows §7).
        text(payload, "cnr_token")?;
        let graph_update_mode = text(payload, "graph_update_mode")?;
        let organization = text(payload, "organization")?;
        if let Some(mode) = &graph_update_mode {
            check_graph_mode(mode, payload.get("from_index"), settings)?;
        }
        match payload.get("force_backport") {
            None | Some(Value::Bool(_)) => {}
            Some(_) => return Err(Refusal::NotBoolean("force_backport")),
        }
        Ok(Self {
            bundles,
            deprecation_list,
            check_related_images,
            graph_update_mode,
            organization,
        })
    }
}

fn list(payload: &Payload, name: &'static str) -> Result<Vec<String>, Refusal> {
    match payload.get(name) {
        None => Ok(Vec::new()),
        Some(value) => texts(value)
            .map(without_repeats)
            .ok_or(Refusal::NotStrings(name)),
    }
}

/// A text; an empty one counts as not given.
fn text(payload: &Payload, name: &'static str) -> Result<Option<String>, Refusal> {
    match payload.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(_) => Err(Refusal::NotString(name)),
    }
}

/// Spec rest-api §4.12. The list may name an index with or without its tag; everything from the
/// *first* colon is cut off, so an entry for a registry with a port has to name the whole index.
fn check_graph_mode(
    mode: &str,
    from_index: Option<&Value>,
    settings: &ApiSettings,
) -> Result<(), Refusal> {
    if !settings
        .graph_mode_options
        .iter()
        .any(|option| option == mode)
    {
        return Err(Refusal::GraphMode(settings.graph_mode_options.clone()));
    }
    let allowed = &settings.graph_mode_index_allow_list;
    let index = from_index.and_then(Value::as_str).unwrap_or_default();
    let untagged = index.split(':').next().unwrap_or_default();
    if index.is_empty()
        || !allowed
            .iter()
            .any(|entry| entry == index || entry == untagged)
    {
        return Err(Refusal::GraphModeIndex(allowed.clone()));
    }
    Ok(())
}
