use proptest::prelude::*;

use super::{YamlFault, parse_yaml, yaml_text};

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
    assert_eq!(parse_yaml(&yaml).unwrap_err().fault, YamlFault::Size);
}

#[test]
fn deep_nesting_is_refused() {
    let block: String = (0..2000)
        .map(|level| format!("{}a:\n", " ".repeat(level)))
        .collect();
    for yaml in [
        block,
        "[".repeat(100_000),
        "- ".repeat(100_000),
        "{a: ".repeat(100_000),
    ] {
        let error = parse_yaml(&yaml).unwrap_err();
        assert_eq!(error.fault, YamlFault::Depth, "{error}");
    }
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

#[test]
fn a_byte_order_mark_within_a_text_is_a_character() {
    for (yaml, json) in [
        ("\u{feff}a: b", "{\"a\":\"b\"}"),
        ("a: b\u{feff}c", "{\"a\":\"b\u{feff}c\"}"),
        ("a: \"b\u{feff}\"", "{\"a\":\"b\u{feff}\"}"),
        ("a: '\n\u{feff}b'", "{\"a\":\" \u{feff}b\"}"),
        ("a: |\n  b\u{feff}\n", "{\"a\":\"b\u{feff}\\n\"}"),
        ("# \u{feff}\na: b", "{\"a\":\"b\"}"),
        ("a: 1\n\u{feff}b: 2", "{\"a\":1,\"\u{feff}b\":2}"),
    ] {
        assert_eq!(text(yaml), json, "{yaml:?}");
    }
}

#[test]
fn tabs_part_words_and_do_not_indent() {
    for (yaml, json) in [
        ("a:\tb\nc: \t d", r#"{"a":"b","c":"d"}"#),
        ("a:\t|\n  b\n", r#"{"a":"b\n"}"#),
        ("a: b\t# c", r#"{"a":"b"}"#),
        (
            "a: {\n\tb:\tc,\n\t\"d\"\t: [\t1,\t2\t]\t}",
            r#"{"a":{"b":"c","d":[1,2]}}"#,
        ),
        ("a: \"b\n\tc\"", r#"{"a":"b c"}"#),
    ] {
        assert_eq!(text(yaml), json, "{yaml:?}");
    }
    for yaml in ["\ta: b", "a:\n\tb: c", "a: 1\n\tb: c", "-\ta", "a: |\n\tb"] {
        let error = parse_yaml(yaml).unwrap_err();
        assert!(error.to_string().contains("a tab"), "{yaml:?}: {error}");
    }
}

#[test]
fn a_backslash_before_an_apostrophe_stands_for_it_in_double_quotes_only() {
    for (yaml, json) in [
        (r#""a\'b""#, r#""a'b""#),
        (r#""a\\'b""#, r#""a\\'b""#),
        (r#""a\\\'b""#, r#""a\\'b""#),
        (r"'a\'", r#""a\\""#),
        (r"'a\''b'", r#""a\\'b""#),
        (r"a\'b", r#""a\\'b""#),
        ("|\n  a\\'b", r#""a\\'b\n""#),
    ] {
        assert_eq!(text(yaml), json, "{yaml}");
    }
    assert!(parse_yaml(r#""a\q""#).is_err());
}

#[test]
fn a_comment_may_follow_quotes_at_once() {
    assert_eq!(text("a: \"x\"# c\nb: 'y'#d"), r#"{"a":"x","b":"y"}"#);
    assert_eq!(text("a:#c"), "\"a:#c\"");
    assert!(parse_yaml("a: \"x\" c").is_err());
}

#[test]
fn signs_in_plain_texts_within_brackets_are_as_the_reference_has_them() {
    for (yaml, json) in [
        ("{a:}", r#"{"a:":null}"#),
        ("[a:, b]", r#"["a:","b"]"#),
        ("{\"a\":{'b':[c]}}", r#"{"a":{"b":["c"]}}"#),
        ("[x !b, 'y !c', z]", r#"["x !b","y !c","z"]"#),
        ("a: x !b, y:[", r#"{"a":"x !b, y:["}"#),
        ("[!!str 1, !<tag:yaml.org,2002:str> 2]", r#"["1","2"]"#),
    ] {
        assert_eq!(text(yaml), json, "{yaml}");
    }
    for yaml in [
        "[!a, b]",
        "[!!str,b]",
        "[!<a>,b]",
        "[\"a\"!b, c]",
        "{a:{b: c}}",
    ] {
        assert!(parse_yaml(yaml).is_err(), "{yaml}");
    }
}

#[test]
fn texts_that_end_in_the_middle_are_refused_or_read() {
    for yaml in ["\"\\", "\"a", "'", "[", "{a", "&", "*", "%", "? ["] {
        assert!(parse_yaml(yaml).is_err(), "{yaml}");
    }
    assert_eq!(text("a: |\n  b"), r#"{"a":"b\n"}"#);
    assert_eq!(text("a: >"), r#"{"a":""}"#);
}

#[test]
fn marks_in_a_text_stay_what_they_are() {
    let free: String = ('\u{fdd0}'..='\u{fdd8}').collect();
    assert_eq!(text(&format!("\"{free}\\'\"")), format!("\"{free}'\""));
    let all: String = ('\u{fdd0}'..='\u{fdef}').collect();
    assert_eq!(parse_yaml(&all).unwrap_err().fault, YamlFault::NoMarks);
}

#[test]
fn faults_are_told_with_their_lines() {
    for (yaml, line, words) in [
        ("a: 1\nb\nc: 2", 2, "a key with \": \" after it"),
        ("m: |\nThe text\nc: 2", 2, "a key with \": \" after it"),
        ("a: 1\n  b: 2", 2, "indented too far"),
        ("a:\n  b: 1\n c: 2", 3, "a key is expected here"),
        ("a: 'b' c", 1, "stand behind a text in quotes"),
        ("a:\n\tb: 1", 2, "a tab indents"),
        ("\n\na: @b", 3, "cannot begin with @"),
        ("a: 1\nb: 'c\nd: e\n", 2, "never closed"),
        ("a: 1\nb: [c,\n  d\ne: f\n", 4, "is expected here"),
        ("a: [b", 1, "is expected here"),
        ("a: 1\nb: [!c, d]", 2, "a blank must follow a tag"),
        ("a: 1\nb: **c**", 2, "a name must follow"),
        ("a: 1\r\nb: \"\\q\"\r\n", 2, "a backslash"),
        ("a: 1\nb: *c\n", 2, "the alias *c"),
        ("a: 1\nb: .inf\n", 2, "an infinite number"),
        ("a: 1\nb: \u{7}\n", 2, "U+0007"),
        ("- a\n- b\n c: d\n", 3, "no matter"),
    ] {
        let error = parse_yaml(yaml).unwrap_err();
        assert_eq!(error.line, line, "{yaml:?}: {error}");
        let told = error.to_string();
        assert!(
            told.contains(words) || words == "no matter",
            "{yaml:?}: {told}"
        );
    }
}

#[test]
fn anchors_within_anchors_keep_no_more_than_a_document_may_hold() {
    let within = |levels: usize| {
        let text = "x".repeat(super::MAX_TEXT / 16);
        let open: String = (0..levels).map(|at| format!("&a{at} [")).collect();
        parse_yaml(&format!("{open}{text}{}", "]".repeat(levels)))
    };
    assert!(within(8).is_ok());
    assert_eq!(within(32).unwrap_err().fault, YamlFault::Size);
}

#[test]
fn bytes_that_are_no_text_are_told_with_their_line() {
    assert_eq!(yaml_text("a: é".as_bytes()), Ok("a: é"));
    let error = yaml_text(b"a: 1\nb: Caf\xe9\n").unwrap_err();
    assert_eq!((error.line, error.fault), (2, YamlFault::Encoding(0xe9)));
    assert_eq!(yaml_text(b"a: \xe2\x82").unwrap_err().line, 1);
}

proptest! {
    #[test]
    fn quoted_text_stays_what_it_is(value in "[ -~é😀]{0,30}") {
        let quoted = format!("a: '{}'", value.replace('\'', "''"));
        let read = parse_yaml(&quoted).unwrap();
        prop_assert_eq!(read.get("a").unwrap().as_str().unwrap(), value);
    }

    #[test]
    fn any_text_is_read_or_refused_without_a_panic(text in "[-a-c:?,\\[\\]{}&*!|>'\"%#@`\\\\<~\t\r\n 01.\u{feff}\u{2028}\u{85}]{0,60}") {
        let _ = parse_yaml(&text);
    }
}
