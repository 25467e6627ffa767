//! Which form something has by the version of the platform that an index is for.

use iib_fbc::ServeForm;

/// The first version whose `opm` writes the newest form of serve caches.
const NEWEST_CACHE: (u32, u32) = (4, 16);

/// The form of the serve cache.
pub(crate) fn serve_cache(version: &str) -> ServeForm {
    match platform(version) {
        Some(version) if version < NEWEST_CACHE => ServeForm::Opm126,
        Some(_) | None => ServeForm::Newest,
    }
}

/// Whether what reads the catalog there refuses deprecations of what is not there.
pub(crate) fn checks_deprecations(version: &str) -> bool {
    serve_cache(version) == ServeForm::Newest
}

/// The version of a platform in a label such as `v4.16`; what is behind the second number plays no part.
fn platform(label: &str) -> Option<(u32, u32)> {
    let mut numbers = label.trim_start_matches('v').split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_platform_decides() {
        for (label, form) in [
            ("v4.5", ServeForm::Opm126),
            ("v4.15", ServeForm::Opm126),
            ("4.15", ServeForm::Opm126),
            ("v4.16", ServeForm::Newest),
            ("v4.16.3", ServeForm::Newest),
            ("v5.0", ServeForm::Newest),
            ("latest", ServeForm::Newest),
        ] {
            assert_eq!(serve_cache(label), form, "{label}");
        }
    }
}
