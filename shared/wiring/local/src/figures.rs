//! The service's figures where no CloudWatch is: kept for who asks, as Prometheus does.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use iib_ports::{Figure, Figures, Form, Sample, Unit};
use jiff::Timestamp;
use prometheus::{CounterVec, GaugeVec, HistogramOpts, HistogramVec, Opts, Registry, TextEncoder};
use tracing::error;

/// The namespace of all our metrics, as in CloudWatch.
const NAMESPACE: &str = "IIB";
/// Between how many seconds and how many a time is. A request that adds a bundle takes less than one, one that waits for
/// others half an hour.
const SECONDS: [f64; 14] = [
    0.025, 0.05, 0.1, 0.25, 0.5, 1., 2.5, 5., 15., 60., 150., 300., 900., 3600.,
];

/// Keeps figures since the start of the process, under the names that they have in CloudWatch.
#[derive(Debug, Default)]
pub struct KeptFigures {
    registry: Registry,
    families: Mutex<HashMap<&'static str, Family>>,
}

/// All figures of a name.
#[derive(Debug, Clone)]
enum Family {
    Stands(GaugeVec),
    Counts(CounterVec),
    Spreads(HistogramVec),
}

impl KeptFigures {
    /// The figures, in the text form (0.0.4) of Prometheus. Before the first it is empty.
    ///
    /// # Errors
    /// None of ours is such that it cannot be written.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    fn take(&self, sample: &Sample, figure: &Figure) -> Result<(), prometheus::Error> {
        let labels: Vec<_> = sample
            .about
            .iter()
            .map(|(label, _)| label.label())
            .collect();
        let values: Vec<_> = sample.about.iter().map(|(_, value)| *value).collect();
        match self.family(figure, &labels)? {
            Family::Stands(family) => {
                family
                    .get_metric_with_label_values(&values)?
                    .set(figure.value);
            }
            Family::Counts(family) => {
                (family.get_metric_with_label_values(&values)?).inc_by(figure.value);
            }
            Family::Spreads(family) => {
                (family.get_metric_with_label_values(&values)?).observe(figure.value);
            }
        }
        Ok(())
    }

    /// The family of a figure; at the first one it is begun.
    fn family(&self, figure: &Figure, labels: &[&str]) -> Result<Family, prometheus::Error> {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(family) = families.get(figure.name) {
            return Ok(family.clone());
        }
        let named = Opts::new(figure.name, figure.about).namespace(NAMESPACE);
        let family = match figure.form {
            Form::Stands => {
                let family = GaugeVec::new(named, labels)?;
                self.registry.register(Box::new(family.clone()))?;
                Family::Stands(family)
            }
            Form::Counts => {
                let family = CounterVec::new(named, labels)?;
                self.registry.register(Box::new(family.clone()))?;
                Family::Counts(family)
            }
            Form::Spreads => {
                let mut options = HistogramOpts::from(named);
                if figure.unit == Unit::Seconds {
                    options = options.buckets(SECONDS.to_vec());
                }
                let family = HistogramVec::new(options, labels)?;
                self.registry.register(Box::new(family.clone()))?;
                Family::Spreads(family)
            }
        };
        families.insert(figure.name, family.clone());
        Ok(family)
    }
}

impl Figures for KeptFigures {
    fn publish(&self, _: Timestamp, samples: &[Sample]) {
        for sample in samples {
            for figure in &sample.figures {
                if let Err(error) = self.take(sample, figure) {
                    error!(figure = figure.name, %error, "a figure is lost");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use iib_ports::{Attempt, AttemptResult, ServiceGauges, Transferred};
    use iib_request::Stage;

    use super::*;

    #[test]
    fn what_was_done_is_summed_and_how_things_stand_is_not() {
        let kept = KeptFigures::default();
        assert_eq!(kept.text().unwrap(), "");
        let gauges = ServiceGauges {
            live: [].into(),
            oldest_live_seconds: 61,
            unreadable: 7,
            resent: 3,
            expired: 0,
            removed_objects: 5,
        };
        kept.publish(Timestamp::UNIX_EPOCH, &[gauges.sample()]);
        kept.publish(Timestamp::UNIX_EPOCH, &[gauges.sample()]);
        let text = kept.text().unwrap();
        for line in [
            "# TYPE IIB_OldestLiveSeconds gauge",
            "IIB_OldestLiveSeconds 61",
            "# TYPE IIB_Resent counter",
            "IIB_Resent 6",
            "IIB_Expired 0",
            "IIB_RemovedObjects 10",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }

    #[test]
    fn times_can_be_asked_for_how_they_are_spread() {
        let kept = KeptFigures::default();
        let attempt = |seconds| Attempt {
            stage: Stage::Mutate,
            result: AttemptResult::Done,
            took: Duration::from_secs(seconds),
            waited: Duration::ZERO,
            transferred: Transferred {
                read: 5,
                written: 0,
            },
            free_scratch: None,
        };
        kept.publish(Timestamp::UNIX_EPOCH, &attempt(1).samples());
        kept.publish(Timestamp::UNIX_EPOCH, &attempt(20).samples());
        let text = kept.text().unwrap();
        for line in [
            "IIB_StageSeconds_bucket{stage=\"mutate\",le=\"1\"} 1",
            "IIB_StageSeconds_bucket{stage=\"mutate\",le=\"60\"} 2",
            "IIB_StageSeconds_sum{stage=\"mutate\"} 21",
            "IIB_BytesRead{stage=\"mutate\"} 10",
            "IIB_Attempts{result=\"done\",stage=\"mutate\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
