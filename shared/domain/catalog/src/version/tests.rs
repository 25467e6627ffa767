use std::cmp::Ordering;

use proptest::prelude::*;

use super::Version;

fn version(text: &str) -> Version {
    Version::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_text_that_is_no_version_is_refused_in_the_words_of_the_reference() {
    for (text, message) in [
        ("", "Version string empty"),
        ("1.0", "No Major.Minor.Patch elements found"),
        (
            "v1.0.0",
            "Invalid character(s) found in major number \"v1\"",
        ),
        ("1.x.0", "Invalid character(s) found in minor number \"x\""),
        (
            "1.0.0.0",
            "Invalid character(s) found in patch number \"0.0\"",
        ),
        (
            "1.02.0",
            "Minor number must not contain leading zeroes \"02\"",
        ),
        (
            "01.2.0",
            "Major number must not contain leading zeroes \"01\"",
        ),
        (
            "1.2.00",
            "Patch number must not contain leading zeroes \"00\"",
        ),
        ("1..0", "strconv.ParseUint: parsing \"\": invalid syntax"),
        (
            "1.0.99999999999999999999",
            "strconv.ParseUint: parsing \"99999999999999999999\": value out of range",
        ),
        ("1.0.0-", "Prerelease is empty"),
        ("1.0.0-a..b", "Prerelease is empty"),
        (
            "1.0.0-01",
            "Numeric PreRelease version must not contain leading zeroes \"01\"",
        ),
        (
            "1.0.0-a_b",
            "Invalid character(s) found in prerelease \"a_b\"",
        ),
        ("1.0.0+", "Build meta data is empty"),
        (
            "1.0.0+a+b",
            "Invalid character(s) found in build meta data \"a+b\"",
        ),
    ] {
        assert_eq!(
            Version::parse(text).unwrap_err().to_string(),
            message,
            "{text}"
        );
    }
}

#[test]
fn versions_rise_in_build_order() {
    let rising = [
        "0.0.0-z",
        "0.0.0",
        "1.0.0-1",
        "1.0.0-2",
        "1.0.0-11",
        "1.0.0-a",
        "1.0.0-a.1",
        "1.0.0-b",
        "1.0.0",
        "1.0.0+0.5",
        "1.0.0+9",
        "1.0.0+10",
        "1.0.0+10.1",
        "1.0.0+a",
        "1.0.1-0",
        "1.10.0",
    ];
    for (at, low) in rising.iter().enumerate() {
        for (other, high) in rising.iter().enumerate() {
            let found = version(low).build_cmp(&version(high)).unwrap();
            assert_eq!(found, at.cmp(&other), "{low} and {high}");
        }
    }
}

#[test]
fn build_metadata_plays_no_part_in_plain_order() {
    assert_eq!(
        version("1.0.0+1").plain_cmp(&version("1.0.0")),
        Ordering::Equal
    );
}

#[test]
fn build_identifiers_with_leading_zeroes_cannot_be_compared() {
    let error = version("1.0.0+01")
        .build_cmp(&version("1.0.0+1"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Numeric PreRelease version must not contain leading zeroes \"01\""
    );
}

proptest! {
    #[test]
    fn a_version_prints_as_it_was_read(
        text in "(0|[1-9][0-9]{0,5})\\.(0|[1-9][0-9]{0,5})\\.(0|[1-9][0-9]{0,5})\
                 (-([a-z][a-z0-9-]{0,4}|[1-9][0-9]{0,3})(\\.([a-z]{1,3}|0))?)?\
                 (\\+[0-9a-z-]{1,5}(\\.[0-9a-z]{1,3})?)?"
    ) {
        prop_assert_eq!(version(&text).to_string(), text);
    }

    #[test]
    fn plain_order_is_antisymmetric(
        low in "[0-2]\\.[0-2]\\.[0-2](-[ab1]{1,2})?", high in "[0-2]\\.[0-2]\\.[0-2](-[ab1]{1,2})?"
    ) {
        prop_assert_eq!(
            version(&low).plain_cmp(&version(&high)),
            version(&high).plain_cmp(&version(&low)).reverse()
        );
    }
}

#[test]
fn a_release_has_parts_as_a_prerelease() {
    for release in ["1", "0", "20240101.1", "a-b.c", "-"] {
        assert_eq!(Version::check_release(release), Ok(()), "{release}");
    }
    for (release, place) in [
        ("", 0),
        ("1.", 1),
        ("1..2", 1),
        ("1.01", 1),
        ("a_b", 0),
        ("1+2", 0),
    ] {
        let (at, fault) = Version::check_release(release).unwrap_err();
        assert_eq!(at, place, "{release}: {fault}");
    }
}
