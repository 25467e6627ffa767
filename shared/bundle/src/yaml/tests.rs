use proptest::prelude::*;

use super::{YamlError, parse_yaml};

fn text(yaml: &str) -> String {
    parse_yaml(yaml)
        .unwrap_or_else(|error| panic!("{yaml}: {error:?}"))
        .to_text()
}

#[test]
fn bare_scalars_are_typed_as_in_yaml_1_1() {
    for (scalar, json) in [
        ("yes", "true"),
        ("n", "false"),
        ("Off", "false"),
        ("TRUE", "true"),
        ("yEs", "\"yEs\""),
        ("~", "null"),
        ("Null", "null"),
        ("nULL", "\"nULL\""),
        ("0x1F", "31"),
        ("017", "15"),
        ("0o17", "15"),
        ("0b11", "3"),
        ("-0b11", "-3"),
        ("1_000", "1000"),
        ("08", "8"),
        ("1e3", "1000"),
        ("1.5", "1.5"),
        (".5", "0.5"),
        ("+1", "1"),
        ("-0x10", "-16"),
        ("1e400", "\"1e400\""),
        ("190:20:30", "\"190:20:30\""),
        ("12:30:45", "\"12:30:45\""),
        ("2001-12-14", "\"2001-12-14\""),
        ("1.0.0", "\"1.0.0\""),
        ("1e-7", "1e-7"),
        ("12345678901234567890", "12345678901234567890"),
        ("100000000000000000000000", "1e+23"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("0", "0"),
        ("00", "0"),
        ("+-1", "\"+-1\""),
        ("0x", "\"0x\""),
        ("1e", "\"1e\""),
        ("1.e1", "10"),
        ("_1", "\"_1\""),
        ("inf", "\"inf\""),
        ("nan", "\"nan\""),
        ("1__0.5", "10.5"),
        ("\"1\"", "\"1\""),
        ("'yes'", "\"yes\""),
        ("!!str 1", "\"1\""),
        ("!!int \"1\"", "1"),
        ("!!float 1", "1"),
        ("!other 1", "\"1\""),
        ("!!binary aGk=", "\"hi\""),
    ] {
        assert_eq!(
            text(&format!("- {scalar}")),
            format!("[{json}]"),
            "{scalar}"
        );
    }
}

#[test]
fn keys_become_strings() {
    assert_eq!(
        text("1: a\ntrue: b\n1.5: c\nyes: d\n0x10: e\n.inf: f\n1e6: g"),
        r#"{".inf":"f","1":"a","1.5":"c","16":"e","1e+06":"g","true":"d"}"#
    );
}

#[test]
fn merges_are_applied_where_they_stand() {
    let base = "a: &a {x: 1, w: 2}\nb: &b {w: 3, z: 4}\n";
    for (mapping, json) in [
        ("c: {<<: *a, w: 9}", r#"{"w":9,"x":1}"#),
        ("c: {w: 9, <<: *a}", r#"{"w":2,"x":1}"#),
        ("c: {<<: [*a, *b]}", r#"{"w":2,"x":1,"z":4}"#),
        ("c: {\"<<\": 1}", r#"{"\u003c\u003c":1}"#),
    ] {
        let value = parse_yaml(&format!("{base}{mapping}")).unwrap();
        assert_eq!(value.get("c").unwrap().to_text(), json, "{mapping}");
    }
}

#[test]
fn the_last_of_equal_keys_counts() {
    assert_eq!(text("a: 1\na: 2"), r#"{"a":2}"#);
}

#[test]
fn only_the_first_document_is_read() {
    assert_eq!(text("a: 1\n--- # next\n: : :"), r#"{"a":1}"#);
    assert_eq!(text("# nothing"), "null");
    assert_eq!(text(""), "null");
}

#[test]
fn what_has_no_json_is_refused() {
    for yaml in [
        "a: .inf",
        "a: .nan",
        "~: 1",
        "? [a]\n: 1",
        "a: &x [*x]",
        "a: *y",
        "<<: 1",
        "a: b: c",
        "a: !!int x",
        "a: \u{7}",
        "[1",
        "18446744073709551615: x",
    ] {
        assert!(parse_yaml(yaml).is_err(), "{yaml}");
    }
}

#[test]
fn a_billion_laughs_are_refused() {
    let mut yaml = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..10 {
        let below = format!("*a{},", level - 1).repeat(10);
        yaml.push_str(&format!(
            "a{level}: &a{level} [{}]\n",
            below.trim_end_matches(',')
        ));
    }
    assert!(matches!(parse_yaml(&yaml), Err(YamlError::Size)));
}

#[test]
fn deep_nesting_is_refused() {
    let block: String = (0..2000)
        .map(|level| format!("{}a:\n", " ".repeat(level)))
        .collect();
    assert!(matches!(
        parse_yaml(&block),
        Err(YamlError::Depth | YamlError::Syntax(_))
    ));
    assert!(parse_yaml(&"[".repeat(100_000)).is_err());
}

#[test]
fn lines_inside_quotes_and_brackets_may_be_indented_less() {
    for (yaml, json) in [
        ("a:\n  b: [\n  1,\n2\n]\nc: 3", r#"{"a":{"b":[1,2]},"c":3}"#),
        (
            "a:\n  b: {\n  c: \"]\",\n}\nd: 2",
            r#"{"a":{"b":{"c":"]"}},"d":2}"#,
        ),
        (
            "a: [\n]\nb: [\n{c: [\nd]}\n,\nit's]",
            r#"{"a":[],"b":[{"c":["d"]},"it's"]}"#,
        ),
        (
            "a:\n  b: 'x\ny\n\n  it''s'\nc: 1",
            "{\"a\":{\"b\":\"x y\\nit's\"},\"c\":1}",
        ),
        (
            "a:\n  b: \"x\ny \\\" z\"\n  c: 'p\nq'",
            r#"{"a":{"b":"x y \" z","c":"p q"}}"#,
        ),
    ] {
        assert_eq!(text(yaml), json, "{yaml}");
    }
    assert!(parse_yaml("a:\n  b: [\n1\nc: 2").is_err());
    assert!(parse_yaml("a:\n  b: 'x\ny").is_err());
}

#[test]
fn unicode_line_separators_are_line_breaks_inside_quotes() {
    assert_eq!(text("\"a \u{2028}  b\""), "\"a\\u2028b\"");
    assert_eq!(text("'a\u{85}b'"), "\"a b\"");
    assert_eq!(text("\"a \\L b\""), "\"a \\u2028 b\"");
}

proptest! {
    #[test]
    fn quoted_text_stays_what_it_is(value in "[ -~é😀]{0,30}") {
        let quoted = format!("a: '{}'", value.replace('\'', "''"));
        let read = parse_yaml(&quoted).unwrap();
        prop_assert_eq!(read.get("a").unwrap().as_str().unwrap(), value);
    }

    #[test]
    fn any_text_is_read_or_refused_without_a_panic(text in "[-a-c:?,\\[\\]{}&*!|>'\"%#\n 01.]{0,40}") {
        let _ = parse_yaml(&text);
    }
}
