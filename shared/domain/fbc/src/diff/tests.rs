use std::collections::BTreeMap;

use super::{CatalogChange, CatalogDiff};
use crate::{Catalog, read_text};

const LAMP: &str = r#"
schema: olm.package
name: lamp
defaultChannel: stable
description: Lights
icon: {base64data: bGlnaHQ=, mediatype: image/png}
---
schema: olm.channel
package: lamp
name: stable
entries:
- name: lamp.v1
- name: lamp.v2
  replaces: lamp.v1
  skips: [lamp.v0, lamp.v0a]
  skipRange: "<2.0.0"
---
schema: olm.bundle
package: lamp
name: lamp.v1
image: r.example/lamp:1
properties:
- {type: olm.package, value: {packageName: lamp, version: 1.0.0}}
---
schema: olm.bundle
package: lamp
name: lamp.v2
image: r.example/lamp:2
relatedImages:
- {name: bulb, image: r.example/bulb:2}
- {name: socket, image: r.example/socket:2}
properties:
- {type: olm.package, value: {packageName: lamp, version: 2.0.0}}
- {type: my.size, value: {width: 1.50, deep: [1, 2]}}
- {type: olm.gvk, value: {group: e.example, kind: Lamp, version: v1}}
- {type: olm.gvk, value: {group: e.example, kind: Bulb, version: v1}}
- {type: olm.bundle.object, value: {data: eyJraW5kIjoiUm9sZSIsIm1ldGFkYXRhIjp7Im5hbWUiOiJyIn0sIm4iOjF9}}
---
schema: olm.deprecations
package: lamp
entries:
- {reference: {schema: olm.bundle, name: lamp.v1}, message: too old}
- {reference: {schema: olm.channel, name: stable}, message: going}
---
schema: my.own
package: lamp
name: note
text: one
"#;

fn read(text: &str) -> BTreeMap<String, Catalog> {
    let mut catalog = Catalog::default();
    read_text(text, &mut catalog).unwrap();
    catalog.by_package()
}

fn diff(before: &str, after: &str) -> CatalogDiff {
    CatalogDiff::between(&read(before), &read(after))
}

/// What differs when a part of the catalog is another, without the heading.
fn shown(old: &str, new: &str) -> String {
    assert_eq!(LAMP.matches(old).count(), 1, "{old}");
    let diff = diff(LAMP, &LAMP.replace(old, new));
    let text = diff.to_string();
    // What was noted is read back as it was.
    let kept: CatalogDiff = serde_json::from_str(&serde_json::to_string(&diff).unwrap()).unwrap();
    assert_eq!(kept, diff);
    let lines = text.strip_prefix("~ package lamp\n").unwrap_or(&text);
    lines.replace("\n  ", "\n").trim_start().to_owned()
}

#[test]
fn every_part_of_a_catalog_that_changes_is_shown() {
    for (old, new, line) in [
        (
            "defaultChannel: stable",
            "defaultChannel: fast",
            "~ package lamp: default channel stable -> fast\n",
        ),
        (
            "description: Lights",
            "description: \"Lights\\nand more\"",
            "~ package lamp: description \"Lights\" -> \"Lights\\nand more\"\n",
        ),
        (
            "bGlnaHQ=",
            "bGlnaHRz",
            "~ package lamp: icon image/png of 5 bytes, sha256:99a7026172d4 -> image/png of 6 bytes, sha256:6fe6c35728c6\n",
        ),
        (
            "\nicon: {base64data: bGlnaHQ=, mediatype: image/png}",
            "",
            "~ package lamp: - icon image/png of 5 bytes, sha256:99a7026172d4\n",
        ),
        (
            "  replaces: lamp.v1\n",
            "",
            "~ channel lamp/stable: head lamp.v2 -> none\n~ channel lamp/stable: entry lamp.v2: replaces lamp.v1 -> none\n",
        ),
        (
            "[lamp.v0, lamp.v0a]",
            "[lamp.v0b, lamp.v0]",
            "~ channel lamp/stable: entry lamp.v2: - skips lamp.v0a, + skips lamp.v0b\n",
        ),
        (
            "<2.0.0",
            "<1.0.0",
            "~ channel lamp/stable: entry lamp.v2: skipRange <2.0.0 -> <1.0.0\n",
        ),
        (
            "- name: lamp.v1\n",
            "- name: lamp.v1\n  replaces: lamp.v0\n- name: lamp.v0\n",
            "~ channel lamp/stable: + entry lamp.v0\n~ channel lamp/stable: entry lamp.v1: replaces none -> lamp.v0\n",
        ),
        (
            "r.example/lamp:1",
            "prod.example/lamp:1",
            "~ bundle lamp/lamp.v1: image r.example/lamp:1 -> prod.example/lamp:1\n",
        ),
        (
            "r.example/bulb:2",
            "r.example/bulb:3",
            "~ bundle lamp/lamp.v2: related image bulb r.example/bulb:2 -> r.example/bulb:3\n",
        ),
        (
            "- {name: socket, image: r.example/socket:2}\n",
            "",
            "~ bundle lamp/lamp.v2: - related image socket r.example/socket:2\n",
        ),
        (
            "width: 1.50",
            "width: 2",
            "~ bundle lamp/lamp.v2: property my.size {\"deep\":[1,2],\"width\":1.5} -> {\"deep\":[1,2],\"width\":2}\n",
        ),
        (
            "kind: Bulb, version: v1",
            "kind: Bulb, version: v2",
            "~ bundle lamp/lamp.v2: property olm.gvk {\"group\":\"e.example\",\"kind\":\"Bulb\",\"version\":\"v1\"} -> {\"group\":\"e.example\",\"kind\":\"Bulb\",\"version\":\"v2\"}\n",
        ),
        (
            "- {type: olm.gvk, value: {group: e.example, kind: Bulb, version: v1}}\n",
            "- {type: olm.maxOpenShiftVersion, value: \"4.20\"}\n",
            "~ bundle lamp/lamp.v2: - property olm.gvk {\"group\":\"e.example\",\"kind\":\"Bulb\",\"version\":\"v1\"}\n\
             ~ bundle lamp/lamp.v2: + property olm.maxOpenShiftVersion \"4.20\"\n",
        ),
        // {"kind":"Role","metadata":{"name":"r"},"n":2}
        (
            "eyJraW5kIjoiUm9sZSIsIm1ldGFkYXRhIjp7Im5hbWUiOiJyIn0sIm4iOjF9",
            "eyJraW5kIjoiUm9sZSIsIm1ldGFkYXRhIjp7Im5hbWUiOiJyIn0sIm4iOjJ9",
            "~ bundle lamp/lamp.v2: object Role/r: n\n",
        ),
        (
            "message: too old",
            "message: gone",
            "~ deprecation of bundle lamp/lamp.v1: \"too old\" -> \"gone\"\n",
        ),
        (
            "- {reference: {schema: olm.channel, name: stable}, message: going}",
            "- {reference: {schema: olm.package}, message: all}",
            "- deprecation of channel lamp/stable: \"going\"\n+ deprecation of package lamp: \"all\"\n",
        ),
        (
            "message: going}",
            "message: going, more: 1}",
            "~ object olm.deprecations lamp: entries[0].more\n",
        ),
        (
            "text: one",
            "text: two",
            "~ object my.own lamp/note: text\n",
        ),
        (
            "name: note",
            "name: other",
            "- object my.own lamp/note\n+ object my.own lamp/other\n",
        ),
    ] {
        assert_eq!(shown(old, new), line, "{old}");
    }
}

#[test]
fn channels_bundles_and_packages_come_and_go_under_a_heading() {
    let beta = "---\nschema: olm.channel\npackage: lamp\nname: beta\nentries:\n- name: lamp.v2\n\
        ---\nschema: olm.bundle\npackage: lamp\nname: lamp.v3\nimage: r.example/lamp:3\n";
    let other = "---\nschema: olm.package\nname: a\ndefaultChannel: x\n---\nschema: my.own\n";
    let after = format!("{LAMP}{beta}{other}");
    assert_eq!(
        diff(LAMP, &after).to_string(),
        "+ package a\n  ~ package a: default channel none -> x\n\
         ~ package lamp\n  + channel lamp/beta: head lamp.v2, 1 entry\n  + bundle lamp/lamp.v3\n\
         ~ objects without a package\n  + object my.own\n"
    );
    let back = diff(&after, LAMP);
    assert_eq!(
        back.to_string(),
        "- package a\n  ~ package a: default channel x -> none\n\
         ~ package lamp\n  - channel lamp/beta: head was lamp.v2, 1 entry\n  - bundle lamp/lamp.v3\n\
         ~ objects without a package\n  - object my.own\n"
    );
    let gone = CatalogChange::BundleRemoved {
        package: "lamp".to_owned(),
        bundle: "lamp.v3".to_owned(),
        image: "r.example/lamp:3".to_owned(),
    };
    assert!(back.changes.contains(&gone), "{back:?}");
}

#[test]
fn the_same_written_otherwise_is_the_same() {
    let otherwise = r#"
# the other way round
{"text": "one", "name": "note", "package": "lamp", "schema": "my.own"}
---
schema: olm.deprecations
package: lamp
entries:
- {message: going, reference: {name: stable, schema: olm.channel}}
- {message: too old, reference: {name: lamp.v1, schema: olm.bundle}}
---
schema: olm.bundle
name: lamp.v2
package: lamp
image: 'r.example/lamp:2'
properties:
- type: olm.bundle.object
  # {"n": 1.0, "metadata": {"name": "r"}, "kind": "Role"}
  value: {data: eyJuIjogMS4wLCAibWV0YWRhdGEiOiB7Im5hbWUiOiAiciJ9LCAia2luZCI6ICJSb2xlIn0=}
- {type: olm.gvk, value: {version: v1, kind: Bulb, group: e.example}}
- {type: my.size, value: {deep: [1.0, 2e0], width: 1.5}}
- {type: olm.gvk, value: {version: v1, kind: Lamp, group: e.example}}
- {type: olm.package, value: {version: "2.0.0", packageName: lamp}}
relatedImages:
- {image: r.example/socket:2, name: socket}
- {image: r.example/bulb:2, name: bulb}
---
schema: olm.bundle
name: lamp.v1
package: lamp
image: r.example/lamp:1
properties: [{type: olm.package, value: {version: 1.0.0, packageName: lamp}}]
---
schema: olm.channel
package: lamp
name: stable
entries:
- {name: lamp.v2, skipRange: <2.0.0, skips: [lamp.v0a, lamp.v0], replaces: lamp.v1}
- {name: lamp.v1, skips: []}
---
{"schema": "olm.package", "icon": {"mediatype": "image/png", "base64data": "bGln\naHQ="},
 "description": "Lights", "defaultChannel": "stable", "name": "lamp", "properties": []}
"#;
    assert_eq!(diff(LAMP, otherwise).to_string(), "");
    assert!(diff(LAMP, otherwise).is_empty());
}

#[test]
fn what_counts_is_how_often_a_part_is_there() {
    let property = "- {type: my.size, value: {width: 1.50, deep: [1, 2]}}\n";
    let twice = shown(property, &property.repeat(2));
    assert_eq!(
        twice,
        "~ bundle lamp/lamp.v2: + property my.size {\"deep\":[1,2],\"width\":1.5}\n"
    );
    let list = shown("deep: [1, 2]", "deep: [2, 1]");
    assert!(list.contains("[1,2]"), "{list}");
    assert!(shown("deep: [1, 2]", "deep: [\"1\", 2]").contains("\"1\""));
}

#[test]
fn long_values_are_told_by_where_they_differ() {
    let long = "x".repeat(100);
    let with = |word: &str| {
        LAMP.replace(
            "width: 1.50",
            &format!("long: {long}, inner: {{word: {word}}}"),
        )
    };
    assert_eq!(
        diff(&with("a"), &with("b")).to_string(),
        "~ package lamp\n  ~ bundle lamp/lamp.v2: property my.size: inner.word\n"
    );
    let words = shown("description: Lights", &format!("description: {long}"));
    let short = "x".repeat(60);
    assert!(words.ends_with(&format!("-> \"{short}…\"\n")), "{words}");
}

#[test]
fn what_cannot_be_read_is_compared_as_it_is() {
    let broken = "eyJraW5kIjoiUm9sZSIsIm1ldGFkYXRhIjp7Im5hbWUiOiJyIn0sIm4iOjF9";
    let line = shown(broken, "bm90IGpzb246IFs=");
    assert_eq!(line.lines().count(), 2, "{line}");
    assert!(line.contains("+ object of 11 bytes"), "{line}");
    // Deprecations that cannot be read are an object as any other.
    let line = shown("message: going}", "message: [1]}");
    assert!(line.contains("~ object olm.deprecations lamp: "), "{line}");
}

#[test]
fn names_and_texts_have_no_say_over_the_terminal() {
    let image = |tag: &str| LAMP.replace("r.example/socket:2", tag);
    let diff = diff(&image("a"), &image("\"b\\e[31m\\a\""));
    assert_eq!(diff.changes.len(), 1);
    let text = diff.to_string();
    assert!(text.contains("-> b\\u{1b}[31m\\u{7}"), "{text:?}");
}

#[test]
fn what_is_kept_of_a_deep_value_can_be_read_again() {
    let deep = |levels: usize| {
        let value = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        LAMP.replace("{width: 1.50, deep: [1, 2]}", &value)
    };
    for levels in [90, 120, 200] {
        let diff = diff(&deep(levels), &deep(levels - 1));
        assert_eq!(diff.changes.len(), 1, "{levels}");
        let kept = serde_json::to_string(&diff).unwrap();
        assert_eq!(serde_json::from_str::<CatalogDiff>(&kept).unwrap(), diff);
    }
}

#[test]
fn changes_that_older_versions_noted_are_read() {
    let noted = r#"{"changes":[
        {"change":"package_added","package":"p"},
        {"change":"default_channel","package":"p","before":null,"after":"a"},
        {"change":"channel_head","package":"p","channel":"a","before":null,"after":"v2"},
        {"change":"bundle_added","package":"p","bundle":"v2"},
        {"change":"bundle_removed","package":"p","bundle":"v1"}]}"#;
    let diff: CatalogDiff = serde_json::from_str(noted).unwrap();
    assert_eq!(
        diff.to_string(),
        "+ package p\n  ~ package p: default channel none -> a\n  \
         ~ channel p/a: head none -> v2\n  + bundle p/v2\n  - bundle p/v1\n"
    );
    let unknown = noted.replace("bundle_removed", "bundle_repainted");
    assert!(serde_json::from_str::<CatalogDiff>(&unknown).is_err());
}

#[test]
fn a_property_that_comes_later_is_noted_once() {
    let kind = "olm.maxOpenShiftVersion";
    let with = |version: &str| {
        let gvk = "- {type: olm.gvk, value: {group: e.example, kind: Lamp, version: v1}}\n";
        LAMP.replace(
            gvk,
            &format!("{gvk}- {{type: {kind}, value: \"{version}\"}}\n"),
        )
    };
    let image = |text: &str| text.replace("r.example/lamp:2", "r.example/lamp:new");
    let noted = |mut diff: CatalogDiff, bundle: &str| {
        diff.note_property(bundle, kind, "\"4.8\"");
        let text = diff.to_string();
        text.lines()
            .filter(|line| line.contains(kind))
            .map(str::trim)
            .collect::<String>()
    };
    let overwritten = |before: &str| diff(before, &image(LAMP));
    assert_eq!(
        noted(overwritten(LAMP), "lamp.v2"),
        "~ bundle lamp/lamp.v2: + property olm.maxOpenShiftVersion \"4.8\""
    );
    assert_eq!(noted(overwritten(&with("4.8")), "lamp.v2"), "");
    assert_eq!(
        noted(overwritten(&with("4.9")), "lamp.v2"),
        "~ bundle lamp/lamp.v2: property olm.maxOpenShiftVersion \"4.9\" -> \"4.8\""
    );
    // Neither with a new bundle, nor of one that did not change.
    assert_eq!(noted(diff("", LAMP), "lamp.v2"), "");
    assert_eq!(noted(overwritten(LAMP), "lamp.v1"), "");
}
