//! A package with all there is to tell apart.

use super::{EdgeKind, NodeState, Picture};
use crate::{Catalog, read_text};

/// `stable` (default): 1.2.0 over 1.0.0, skipping the absent 1.1.0; `old`: 1.0.0, deprecated;
/// 0.9.0 is in `old` and nothing leads to it.
const CATALOG: &str = r#"
{"schema": "olm.package", "name": "p<&>", "defaultChannel": "stable"}
{"schema": "olm.channel", "package": "p<&>", "name": "stable", "entries": [
  {"name": "p.v1.2.0", "replaces": "p.v1.0.0", "skips": ["p.v1.1.0"]}, {"name": "p.v1.0.0"}]}
{"schema": "olm.channel", "package": "p<&>", "name": "old", "entries": [
  {"name": "p.v1.0.0"}, {"name": "p.v0.9.0", "replaces": "p.v0.9.0"}]}
{"schema": "olm.bundle", "package": "p<&>", "name": "p.v1.2.0", "image": "i",
  "properties": [{"type": "olm.package", "value": {"packageName": "p", "version": "1.2.0"}}]}
{"schema": "olm.bundle", "package": "p<&>", "name": "p.v1.0.0", "image": "i"}
{"schema": "olm.bundle", "package": "p<&>", "name": "p.v0.9.0", "image": "i"}
{"schema": "olm.deprecations", "package": "p<&>", "entries": [
  {"reference": {"schema": "olm.bundle", "name": "p.v1.0.0"}, "message": "old"},
  {"reference": {"schema": "olm.channel", "name": "old"}, "message": "old"}]}
"#;

fn picture() -> Picture {
    let mut catalog = Catalog::default();
    read_text(CATALOG, &mut catalog).unwrap();
    assert_eq!(Picture::of(&catalog, "nothing"), None);
    Picture::of(&catalog, "p<&>").unwrap()
}

#[test]
fn bundles_are_told_apart() {
    let picture = picture();
    let nodes: Vec<(&str, NodeState)> = picture
        .nodes
        .iter()
        .map(|node| (node.name.as_str(), node.state))
        .collect();
    assert_eq!(
        nodes,
        [
            ("p.v1.2.0", NodeState::Present),
            ("p.v1.1.0", NodeState::Absent),
            ("p.v1.0.0", NodeState::Deprecated),
            ("p.v0.9.0", NodeState::Unreachable),
        ]
    );
    let heads: Vec<_> = picture
        .channels
        .iter()
        .map(|channel| channel.head)
        .collect();
    assert_eq!(heads, [Some(2), Some(0)]);
    let edges: Vec<_> = picture
        .edges
        .iter()
        .map(|edge| (edge.from, edge.to, edge.kind))
        .collect();
    assert_eq!(
        edges,
        [
            (0, 1, EdgeKind::Skips),
            (0, 2, EdgeKind::Replaces),
            (3, 3, EdgeKind::Replaces)
        ]
    );
}

#[test]
fn every_language_has_nodes_heads_and_edges() {
    let picture = picture();
    let dot = picture.to_dot();
    for part in [
        "digraph \"p<&>\" {",
        "n1 [label=\"p.v1.1.0\\n(absent)\", style=\"rounded,dashed\", fontcolor=gray];",
        "c1 [label=\"stable (default)\", shape=cds];",
        "c0 -> n2 [style=bold];",
        "n0 -> n1 [label=\"stable\", style=dashed];",
        "n0 -> n2 [label=\"stable\"];",
    ] {
        assert!(dot.contains(part), "no {part} in {dot}");
    }
    let mermaid = picture.to_mermaid();
    for part in [
        "flowchart TD\n",
        "n2[\"p.v1.0.0<br/>(deprecated)\"]:::deprecated",
        "c0([\"old (deprecated)\"])",
        "c1 ==> n0",
        "n0 -.->|\"stable\"| n1",
        "n0 -->|\"stable\"| n2",
    ] {
        assert!(mermaid.contains(part), "no {part} in {mermaid}");
    }
    let svg = picture.to_svg();
    for part in [
        "<title>Upgrade graph of p&lt;&amp;&gt;</title>",
        "head of stable",
        "head of old; deprecated",
        "unreachable",
        "stroke-dasharray",
    ] {
        assert!(svg.contains(part), "no {part} in {svg}");
    }
    assert_eq!(svg, picture.to_svg());
}

#[test]
fn a_picture_is_read_as_it_is_written() {
    let picture = picture();
    let text = serde_json::to_string(&picture).unwrap();
    assert!(
        text.contains(
            r#"{"name":"old","is_default":false,"is_deprecated":true,"head":2,"nodes":[2,3]}"#
        ),
        "{text}"
    );
    assert!(text.contains(r#"{"name":"p.v0.9.0","state":"unreachable"}"#));
    assert!(text.contains(r#"{"from":0,"to":1,"kind":"skips","channels":[1]}"#));
    assert_eq!(serde_json::from_str::<Picture>(&text).unwrap(), picture);
}
