use iib_fbc::{Catalog, Rules, check};

use crate::samples::{bundle, chain, entry};

/// What the reference says, after a change to a sound catalog.
fn said(change: impl FnOnce(&mut Catalog)) -> String {
    let mut catalog = chain("foo");
    change(&mut catalog);
    check(&catalog, Rules::Opm126)
        .as_reference()
        .unwrap_or_default()
}

#[test]
fn a_sound_catalog_has_no_faults() {
    assert!(check(&chain("foo"), Rules::Opm126).is_clean());
    assert!(check(&Catalog::default(), Rules::Opm126).is_clean());
}

#[test]
fn the_first_step_that_finds_something_speaks() {
    let twice = |catalog: &mut Catalog| catalog.packages.extend(chain("foo").packages);
    assert_eq!(said(twice), "duplicate package \"foo\"");
    assert_eq!(
        said(|catalog| {
            catalog.packages.clear();
            catalog.channels[0].entries.clear();
        }),
        "unknown package \"foo\" for channel \"stable\""
    );
    assert_eq!(
        said(|catalog| catalog.bundles.push(bundle("foo", "2.0.0"))),
        "package \"foo\", bundle \"foo.v2.0.0\" not found in any channel entries"
    );
    assert_eq!(
        said(|catalog| catalog.bundles[0] = bundle("foo", "1.0")),
        "error parsing bundle \"foo.v1.0\" version \"1.0\": No Major.Minor.Patch elements found"
    );
    assert_eq!(
        said(|catalog| drop(catalog.bundles.pop())),
        "no olm.bundle blobs found in package \"foo\" for olm.channel entries [foo.v1.2.0]"
    );
}

#[test]
fn the_tree_says_where() {
    assert_eq!(
        said(|catalog| {
            catalog.packages[0].default_channel.clear();
            catalog.channels[0].entries[2].replaces.clear();
            catalog.bundles[1].image.clear();
        }),
        "invalid index:\n\
         └── invalid package \"foo\":\n    \
             ├── default channel must be set\n    \
             └── invalid channel \"stable\":\n        \
                 ├── multiple channel heads found in graph: foo.v1.1.0, foo.v1.2.0\n        \
                 └── invalid bundle \"foo.v1.1.0\":\n            \
                     └── bundle image must be set"
    );
    assert!(
        said(|catalog| catalog.channels[0].entries[0] = entry("foo", "1.0.0", "1.1.0"))
            .ends_with("upgrade graph: foo.v1.1.0 -> foo.v1.0.0 -> foo.v1.1.0")
    );
    assert!(
        said(|catalog| {
            catalog.channels[0].entries[2] = entry("foo", "1.2.0", "");
            catalog.channels[0].entries[2].skips = vec!["foo.v1.1.0".to_owned()];
        })
        .ends_with("channel contains one or more stranded bundles: foo.v1.0.0")
    );
}

#[test]
fn the_report_has_the_faults_of_all_steps() {
    let mut catalog = chain("foo");
    catalog.extend(chain("bar"));
    catalog.packages.push(catalog.packages[0].clone());
    catalog.channels[1].entries[2].skips = vec![String::new()];
    catalog.bundles.push(bundle("baz", "1.0.0"));
    let report = check(&catalog, Rules::Opm126).to_string();
    for part in [
        "invalid package \"foo\":",
        "duplicate package \"foo\"",
        "invalid package \"bar\":",
        "skip[0] is empty",
        "unknown package \"baz\" for bundle \"baz.v1.0.0\"",
    ] {
        assert!(report.contains(part), "no {part} in\n{report}");
    }
}
