//! What the bundles of an add request have to pass (worker flows §12).

use std::collections::BTreeMap;

use iib_ports::{Gates, Registry};
use iib_request::{Gating, Judgement, NoJudgement, Unsatisfied, gated_subject, gating_of};

use super::bundles::{Resolved, labelled};
use crate::job::Job;
use crate::{GatingError, StageError};

/// Asks whether the bundles may be added, if the queue of the request has a gate.
///
/// # Errors
/// [`GatingError`]; [`StageError`] for a bundle whose labels cannot be read.
pub(crate) async fn pass(
    job: &Job<'_>,
    registry: &dyn Registry,
    bundles: &[Resolved],
) -> Result<(), StageError> {
    let (record, gates) = (&job.record, job.deps.gates.as_deref());
    let config = &job.deps.api.greenwave_config;
    let Some(gating) = gating_of(config, record.queue.as_deref(), &record.request) else {
        return Ok(());
    };
    // Without anybody to ask, nothing else counts.
    let bundles = match gates {
        Some(_) => labelled(registry, bundles).await?,
        None => Vec::new(),
    };
    Ok(pass_gate(gates, gating, &bundles).await?)
}

/// Asks whether bundles may be added: names and labels of each. They are asked about in their order, and those
/// that may not are told together.
///
/// # Errors
/// [`GatingError`].
pub async fn pass_gate(
    gates: Option<&dyn Gates>,
    gating: &Gating,
    bundles: &[(String, BTreeMap<String, String>)],
) -> Result<(), GatingError> {
    let gates = gates.ok_or(GatingError::NotConfigured)?;
    let mut unsatisfied = Unsatisfied::default();
    for (bundle, labels) in bundles {
        let subject = gated_subject(|name| labels.get(name).map(String::as_str));
        let subject = subject.map_err(|label| GatingError::NoBuild {
            bundle: bundle.clone(),
            label,
        })?;
        let answer = gates.decide(&gating.question(&subject)).await;
        let answer = answer.map_err(|source| GatingError::NotAsked {
            bundle: bundle.clone(),
            source,
        })?;
        let judgement = Judgement::read(answer.status, &answer.body);
        let judgement = judgement.map_err(|none| match none {
            NoJudgement::Failed { said, may_pass } => GatingError::Failed {
                bundle: bundle.clone(),
                said,
                may_pass,
            },
            NoJudgement::Unsaid => GatingError::Unsaid {
                bundle: bundle.clone(),
            },
        })?;
        unsatisfied.note(bundle, judgement);
    }
    match unsatisfied.is_empty() {
        true => Ok(()),
        false => Err(GatingError::Unsatisfied(unsatisfied.told(gating))),
    }
}
