use super::{SubstitutionEdit, Substitutions};
use crate::Candidate;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn candidate(name: &str, version: &str, replaces: &str, skips: &[&str], target: &str) -> Candidate {
    Candidate {
        name: name.to_owned(),
        image: String::new(),
        package: "p".to_owned(),
        channels: Vec::new(),
        default_channel: String::new(),
        version: version.to_owned(),
        replaces: replaces.to_owned(),
        skips: names(skips),
        substitutes_for: target.to_owned(),
    }
}

fn edges(name: &str, replaces: &str, skips: &[&str]) -> SubstitutionEdit {
    SubstitutionEdit::SetEdges {
        name: name.to_owned(),
        replaces: replaces.to_owned(),
        skips: names(skips),
    }
}

#[test]
fn a_bundle_that_substitutes_for_nothing_loses_repeated_skips() {
    let edits = Substitutions::default()
        .apply(&candidate("b", "1.0.0", "a", &["x", "a", "x"], ""))
        .unwrap();
    assert_eq!(edits, [edges("b", "a", &["x", "a"])]);
}

#[test]
fn the_next_version_replaces_the_last_substitute_of_what_it_names() {
    // Spec §18.4.
    let mut known = Substitutions::default();
    let edits = known.apply(&candidate(
        "p.0.15.0-1",
        "0.15.0+1",
        "p.0.14.0",
        &[],
        "p.0.15.0",
    ));
    assert_eq!(
        edits.unwrap(),
        [
            SubstitutionEdit::RedirectReplaces {
                from: "p.0.15.0".to_owned(),
                to: "p.0.15.0-1".to_owned()
            },
            edges("p.0.15.0-1", "p.0.14.0", &["p.0.15.0"]),
        ]
    );
    let edits = known
        .apply(&candidate("p.0.22.2", "0.22.2", "p.0.15.0", &[], ""))
        .unwrap();
    assert_eq!(edits, [edges("p.0.22.2", "p.0.15.0-1", &[])]);
}

#[test]
fn a_higher_substitute_of_the_same_name_skips_the_lower_one() {
    let mut known = Substitutions::default();
    known
        .apply(&candidate("s1", "1.0.0+1", "", &[], "o"))
        .unwrap();
    let edits = known
        .apply(&candidate("s2", "1.0.0+2", "", &[], "o"))
        .unwrap();
    assert!(edits.contains(&SubstitutionEdit::SetSubstitutesFor {
        name: "s2".to_owned(),
        substitutes_for: "s1".to_owned()
    }));
    assert_eq!(edits.last(), Some(&edges("s2", "", &["s1", "o"])));
}

#[test]
fn a_lower_substitute_that_comes_later_is_skipped_by_the_higher_one() {
    let mut known = Substitutions::default();
    known
        .apply(&candidate("s3", "1.0.0+3", "", &[], "o"))
        .unwrap();
    let edits = known
        .apply(&candidate("s2", "1.0.0+2", "", &["q"], "o"))
        .unwrap();
    assert!(edits.contains(&SubstitutionEdit::SetSubstitutesFor {
        name: "s3".to_owned(),
        substitutes_for: "s2".to_owned()
    }));
    assert!(edits.contains(&SubstitutionEdit::SetSkips {
        name: "s3".to_owned(),
        skips: names(&["o", "q", "s2"])
    }));
}

#[test]
fn equal_versions_of_substitutes_are_refused() {
    let mut known = Substitutions::default();
    known
        .apply(&candidate("s1", "1.0.0+1", "", &[], "o"))
        .unwrap();
    let refusal = known
        .apply(&candidate("s2", "1.0.0+1", "", &[], "o"))
        .unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "failed to add substitutes : cannot determine latest substitution because of duplicate \
         versions"
    );
}

#[test]
fn bundles_that_substitute_for_each_other_end_the_walk() {
    let mut known = Substitutions::default();
    known.insert(
        "a".to_owned(),
        "b".to_owned(),
        "1.0.0".to_owned(),
        Vec::new(),
    );
    let edits = known
        .apply(&candidate("b", "1.0.1", "a", &["a"], "a"))
        .unwrap();
    assert!(matches!(
        edits.last(),
        Some(SubstitutionEdit::SetEdges { .. })
    ));
}

#[test]
fn a_name_with_two_substitutes_leaves_the_new_bundle_as_it_is() {
    let mut known = Substitutions::default();
    known.insert(
        "s1".to_owned(),
        "o".to_owned(),
        "1.0.0+1".to_owned(),
        Vec::new(),
    );
    known.insert(
        "s2".to_owned(),
        "o".to_owned(),
        "1.0.0+2".to_owned(),
        Vec::new(),
    );
    assert_eq!(
        known
            .apply(&candidate("n", "2.0.0", "", &["o"], ""))
            .unwrap(),
        []
    );
}
