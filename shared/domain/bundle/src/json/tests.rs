use proptest::prelude::*;

use super::{Json, JsonError, Number, compact, parse_json, short_f32};

fn text(json: &str) -> String {
    parse_json(json)
        .unwrap_or_else(|error| panic!("{json}: {error}"))
        .to_text()
}

#[test]
fn values_are_written_compactly_with_sorted_keys() {
    for (input, output) in [
        (
            r#" { "b" : [ 1 , {} , [] ] , "a" : null } "#,
            r#"{"a":null,"b":[1,{},[]]}"#,
        ),
        (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        (
            r#"["\u00e9\/\b\f\n\u2028\ud83d\ude00\ud800x"]"#,
            "[\"é/\\u0008\\u000c\\n\\u2028😀\u{fffd}x\"]",
        ),
        (r#""<a&b>""#, r#""\u003ca\u0026b\u003e""#),
        ("\"\u{7f}\"", "\"\u{7f}\""),
    ] {
        assert_eq!(text(input), output, "{input}");
    }
}

#[test]
fn doubles_are_written_in_their_shortest_form() {
    for (input, output) in [
        ("1.0", "1"),
        ("1e3", "1000"),
        ("1e-6", "0.000001"),
        ("1e-7", "1e-7"),
        ("6.02e23", "6.02e+23"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("-0.0", "-0"),
        ("-0", "0"),
        ("0.1", "0.1"),
        ("123456789.125", "123456789.125"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("5e-324", "5e-324"),
    ] {
        assert_eq!(text(input), output, "{input}");
    }
}

#[test]
fn integers_beyond_64_bits_become_doubles_in_objects() {
    let mut value = parse_json("[9223372036854775807,12345678901234567890,1e400]");
    assert_eq!(value, Err(JsonError::Range("1e400".to_owned())));
    value = parse_json("[9223372036854775807,12345678901234567890,123456789012345690000000]");
    let mut value = value.unwrap();
    assert_eq!(
        value.to_text(),
        "[9223372036854775807,12345678901234567890,1.2345678901234569e+23]"
    );
    value.settle_numbers();
    assert_eq!(
        value.to_text(),
        "[9223372036854775807,12345678901234567000,1.2345678901234569e+23]"
    );
}

#[test]
fn faults_are_named_in_the_words_of_the_reference() {
    for (input, message) in [
        ("", "unexpected end of JSON input"),
        ("[1,", "unexpected end of JSON input"),
        ("[1] x", "invalid character 'x' after top-level value"),
        (
            "{a:1}",
            "invalid character 'a' looking for beginning of object key string",
        ),
        ("{\"a\" 1}", "invalid character '1' after object key"),
        (
            "{\"a\":1 2}",
            "invalid character '2' after object key:value pair",
        ),
        ("[1 2]", "invalid character '2' after array element"),
        (
            "nul!",
            "invalid character '!' in literal null (expecting 'l')",
        ),
        ("\"a\nb\"", "invalid character '\\n' in string literal"),
        ("\"\\x\"", "invalid character 'x' in string escape code"),
        (
            "'a'",
            "invalid character '\\'' looking for beginning of value",
        ),
        ("-x", "invalid character 'x' in numeric literal"),
        (
            "1.x",
            "invalid character 'x' after decimal point in numeric literal",
        ),
        ("01", "invalid character '1' after top-level value"),
    ] {
        assert_eq!(
            parse_json(input).unwrap_err().to_string(),
            message,
            "{input}"
        );
    }
}

#[test]
fn deep_nesting_is_refused_instead_of_overflowing_the_stack() {
    let text = "[".repeat(1_000_000);
    assert_eq!(parse_json(&text), Err(JsonError::Depth));
}

#[test]
fn compacting_keeps_order_and_escapes() {
    assert_eq!(
        compact("{ \"b\" : \"\\u00e9 \\\" <\" ,\n\"a\": [1.0, 2] }"),
        "{\"b\":\"\\u00e9 \\\" \\u003c\",\"a\":[1.0,2]}"
    );
}

#[test]
fn numbers_become_strings_with_the_precision_of_32_bits() {
    for (number, output) in [
        (4.1, "4.1"),
        (1000.5, "1000.5"),
        (4.123_456_789, "4.123457"),
        (1e6, "1e+06"),
        (0.0001, "0.0001"),
        (0.000_01, "1e-05"),
        (1e300, "+Inf"),
        (-0.5, "-0.5"),
    ] {
        assert_eq!(short_f32(number), output);
    }
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(|number| Json::Number(Number::Int(number))),
        ".*".prop_map(Json::String),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::Array),
            prop::collection::btree_map(".{0,4}", inner, 0..6).prop_map(Json::Object),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in any_json()) {
        prop_assert_eq!(parse_json(&value.to_text()), Ok(value));
    }

    #[test]
    fn another_reader_sees_the_same_value(value in any_json()) {
        let text = value.to_text();
        let theirs: serde_json::Value = serde_json::from_str(&text).unwrap();
        let again = parse_json(&theirs.to_string()).unwrap();
        prop_assert_eq!(again, value);
    }

    #[test]
    fn doubles_are_read_back_exactly(number in any::<f64>().prop_filter("finite", |x| x.is_finite())) {
        let text = Json::Number(Number::Double(number)).to_text();
        prop_assert_eq!(text.parse::<f64>().unwrap(), number);
    }

    #[test]
    fn any_text_is_read_or_refused_without_a_panic(text in ".{0,40}") {
        let _ = parse_json(&text);
    }
}
