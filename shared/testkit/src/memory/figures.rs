//! Figures that are remembered.

use std::sync::Mutex;

use iib_ports::{Figures, Sample};
use jiff::Timestamp;

use super::lock;

/// Remembers all figures, in order.
#[derive(Debug, Default)]
pub struct RecordingFigures {
    published: Mutex<Vec<Sample>>,
}

impl RecordingFigures {
    /// What was published so far.
    pub fn published(&self) -> Vec<Sample> {
        lock(&self.published).clone()
    }

    /// The sum of all figures of a name, about these things (values of dimensions, in order).
    pub fn sum(&self, name: &str, about: &[&str]) -> f64 {
        let published = lock(&self.published);
        let samples = published.iter();
        let fitting =
            samples.filter(|sample| sample.about.iter().map(|(_, value)| value).eq(about));
        let figures = fitting.flat_map(|sample| &sample.figures);
        let named = figures.filter(|figure| figure.name == name);
        named.map(|figure| figure.value).sum()
    }
}

impl Figures for RecordingFigures {
    fn publish(&self, _: Timestamp, samples: &[Sample]) {
        lock(&self.published).extend_from_slice(samples);
    }
}
