use super::*;

fn document(text: &str) -> YamlDocument {
    YamlDocument::parse(text).unwrap()
}

/// The value at a path.
fn at(document: &YamlDocument, path: &[&str]) -> NodeId {
    document.at(document.root().unwrap(), path).unwrap()
}

/// The text after a string at a path was replaced.
fn with_text(text: &str, path: &[&str], new: &str) -> String {
    let mut document = document(text);
    let id = at(&document, path);
    document.set_text(id, new);
    document.rewritten().text
}

#[test]
fn what_is_not_changed_keeps_its_bytes() {
    for text in [
        "",
        "# only a comment",
        "---\na: 1\n...\n",
        "\u{feff}a: &x [1, 'two', \"three\"]\r\nb: *x\r\n",
        "a: |\n  one\n\n\nb: >-\n  two\n",
    ] {
        assert_eq!(document(text).rewritten().text, text);
    }
}

#[test]
fn a_string_is_replaced_in_its_style() {
    for (text, new, expected) in [
        (
            "a: r.example/x:1 # why\n",
            "r.example/y:2",
            "a: r.example/y:2 # why\n",
        ),
        ("a: 'r.example/x:1'\n", "it's", "a: 'it''s'\n"),
        ("a: \"x\"\n", "y", "a: \"y\"\n"),
        ("a: x", "yes", "a: \"yes\""),
        ("a: x\n", "1.0", "a: \"1.0\"\n"),
        ("a: x\n", "2020-01-02", "a: \"2020-01-02\"\n"),
        ("a: x\n", "a: b", "a: \"a: b\"\n"),
        ("a: x\n", "", "a: \"\"\n"),
        ("{\"a\": \"x\", b: x}\n", "y", "{\"a\": \"y\", b: x}\n"),
        ("{a: x}\n", "r.example/y:2", "{a: r.example/y:2}\n"),
        (
            "a: >-\n  x\nb: 1\n",
            "r.example/y:2",
            "a: >-\n  r.example/y:2\nb: 1\n",
        ),
        ("a: |\n  x\n  y\n\nb: 1\n", "z\n", "a: \"z\\n\"\n\nb: 1\n"),
        ("a: &n !!str x\n", "new", "a: &n !!str new\n"),
        ("a: &n\n  # told\n  x\n", "new", "a: &n\n  # told\n  new\n"),
        ("a: one\n  two\nb: 1\n", "three", "a: three\nb: 1\n"),
        ("a:\nb: 1\n", "x", "a: x\nb: 1\n"),
        ("\u{feff}ä: ü\na: x\n", "new", "\u{feff}ä: ü\na: new\n"),
        // Signs that the reader is given marks for.
        (
            "b: [x:, '\u{2028}']\na: x\nc: \"\\'\"\n",
            "new",
            "b: [x:, '\u{2028}']\na: new\nc: \"\\'\"\n",
        ),
    ] {
        assert_eq!(with_text(text, &["a"], new), expected, "{text:?}");
        let read = document(expected);
        assert_eq!(
            read.text(at(&read, &["a"])).as_deref(),
            Some(new),
            "{text:?}"
        );
    }
}

/// The text after a part of the string `a` was replaced.
fn with_part(text: &str, old: &str, new: &str) -> Rewritten {
    let mut document = document(text);
    let id = at(&document, &["a"]);
    let value = document.text(id).unwrap().into_owned();
    let start = value.find(old).unwrap();
    document.set_part(id, start..start + old.len(), new);
    let expected = value.replacen(old, new, 1);
    assert_eq!(document.text(id).as_deref(), Some(&*expected));
    let rewritten = document.rewritten();
    let read = self::document(&rewritten.text);
    assert_eq!(
        read.text(at(&read, &["a"])).as_deref(),
        Some(&*expected),
        "{text:?}"
    );
    rewritten
}

#[test]
fn a_part_of_a_string_is_replaced_where_it_is() {
    for (text, expected) in [
        ("a: |\n  [x/y:1,\n   1]\n", "a: |\n  [n/y:2,\n   1]\n"),
        ("a: | # x/y:1\n  [x/y:1]\n", "a: | # x/y:1\n  [n/y:2]\n"),
        (
            "a: >\n  see x/y:1\n  there\n",
            "a: >\n  see n/y:2\n  there\n",
        ),
        ("a: see x/y:1\n  there\n", "a: see n/y:2\n  there\n"),
        ("a: 'it''s x/y:1'\n", "a: 'it''s n/y:2'\n"),
        ("a: \"[\\\"x/y:1\\\"]\"\n", "a: \"[\\\"n/y:2\\\"]\"\n"),
        ("a: \"x/y:1 \\\n  on\"\n", "a: \"n/y:2 \\\n  on\"\n"),
    ] {
        let rewritten = with_part(text, "x/y:1", "n/y:2");
        assert_eq!(rewritten.text, expected);
        assert!(rewritten.anew.is_empty(), "{text:?}");
    }
}

#[test]
fn a_part_that_is_hidden_makes_the_string_written_anew() {
    for text in [
        "b: 1\na: \"\\x78/y:1\"\n",
        "b: 1\na: \"x/\\\n  y:1\"\n",
        "b: 1\na: \"\\u0078/y:1 x\\/y:1\"\n",
    ] {
        assert_eq!(with_part(text, "x/y:1", "n/y:2").anew, [2], "{text:?}");
    }
    // What takes its place would mean something else there.
    for (text, new) in [
        ("a: x/y:1\n", "n: y"),
        ("a: 'x/y:1'\n", "it's"),
        ("a: |\n  x/y:1\n", "a\nb"),
    ] {
        assert_eq!(with_part(text, "x/y:1", new).anew, [1], "{text:?}");
    }
}

#[test]
fn parts_are_replaced_one_after_the_other_and_again() {
    let mut document = document("a: one two one\n");
    let id = at(&document, &["a"]);
    document.set_part(id, 8..11, "three");
    document.set_part(id, 0..3, "four");
    assert_eq!(document.text(id).as_deref(), Some("four two three"));
    document.set_part(id, 9..14, "x");
    document.set_part(id, 5..8, "y");
    assert_eq!(document.rewritten().text, "a: four y x\n");
    // Across the edge of what is new.
    document.set_part(id, 3..6, "-");
    assert_eq!(document.rewritten().text, "a: fou- x\n");
}

fn images() -> NewValue {
    let image = |name: &str, image: &str| {
        let text = |text: &str| NewValue::Text(text.to_owned());
        NewValue::Mapping(vec![
            ("name".to_owned(), text(name)),
            ("image".to_owned(), text(image)),
        ])
    };
    NewValue::List(vec![
        image("db", "r.example/db:1"),
        image("yes", "r.example/y:1"),
    ])
}

#[test]
fn a_member_comes_at_the_end_of_its_mapping() {
    let block = "s:\n  b: 1 # one\n  relatedImages:\n  - name: db\n    image: r.example/db:1\n  - name: \"yes\"\n    image: r.example/y:1\n";
    let flow = r#""relatedImages": [{"name": "db", "image": "r.example/db:1"}, {"name": "yes", "image": "r.example/y:1"}]"#;
    for (text, expected) in [
        ("s:\n  b: 1 # one\n", block.to_owned()),
        ("s:\n  b: 1 # one\nt: 2\n", format!("{block}t: 2\n")),
        ("s:\n  b: 1 # one", block.trim_end().to_owned()),
        ("s:\r\n  b: 1 # one\r\n", block.replace('\n', "\r\n")),
        ("s: {b: 1}\n", format!("s: {{b: 1, {flow}}}\n")),
        ("s: {b: 1, }\n", format!("s: {{b: 1, {flow}, }}\n")),
        ("s: { # none\n}\n", format!("s: {{{flow} # none\n}}\n")),
        (
            "s: {b: 1 # one\n}\n",
            format!("s: {{b: 1, {flow} # one\n}}\n"),
        ),
        ("s: {b: }\n", format!("s: {{b:  , {flow}}}\n")),
        ("s: {}\n", format!("s: {{{flow}}}\n")),
        ("s:\n  b: 1 # one\n  relatedImages: []\n", block.to_owned()),
        ("s:\n  b: 1 # one\n  relatedImages:\n", block.to_owned()),
        (
            "s:\n  b: 1\n  relatedImages: [] # none\n",
            format!("s:\n  b: 1\n  {} # none\n", flow.replacen('"', "", 2)),
        ),
    ] {
        let mut document = document(text);
        let spec = at(&document, &["s"]);
        document.set_member(spec, "relatedImages", &images());
        let rewritten = document.rewritten().text;
        assert_eq!(rewritten, expected, "{text:?}");
        let read = self::document(&rewritten);
        for document in [&document, &read] {
            let images = at(document, &["s", "relatedImages"]);
            let names: Vec<_> = document
                .items(images)
                .iter()
                .map(|image| {
                    document
                        .text(document.get(*image, "name").unwrap())
                        .unwrap()
                        .into_owned()
                })
                .collect();
            assert_eq!(names, ["db", "yes"]);
        }
    }
    for text in [
        "s:\n  b: |\n    one\n\nt: 1\n",
        "s:\n  b: |+\n    one\n\n",
        "s:\n- b: 1\n",
        "s:\n  b:\n  - 1\n  - 2",
    ] {
        let mut document = document(text);
        let spec = at(&document, &["s"]);
        let spec = document.items(spec).first().copied().unwrap_or(spec);
        document.set_member(
            spec,
            "new key",
            &NewValue::Mapping(vec![("x".to_owned(), images())]),
        );
        let read = self::document(&document.rewritten().text);
        let spec = at(&read, &["s"]);
        let spec = read.items(spec).first().copied().unwrap_or(spec);
        let images = read.at(spec, &["new key", "x"]).unwrap();
        assert_eq!(read.items(images).len(), 2, "{text:?}");
        assert!(read.get(spec, "b").is_some(), "{text:?}");
    }
}

/// Whether only what was changed has to be read again, after the text `a` below `at` became `new`.
fn is_surely_said(text: &str, path: &[&str]) -> bool {
    let mut document = document(text);
    let id = at(&document, path);
    document.set_text(id, "new");
    let rewritten = document.rewritten();
    assert!(
        rewritten.is_faithful && rewritten.anew.is_empty(),
        "{text:?}"
    );
    let place = document.node(id).at.clone().unwrap();
    document.is_surely_said(&[(place, "new".to_owned())])
}

#[test]
fn of_most_texts_only_what_was_changed_is_read_again() {
    let deep = format!("{0}b: 1\n{0}a: x\n{0}c: 1\n", " ".repeat(70_000));
    for (text, path) in [
        ("a: x\nb: 1\n", ["a"].as_slice()),
        (
            "b:\n  - 1\nc:\n  a: x # why\n  d: |\n    e\nf: 1",
            &["c", "a"],
        ),
        ("c:\r\n  a: x\r\nd: 1\r\n", &["c", "a"]),
        (&deep, &["a"]),
    ] {
        assert!(is_surely_said(text, path), "{text:?}");
    }
    for (text, path) in [
        // What is said before decides what it means; or it is no line of its own.
        (
            "%TAG !! tag:x.example,2000:\n---\nb: !!str y\na: x\n",
            ["a"].as_slice(),
        ),
        ("b: &b 1\na: x\nc: *b\n", &["a"]),
        ("? a\n: x\n", &["a"]),
        ("{a: x}\n", &["a"]),
        ("\u{feff}a: x\n", &["a"]),
    ] {
        assert!(!is_surely_said(text, path), "{text:?}");
    }
}

#[test]
fn however_far_a_document_is_indented_it_can_be_added_to() {
    let blanks = " ".repeat(70_000);
    let text = format!("{blanks}a: x\n");
    let mut document = document(&text);
    let root = document.root().unwrap();
    document.set_member(root, "l", &images());
    let expected = format!("{text}{blanks}l:\n{blanks}- name: db");
    assert!(document.rewritten().text.starts_with(&expected));
}

#[test]
fn aliases_share_what_they_stand_for_until_they_are_written_out() {
    let text = "a: &a {x: &i r.example/x:1, n: 010}\nb: *a\nc:\n  <<: *a\n  y: *i\n";
    let mut shared = document(text);
    let x = at(&shared, &["b", "x"]);
    assert_eq!(at(&shared, &["c", "x"]), x);
    assert_eq!(shared.shared(at(&shared, &["c", "y"])), x);
    shared.set_text(x, "r.example/n:2");
    let all = shared.rewritten();
    assert_eq!(
        all.text,
        text.replace("x:1", "n:2").replace("example/x", "example/n")
    );

    let mut apart = document(text);
    apart.write_out_aliases();
    let x = at(&apart, &["c", "x"]);
    apart.set_text(x, "r.example/n:2");
    let rewritten = apart.rewritten();
    assert_eq!(
        rewritten.text,
        "a: &a {x: &i r.example/x:1, n: 010}\nb: {\"x\": \"r.example/x:1\", \"n\": 010}\nc:\n  \
         <<: {\"x\": \"r.example/n:2\", \"n\": 010}\n  y: r.example/x:1\n"
    );
    assert_eq!(rewritten.anew, [2, 4, 5]);
}

#[test]
fn a_copy_keeps_its_tag() {
    let mut document = document("a: &a [!!float '1', !own x]\nb: *a\n");
    document.write_out_aliases();
    let rewritten = document.rewritten().text;
    let read = self::document(&rewritten);
    let values = |name| {
        let items = read.items(at(&read, &[name])).iter();
        items.map(|id| read.value(*id)).collect::<Vec<_>>()
    };
    let expected = [YamlValue::Number { is_zero: false }, YamlValue::Other];
    assert_eq!(
        (values("a"), values("b")),
        (expected.to_vec(), expected.to_vec()),
        "{rewritten}"
    );
}

#[test]
fn values_are_typed_as_yaml_1_2_types_them() {
    let text = "[yes, no, ~, '', true, False, 0, 0x0, 1.5, .inf, 2020-01-02, 2021-03-03 10:51:09Z, 1.2.3, !x y, !!str 1, '1', on, -, 1-2-3, !!bool 'false']";
    let document = document(text);
    let values: Vec<YamlValue<'_>> = document
        .items(document.root().unwrap())
        .iter()
        .map(|id| document.value(*id))
        .collect();
    let text = |text: &'static str| YamlValue::Text(text.into());
    let number = |is_zero| YamlValue::Number { is_zero };
    assert_eq!(
        values,
        [
            text("yes"),
            text("no"),
            YamlValue::Null,
            text(""),
            YamlValue::Bool(true),
            YamlValue::Bool(false),
            number(true),
            number(true),
            number(false),
            number(false),
            YamlValue::Other,
            YamlValue::Other,
            text("1.2.3"),
            YamlValue::Other,
            text("1"),
            text("1"),
            text("on"),
            text("-"),
            text("1-2-3"),
            YamlValue::Bool(false),
        ]
    );
}

#[test]
fn what_is_no_document_is_refused_with_its_line() {
    for (text, told) in [
        ("a: 1\n---\nb: 2\n", "line 2: a second document begins here"),
        (
            "a: 1\nb: 2\n\"a\": 3\n",
            "line 3: the key \"a\" is in this mapping already",
        ),
        ("a: *b\n", "line 1: the alias *b stands for nothing"),
        ("a:\n\tb: 1\n", "line 2: a tab indents"),
    ] {
        let error = YamlDocument::parse(text).unwrap_err().to_string();
        assert!(error.starts_with(told), "{error}");
    }
    // Few values, and much text.
    let long = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(1 << 20),
        "*a, ".repeat(64)
    );
    assert_eq!(
        YamlDocument::parse(&long).unwrap_err().fault,
        crate::YamlFault::Size
    );
    let bomb = (0..30).fold("a0: &a0 [x]\n".to_owned(), |text, level| {
        format!(
            "{text}a{}: &a{} [*a{level}, *a{level}]\n",
            level + 1,
            level + 1
        )
    });
    assert_eq!(
        YamlDocument::parse(&bomb).unwrap_err().fault,
        crate::YamlFault::Size
    );
}

/// Random documents in all styles, and random changes.
mod property {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Tree {
        Scalar(Style, &'static str),
        List { is_flow: bool, items: Vec<Tree> },
        Mapping { is_flow: bool, values: Vec<Tree> },
    }

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Style {
        Plain,
        Single,
        Double,
        Literal,
        Folded,
    }

    const TEXTS: [&str; 10] = [
        "r.example/x:1",
        "see r.example/x:1, r.example/x:1 and r.example/x:12",
        "[\"r.example/x:1\"]",
        "it's\\x",
        "two\nlines r.example/x:1",
        "  ü r.example/x:1",
        "yes",
        "- # no",
        "10",
        "a",
    ];
    const NEW: [&str; 8] = [
        "r.example/n:2",
        "r.example:5000/n/m@sha256:00",
        "it's \"new\"",
        "no",
        "1.0",
        "",
        "new\nlines\n",
        "\u{feff}\u{2028}: # x",
    ];

    fn trees() -> impl Strategy<Value = Tree> {
        let styles = prop_oneof![
            Just(Style::Plain),
            Just(Style::Single),
            Just(Style::Double),
            Just(Style::Literal),
            Just(Style::Folded),
        ];
        let scalar = (styles, proptest::sample::select(TEXTS.to_vec()));
        let scalar = scalar.prop_map(|(style, text)| Tree::Scalar(style, text));
        scalar.prop_recursive(4, 24, 4, |inner| {
            let values = prop::collection::vec(inner, 0..4);
            prop_oneof![
                (any::<bool>(), values.clone())
                    .prop_map(|(is_flow, items)| Tree::List { is_flow, items }),
                (any::<bool>(), values)
                    .prop_map(|(is_flow, values)| Tree::Mapping { is_flow, values }),
            ]
        })
    }

    fn single_line(style: Style, text: &str) -> String {
        let is_word = |sign: char| sign.is_ascii_alphanumeric() || "./:".contains(sign);
        match style {
            Style::Plain if text.chars().all(is_word) => text.to_owned(),
            Style::Single if !text.contains('\n') => format!("'{}'", text.replace('\'', "''")),
            _ => scalar::quoted(text),
        }
    }

    fn flow(tree: &Tree, out: &mut String) {
        match tree {
            Tree::Scalar(style, text) => out.push_str(&single_line(*style, text)),
            Tree::List { items, .. } => {
                out.push('[');
                for item in items {
                    flow(item, out);
                    out.push_str(", ");
                }
                out.push(']');
            }
            Tree::Mapping { values, .. } => {
                out.push('{');
                for (number, value) in values.iter().enumerate() {
                    out.push_str(&format!("k{number}: "));
                    flow(value, out);
                    out.push_str(if number + 1 == values.len() {
                        " # last\n          "
                    } else {
                        " , "
                    });
                }
                out.push('}');
            }
        }
    }

    /// What stands behind a key or dash, and what comes below it. Dashes of some lists are below the key.
    fn block(tree: &Tree, indent: usize, is_member: bool, out: &mut String) {
        let pad = " ".repeat(indent);
        match tree {
            Tree::Scalar(style @ (Style::Literal | Style::Folded), text)
                if !text.starts_with(' ') && (*style == Style::Literal || !text.contains('\n')) =>
            {
                out.push_str(if *style == Style::Literal {
                    " |- # r.example/x:1\n"
                } else {
                    " >-\n"
                });
                for line in text.split('\n') {
                    out.push_str(&format!("{pad}  {line}\n"));
                }
            }
            Tree::List {
                is_flow: false,
                items,
            } if !items.is_empty() => {
                out.push_str(" # a list\n");
                let indent = match is_member && items.len() % 2 == 1 {
                    true => indent - 2,
                    false => indent,
                };
                for item in items {
                    out.push_str(&format!("{:indent$}-", ""));
                    block(item, indent + 2, false, out);
                }
            }
            Tree::Mapping {
                is_flow: false,
                values,
            } if !values.is_empty() => {
                out.push_str(" # a mapping\n");
                for (number, value) in values.iter().enumerate() {
                    out.push_str(&format!("{pad}k{number}:"));
                    block(value, indent + 2, true, out);
                }
            }
            tree => {
                out.push(' ');
                flow(tree, out);
                out.push_str(" # end\n");
            }
        }
    }

    fn snapshot(document: &YamlDocument, id: NodeId) -> String {
        match document.value(id) {
            YamlValue::List => {
                let items = document.items(id).iter();
                let items: Vec<_> = items.map(|item| snapshot(document, *item)).collect();
                format!("[{}]", items.join(","))
            }
            YamlValue::Mapping => {
                let members = document.members(id).into_iter();
                let members =
                    members.map(|(key, value)| format!("{key:?}:{}", snapshot(document, value)));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }
            scalar => format!("{scalar:?}"),
        }
    }

    /// The lines from the beginning of a value to that with its end.
    fn lines_of(document: &YamlDocument, id: NodeId) -> std::ops::RangeInclusive<usize> {
        let at = document.node(id).at.clone().unwrap_or_default();
        let end = document.text[at.clone()].trim_end().len() + at.start;
        document.line_at(at.start)..=document.line_at(end)
    }

    /// All values, from outside to inside.
    fn all(document: &YamlDocument, id: NodeId, found: &mut Vec<NodeId>) {
        found.push(id);
        for (_, member) in document.members(id) {
            all(document, member, found);
        }
        for item in document.items(id) {
            all(document, *item, found);
        }
    }

    proptest! {
        #[test]
        fn a_changed_text_says_what_the_changed_document_says(
            tree in trees(),
            changes in prop::collection::vec((any::<usize>(), 0..3, any::<prop::sample::Index>()), 0..5),
            is_crlf in any::<bool>(),
        ) {
            let mut text = "# before\nroot:".to_owned();
            block(&tree, 2, true, &mut text);
            text.push_str("last: r.example/x:1");
            if is_crlf {
                text = text.replace('\n', "\r\n");
            }
            let mut document = document(&text);
            let root = document.root().unwrap();
            let mut lines = BTreeSet::new();
            for (place, kind, new) in &changes {
                let new = new.get(&NEW);
                let mut values = Vec::new();
                all(&document, root, &mut values);
                let id = values[place % values.len()];
                lines.extend(lines_of(&document, id));
                let old = document.text(id).map(Cow::into_owned);
                match (kind, old) {
                    (0, Some(_)) => document.set_text(id, new),
                    (1, Some(old)) => {
                        if let Some(start) = old.rfind("r.example/x:1") {
                            document.set_part(id, start..start + "r.example/x:1".len(), new);
                        }
                    }
                    (2, _) if document.value(id) == YamlValue::Mapping => {
                        let name = ["k0", "k9", "yes"][place % 3];
                        let value = match place % 2 {
                            0 => images(),
                            _ => NewValue::Text((*new).to_owned()),
                        };
                        document.set_member(id, name, &value);
                    }
                    _ => {}
                }
            }
            let now = snapshot(&document, root);
            let rewritten = document.rewritten().text;
            let read = YamlDocument::parse(&rewritten);
            prop_assert!(read.is_ok(), "{} became {}: {:?}", text, rewritten, read.err());
            let read = read.unwrap();
            prop_assert_eq!(&snapshot(&read, read.root().unwrap()), &now, "{} became {}", text, rewritten);
            // Lines without anything that was touched are there, in their order.
            let mut left = rewritten.lines();
            for (number, line) in text.lines().enumerate() {
                let is_touched = lines.contains(&(number + 1));
                prop_assert!(is_touched || left.any(|other| other == line), "{} became {}", text, rewritten);
            }
        }
    }
}
