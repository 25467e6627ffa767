//! The table.

use std::fmt::Write as _;

use serde::Serialize;

use super::images::Input;
use super::stages::Measured;

/// One line of the table.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// Bundles in the index before.
    pub(super) bundles: usize,
    /// Size of its database, bytes.
    pub(super) size: u64,
    /// Who wrote its layer.
    pub(super) input: Input,
    /// What the stages took.
    pub(super) measured: Measured,
}

/// All rows as text. Ratios are to the job that only moves bytes, of the same row.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "bundles  database  input     pin s  mutate s  push s   all s  moved s  all/moved  mutate MiB\n",
    );
    for row in rows {
        let m = &row.measured;
        let all = m.pin.seconds + m.mutate.seconds + m.push.seconds;
        // Writing to a String cannot fail.
        let _infallible = writeln!(
            text,
            "{:7}  {:5} MiB  {:7}  {:6.3}  {:8.3}  {:6.3}  {:6.3}  {:7.3}  {:9.2}  {:10.0}",
            row.bundles,
            row.size >> 20,
            row.input.to_string(),
            m.pin.seconds,
            m.mutate.seconds,
            m.push.seconds,
            all,
            m.moved.seconds,
            all / m.moved.seconds.max(f64::EPSILON),
            m.mutate.peak_mib,
        );
    }
    text
}
