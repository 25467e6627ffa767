//! A picture by itself: a row for each bundle, a line for each channel.

use std::fmt::Write as _;

use super::{EdgeKind, NodeState, Picture};

const ROW: usize = 26;
const LANE: usize = 34;
const LEFT: usize = 24;
/// Width of a letter, about.
const LETTER: usize = 8;

/// Told apart by people who see colours differently, too (Okabe and Ito).
const COLOURS: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555",
];

impl Picture {
    /// The picture as SVG.
    pub fn to_svg(&self) -> String {
        let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or_default();
        let channel_letters = longest(
            &mut self
                .channels
                .iter()
                .map(|channel| channel.name.chars().count() + 10),
        );
        let node_letters = longest(&mut self.nodes.iter().map(|node| node.name.chars().count()));
        let top = 50 + channel_letters * LETTER * 3 / 4;
        let labels = LEFT + self.channels.len() * LANE + 4;
        let width = labels + (node_letters + 40) * LETTER;
        let height = top + (self.nodes.len() + 3) * ROW;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
             <title>Upgrade graph of {0}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"{LEFT}\" y=\"26\" font-size=\"17\" font-weight=\"bold\">{0}</text>\n",
            escaped(&self.package)
        );
        let y = |row: usize| top + row * ROW;
        for row in (0..self.nodes.len()).step_by(2) {
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "<rect x=\"0\" y=\"{}\" width=\"{width}\" height=\"{ROW}\" fill=\"#f5f5f5\"/>",
                y(row) - ROW / 2
            );
        }
        for lane in 0..self.channels.len() {
            self.draw_lane(&mut out, lane, top);
        }
        for (row, node) in self.nodes.iter().enumerate() {
            let (style, line) = match node.state {
                NodeState::Present => ("fill=\"#111\"", ""),
                NodeState::Deprecated => ("fill=\"#777\"", " text-decoration=\"line-through\""),
                NodeState::Unreachable => ("fill=\"#c00\"", ""),
                NodeState::Absent => ("fill=\"#777\" font-style=\"italic\"", ""),
            };
            let mut remarks: Vec<String> = Vec::new();
            let heads = self.headed_by(row);
            if !heads.is_empty() {
                remarks.push(format!("head of {}", heads.join(", ")));
            }
            if !node.state.remark().is_empty() {
                remarks.push(node.state.remark().to_owned());
            }
            let _ = writeln!(
                out,
                "<text x=\"{labels}\" y=\"{}\" {style}><tspan{line}>{}</tspan>\
                 <tspan dx=\"10\" fill=\"#777\" font-size=\"11\">{}</tspan></text>",
                y(row) + 5,
                escaped(&node.name),
                escaped(&remarks.join("; "))
            );
        }
        let legend = y(self.nodes.len() + 1);
        let _ = writeln!(
            out,
            "<g font-size=\"11\" fill=\"#555\" stroke=\"none\">\
             <path d=\"M{LEFT} {legend}h30\" stroke=\"#555\" stroke-width=\"3\"/>\
             <text x=\"{0}\" y=\"{1}\">replaces</text>\
             <path d=\"M{2} {legend}h30\" stroke=\"#555\" stroke-width=\"2\" stroke-dasharray=\"4 3\"/>\
             <text x=\"{3}\" y=\"{1}\">skips</text></g>",
            LEFT + 38,
            legend + 4,
            LEFT + 110,
            LEFT + 148
        );
        out.push_str("</svg>\n");
        out
    }

    /// A channel: its name on top, edges, and a dot for each of its nodes.
    fn draw_lane(&self, out: &mut String, lane: usize, top: usize) {
        let Some(channel) = self.channels.get(lane) else {
            return;
        };
        let colour = COLOURS
            .get(lane % COLOURS.len())
            .copied()
            .unwrap_or("#555555");
        let x = LEFT + lane * LANE;
        let y = |row: usize| top + row * ROW;
        let (weight, remark) = match (channel.is_default, channel.is_deprecated) {
            (true, _) => ("bold", " (default)"),
            (false, true) => ("normal", " (deprecated)"),
            (false, false) => ("normal", ""),
        };
        let _ = writeln!(
            out,
            "<text transform=\"translate({} {}) rotate(-45)\" fill=\"{colour}\" \
             font-weight=\"{weight}\">{}{remark}</text>",
            x + 4,
            top - 16,
            escaped(&channel.name)
        );
        for edge in self
            .edges
            .iter()
            .filter(|edge| edge.channels.contains(&lane))
        {
            let (from, to) = (edge.from.min(edge.to), edge.from.max(edge.to));
            let passes = channel.nodes.iter().any(|row| from < *row && *row < to);
            let (style, bend) = match edge.kind {
                EdgeKind::Replaces => ("stroke-width=\"3\"", -12),
                EdgeKind::Skips => ("stroke-width=\"2\" stroke-dasharray=\"4 3\"", 14),
            };
            // Around what is between, and beside the chain for what is skipped.
            let path = if passes || edge.kind == EdgeKind::Skips {
                let middle = i64::try_from(x).unwrap_or(0) + bend;
                format!(
                    "M{x} {}C{middle} {} {middle} {} {x} {}",
                    y(from),
                    y(from) + 8,
                    y(to) - 8,
                    y(to)
                )
            } else {
                format!("M{x} {}V{}", y(from), y(to))
            };
            let _ = writeln!(
                out,
                "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" {style}/>"
            );
        }
        for row in &channel.nodes {
            let absent = self
                .nodes
                .get(*row)
                .is_some_and(|node| node.state == NodeState::Absent);
            let (radius, fill) = match (channel.head == Some(*row), absent) {
                (true, _) => (8, colour),
                (false, true) => (4, "#fff"),
                (false, false) => (5, colour),
            };
            let _ = writeln!(
                out,
                "<circle cx=\"{x}\" cy=\"{}\" r=\"{radius}\" fill=\"{fill}\" stroke=\"{colour}\" \
                 stroke-width=\"2\"/>",
                y(*row)
            );
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
