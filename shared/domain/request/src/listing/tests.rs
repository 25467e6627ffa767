use serde_json::json;

use super::*;

const BUILDS: &str = "https://iib.example/api/v1/builds";

fn pairs(query: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    query.iter().map(owned).collect()
}

fn read(query: &[(&str, &str)], max_per_page: u32) -> Result<Window, Refusal> {
    let settings = ApiSettings {
        max_per_page,
        ..ApiSettings::default()
    };
    Window::read(&pairs(query), &settings)
}

#[test]
fn pages_have_defaults_and_a_largest_size() {
    type Query = &'static [(&'static str, &'static str)];
    let cases: [(Query, u32, (u32, u32)); 8] = [
        (&[], 20, (1, 20)),
        (&[], 3, (1, 3)),
        (&[], 50, (1, 20)),
        (&[("per_page", "21")], 20, (1, 20)),
        (&[("per_page", "2"), ("page", "4")], 20, (4, 2)),
        (&[("page", "2"), ("page", "x"), ("sort", "up")], 20, (2, 20)),
        (&[], 0, (1, 1)),
        (&[("per_page", "99999999999999999999999")], 20, (1, 20)),
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
        // A page size that is too large is one that is cut.
        let names = match text.len() > 9 {
            true => &["page"][..],
            false => &["page", "per_page"],
        };
        for name in names {
            let refused = read(&[(*name, text)], 20);
            assert_eq!(refused, Err(Refusal::no_such_page()), "{name}={text}");
        }
    }
    assert_eq!(Refusal::no_such_page().status(), 404);
}

fn filters(query: &[(&str, &str)]) -> Result<Filters, String> {
    Filters::read(&pairs(query)).map_err(|refused| {
        assert_eq!((refused.rule(), refused.status()), (Rule::Choice, 400));
        refused.to_string()
    })
}

#[test]
fn filters_are_read_and_empty_ones_passed_over() {
    let all = [
        ("state", "failed"),
        ("batch", "7"),
        ("request_type", "rm"),
        ("user", "ann"),
        ("from_index", "r.example/a:1"),
        ("from_index_startswith", "r.example/"),
        ("index_image", "r.example/b:1"),
        ("dry_run", "true"),
        ("else", "x"),
    ];
    let text = |text: &str| Some(text.to_owned());
    let expected = Filters {
        state: Some(State::Failed),
        batch: Some(BatchId(7)),
        kind: Some("rm"),
        user: text("ann"),
        from_index: text("r.example/a:1"),
        from_index_prefix: text("r.example/"),
        index_image: text("r.example/b:1"),
        dry_runs: true,
    };
    assert_eq!(filters(&all), Ok(expected));
    let empty = all.map(|(name, _)| (name, ""));
    let empty: Vec<_> = empty
        .into_iter()
        .filter(|(name, _)| !["batch", "dry_run"].contains(name))
        .collect();
    assert_eq!(filters(&empty), Ok(Filters::default()));
    assert_eq!(
        filters(&[("user", "a"), ("user", "b")]).unwrap().user,
        text("a")
    );
    assert_eq!(
        filters(&[("request_type", "generic")]).unwrap().kind,
        Some("generic")
    );
}

#[test]
fn what_is_no_value_of_a_filter_is_told_in_order() {
    let bad = [("request_type", "x"), ("batch", "x"), ("state", "x")];
    let states =
        "x is not a valid build request state. Valid states are: complete, failed, in_progress";
    let types = "x is not a valid build request type. Valid request_types are: generic, add, rm, regenerate-bundle, merge-index-image, create-empty-index, recursive-related-bundles, fbc-operations, add-deprecations";
    let batch = "The batch must be a positive integer";
    for (count, told) in [(3, states), (2, batch), (1, types)] {
        assert_eq!(filters(&bad[..count]).unwrap_err(), told);
    }
    for text in ["", "0", "-1", "+1", "1.0", " 1", "99999999999999999999999"] {
        assert_eq!(filters(&[("batch", text)]).unwrap_err(), batch, "{text:?}");
    }
}

#[test]
fn images_that_are_named_have_to_be_seen_in_order() {
    let named = filters(&[
        ("index_image", "c:1"),
        ("from_index_startswith", "b"),
        ("from_index", "a:1"),
    ])
    .unwrap();
    let sought: Vec<_> = named
        .sought()
        .into_iter()
        .map(|(sought, _)| sought)
        .collect();
    assert_eq!(
        sought,
        [
            Sought::Image("a:1"),
            Sought::Prefix("b"),
            Sought::Image("c:1")
        ]
    );
    let told = named
        .sought()
        .into_iter()
        .map(|(_, refused)| refused.to_string());
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            "from_index a:1 is not a valid index image",
            "Can't find any from_index starting with b",
            "c:1 is not a valid index image",
        ]
    );
    assert!(Filters::default().sought().is_empty());
}

#[test]
fn urls_of_pages_carry_the_filters() {
    let named = filters(&[
        ("user", "ann&co=1"),
        ("batch", "3"),
        ("from_index", "r.example/a:1 ü"),
    ]);
    let listing = read(&[("verbose", "1")], 20).unwrap();
    let meta = listing.meta(1, BUILDS, &named.unwrap()).unwrap();
    let expected = format!(
        "{BUILDS}?page=1&per_page=20&batch=3&user=ann%26co%3D1&from_index=r.example%2Fa%3A1+%C3%BC"
    );
    assert_eq!(serde_json::to_value(meta).unwrap()["first"], expected);
}

#[test]
fn a_page_knows_its_neighbours() {
    let meta = |page: &str, total| {
        let listing = read(&[("page", page), ("per_page", "3")], 20).unwrap();
        listing
            .meta(total, BUILDS, &Filters::default())
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

#[test]
fn a_dry_run_is_asked_for_in_one_way() {
    let asked = |query: &[(&str, &str)]| {
        let query = query.iter();
        let query: Vec<_> = query
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        dry_run(&query)
    };
    assert_eq!(asked(&[("user", "true")]), Ok(false));
    assert_eq!(asked(&[("dry_run", "false")]), Ok(false));
    assert_eq!(asked(&[("dry_run", "true"), ("dry_run", "true")]), Ok(true));
    for (name, value) in [
        ("dry_run", ""),
        ("dry_run", "yes"),
        ("dry_run", "True"),
        ("Dry_Run", "true"),
        ("dry-run", "true"),
        ("dryrun", "true"),
        ("dry_runs", "true"),
        ("dry run", "true"),
        ("dry_run[]", "true"),
        ("?dry_run", "true"),
    ] {
        let refusal = asked(&[(name, value)]).unwrap_err();
        assert!(refusal.to_string().contains("\"dry_run\""), "{refusal}");
    }
    assert!(asked(&[("dry_run", "true"), ("dry_run", "false")]).is_err());
}
