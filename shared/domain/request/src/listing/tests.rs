use serde_json::json;

use super::*;

const BUILDS: &str = "https://iib.example/api/v1/builds";

fn read(query: &[(&str, &str)], max_per_page: u32) -> Result<ListingQuery, Refusal> {
    let query: Vec<(String, String)> = query
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let settings = ApiSettings {
        max_per_page,
        ..ApiSettings::default()
    };
    ListingQuery::read(&query, &settings)
}

#[test]
fn pages_have_defaults_and_a_largest_size() {
    type Query = &'static [(&'static str, &'static str)];
    let cases: [(Query, u32, (u32, u32)); 7] = [
        (&[], 20, (1, 20)),
        (&[], 3, (1, 3)),
        (&[], 50, (1, 20)),
        (&[("per_page", "21")], 20, (1, 20)),
        (&[("per_page", "2"), ("page", "4")], 20, (4, 2)),
        (&[("page", "2"), ("page", "x"), ("sort", "up")], 20, (2, 20)),
        (&[], 0, (1, 1)),
    ];
    for (query, max, expected) in cases {
        let listing = read(query, max).unwrap();
        assert_eq!((listing.page, listing.per_page), expected, "{query:?}");
    }
}

#[test]
fn only_true_and_1_are_verbose() {
    for text in ["true", "True", "TRUE", "1"] {
        assert_eq!(read(&[("verbose", text)], 20).unwrap().form, Form::Verbose);
    }
    for text in ["", "yes", "false", "0"] {
        assert_eq!(read(&[("verbose", text)], 20).unwrap().form, Form::Short);
    }
}

#[test]
fn a_page_that_is_no_number_from_1_is_not_there() {
    for text in [
        "",
        "0",
        "-1",
        "+1",
        "x",
        "1.0",
        "1 ",
        "99999999999999999999999",
    ] {
        for name in ["page", "per_page"] {
            let refused = read(&[(name, text)], 20);
            assert_eq!(refused, Err(Refusal::no_such_page()), "{name}={text}");
        }
    }
    assert_eq!(Refusal::no_such_page().status(), 404);
}

#[test]
fn a_filter_is_refused_unless_it_is_empty() {
    for filter in FILTERS {
        let refused = read(&[(filter, "x")], 20).unwrap_err();
        assert_eq!(
            (refused.rule(), refused.field()),
            (Rule::NoSuchFilter, Some(filter))
        );
        assert_eq!(read(&[(filter, "")], 20).is_ok(), filter != "batch");
    }
    assert_eq!(Rule::NoSuchFilter.status(), 400);
}

#[test]
fn a_page_knows_its_neighbours() {
    let meta = |page: &str, total| {
        let listing = read(&[("page", page), ("per_page", "3")], 20).unwrap();
        listing
            .meta(total, BUILDS)
            .map(|meta| serde_json::to_value(meta).unwrap())
    };
    let url = |page: u64| format!("{BUILDS}?page={page}&per_page=3");
    assert_eq!(
        meta("2", 7).unwrap(),
        json!({
            "first": url(1), "last": url(3), "next": url(3), "previous": url(1),
            "page": 2, "pages": 3, "per_page": 3, "total": 7,
        })
    );
    let last = meta("3", 7).unwrap();
    assert_eq!(
        (&last["next"], &last["previous"]),
        (&json!(null), &json!(url(2)))
    );
    let nothing = meta("1", 0).unwrap();
    assert_eq!(
        (&nothing["last"], &nothing["pages"], &nothing["next"]),
        (&json!(url(0)), &json!(0), &json!(null))
    );
    for (page, total) in [("4", 7), ("2", 3), ("2", 0), ("4294967295", 7)] {
        assert_eq!(
            meta(page, total),
            Err(Refusal::no_such_page()),
            "{page} of {total}"
        );
    }
}
