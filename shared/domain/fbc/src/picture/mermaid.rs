//! For Mermaid, as wikis and code hosts show it.

use std::fmt::Write as _;

use super::{EdgeKind, NodeState, Picture};

impl Picture {
    /// The picture in the language of Mermaid.
    pub fn to_mermaid(&self) -> String {
        let mut out = String::from("flowchart TD\n");
        for (at, node) in self.nodes.iter().enumerate() {
            let class = match node.state {
                NodeState::Present => "",
                NodeState::Deprecated => ":::deprecated",
                NodeState::Unreachable => ":::unreachable",
                NodeState::Absent => ":::absent",
            };
            let remark = match node.state.remark() {
                "" => String::new(),
                remark => format!("<br/>({remark})"),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  n{at}[\"{}{remark}\"]{class}", escaped(&node.name));
        }
        for (at, channel) in self.channels.iter().enumerate() {
            let remark = match (channel.is_default, channel.is_deprecated) {
                (true, _) => " (default)",
                (false, true) => " (deprecated)",
                (false, false) => "",
            };
            let _ = writeln!(out, "  c{at}([\"{}{remark}\"])", escaped(&channel.name));
            if let Some(head) = channel.head {
                let _ = writeln!(out, "  c{at} ==> n{head}");
            }
        }
        for edge in &self.edges {
            let arrow = match edge.kind {
                EdgeKind::Replaces => "-->",
                EdgeKind::Skips => "-.->",
            };
            let label = escaped(&self.channel_names(edge));
            let _ = writeln!(out, "  n{} {arrow}|\"{label}\"| n{}", edge.from, edge.to);
        }
        out.push_str(
            "  classDef deprecated color:#777,stroke:#777\n  \
               classDef unreachable color:#c00,stroke:#c00\n  \
               classDef absent color:#777,stroke-dasharray:4\n",
        );
        out
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for found in text.chars() {
        match found {
            '"' | '<' | '>' | '&' | '#' | ';' => {
                let _ = write!(out, "#{};", u32::from(found));
            }
            _ => out.push(found),
        }
    }
    out
}
