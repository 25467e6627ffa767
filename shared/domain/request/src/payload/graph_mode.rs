//! The rule of `graph_update_mode` (spec rest-api §4.12).

use crate::refusal::{Quoted, Rule};
use crate::{ApiSettings, Refusal};

const NAME: &str = "graph_update_mode";

/// Refuses a mode that the settings do not have, or do not allow for this index. The list may name
/// an index with or without its tag; everything from the *first* colon is cut off, so an entry for
/// a registry with a port has to name the whole index.
pub(crate) fn check_graph_mode(
    mode: &str,
    index: Option<&str>,
    settings: &ApiSettings,
) -> Result<(), Refusal> {
    let options = &settings.graph_mode_options;
    if !options.iter().any(|option| option == mode) {
        let options = Quoted(options);
        let text = format!("\"{NAME}\" must be set to one of these: {options}");
        return Err(Refusal::new(Rule::Choice, NAME, text));
    }
    let allowed = &settings.graph_mode_index_allow_list;
    let index = index.unwrap_or_default();
    let untagged = index.split(':').next().unwrap_or_default();
    let is_allowed = |entry: &String| entry == index || entry == untagged;
    if !index.is_empty() && allowed.iter().any(is_allowed) {
        return Ok(());
    }
    let allowed = Quoted(allowed);
    let text = format!("\"{NAME}\" can only be used on the following index image: {allowed}");
    Err(Refusal::new(Rule::NotAllowed, NAME, text))
}
