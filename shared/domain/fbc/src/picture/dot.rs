//! For Graphviz.

use std::fmt::Write as _;

use super::{EdgeKind, NodeState, Picture};

impl Picture {
    /// The picture in the language of Graphviz.
    pub fn to_dot(&self) -> String {
        let mut out = format!("digraph {} {{\n", quoted(&self.package));
        out.push_str(
            "  rankdir=TB;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n",
        );
        for (at, node) in self.nodes.iter().enumerate() {
            let style = match node.state {
                NodeState::Present => "",
                NodeState::Deprecated => ", color=gray, fontcolor=gray",
                NodeState::Unreachable => ", color=red, fontcolor=red",
                NodeState::Absent => ", style=\"rounded,dashed\", fontcolor=gray",
            };
            let remark = match node.state.remark() {
                "" => String::new(),
                remark => format!("\n({remark})"),
            };
            let label = quoted(&format!("{}{remark}", node.name));
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  n{at} [label={label}{style}];");
        }
        for (at, channel) in self.channels.iter().enumerate() {
            let name = match (channel.is_default, channel.is_deprecated) {
                (true, _) => format!("{} (default)", channel.name),
                (false, true) => format!("{} (deprecated)", channel.name),
                (false, false) => channel.name.clone(),
            };
            let _ = writeln!(out, "  c{at} [label={}, shape=cds];", quoted(&name));
            if let Some(head) = channel.head {
                let _ = writeln!(out, "  c{at} -> n{head} [style=bold];");
            }
        }
        for edge in &self.edges {
            let style = match edge.kind {
                EdgeKind::Replaces => "",
                EdgeKind::Skips => ", style=dashed",
            };
            let label = quoted(&self.channel_names(edge));
            let _ = writeln!(
                out,
                "  n{} -> n{} [label={label}{style}];",
                edge.from, edge.to
            );
        }
        out.push_str("}\n");
        out
    }
}

fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('\n', "\\n"))
}
