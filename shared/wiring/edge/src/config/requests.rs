//! Settings of the requests themselves.

use iib_request::RequestSettings;

use super::origin::Faults;

/// Beyond this, numbers are no longer what a person would type, and JSON readers round them.
const HIGHEST: u64 = 1_000_000_000_000;

pub(super) fn check(requests: &RequestSettings, faults: &mut Faults) {
    faults.of_zero("requests.first_number", requests.first_number);
    if requests.first_number > HIGHEST {
        faults.of_value(
            "requests.first_number",
            format!("must be at most {HIGHEST}"),
        );
    }
}
