//! Plot: what was measured of peers, as bars in an SVG that is legible on light and on dark pages.

use std::fmt::Write;

use super::peers::Group;
use super::report::yardstick;
use super::spread::Spread;

const WIDTH: f64 = 940.0;
/// Where the bars begin, and how long one of share 1 is.
const LEFT: f64 = 190.0;
const UNIT: f64 = 420.0;
/// Of one bar, and what is between two groups of them.
const BAR: f64 = 15.0;
const GAP: f64 = 16.0;
const TOP: f64 = 84.0;
/// Colours of the servers in their order, told apart also by who sees few colours.
const COLORS: [&str; 6] = ["#d55e00", "#7a869a", "#0072b2", "#009e73", "#cc79a7", "#b59b00"];

const STYLE: &str = "text{font:12px system-ui,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1f2328}\
    .title{font-size:16px;font-weight:600}.dim{fill:#59636e}.grid{stroke:#d1d9e0}.whisker{stroke:#1f2328}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.dim{fill:#9198a1}.grid{stroke:#3d444d}.whisker{stroke:#e6edf3}}";

/// CPU time per operation of each server in each case, as a share of the yardstick's; nothing where it was not measured.
pub fn svg(groups: &[Group]) -> String {
    let mut body = String::new();
    let mut y = TOP;
    for group in groups {
        let Some(base) = yardstick(group) else { continue };
        let bars: Vec<_> = group
            .rows
            .iter()
            .enumerate()
            .filter_map(|(place, row)| Some((place, row.share_of(base)?, row.spread(|round| round.cpu_us)?)))
            .collect();
        let middle = y + BAR * bars.len() as f64 / 2.0 + 4.0;
        let _ = writeln!(
            body,
            "<text x=\"{:.0}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 10.0,
            group.case.title()
        );
        for (place, share, cpu) in bars {
            bar(&mut body, y, COLORS[place % COLORS.len()], share, cpu);
            y += BAR;
        }
        y += GAP;
    }
    let height = y + 10.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" height=\"{height:.0}\" role=\"img\">\n\
         <title>Server CPU per operation as a share of redis</title>\n<style>{STYLE}</style>\n\
         <text class=\"title\" x=\"16\" y=\"26\">Server CPU per operation, as a share of redis (less is better)</text>\n"
    );
    legend(&mut svg, groups);
    for step in 0..=6 {
        let share = f64::from(step) * 0.25;
        let x = LEFT + UNIT * share;
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{:.0}\" x2=\"{x:.1}\" y2=\"{:.0}\"/>\
             <text class=\"dim\" x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{share:.2}</text>",
            TOP - 8.0,
            y - GAP + 6.0,
            TOP - 14.0
        );
    }
    svg.push_str(&body);
    svg.push_str("</svg>\n");
    svg
}

/// One bar with its median, a line from the lowest to the highest round, and the figures beside it.
fn bar(body: &mut String, y: f64, color: &str, share: Spread, cpu: Spread) {
    // What is far off is cut, and its figure says how far.
    let x = |share: f64| LEFT + UNIT * share.min(1.5);
    let (width, middle) = (x(share.median) - LEFT, y + BAR / 2.0);
    let _ = writeln!(
        body,
        "<rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" rx=\"2\" fill=\"{color}\"/>\
         <line class=\"whisker\" x1=\"{:.1}\" y1=\"{middle:.1}\" x2=\"{:.1}\" y2=\"{middle:.1}\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\">{:.2}<tspan class=\"dim\" dx=\"6\">{:.2} µs</tspan></text>",
        y + 1.0,
        BAR - 2.0,
        x(share.min),
        x(share.max),
        x(share.max.max(share.median)) + 6.0,
        middle + 4.0,
        share.median,
        cpu.median
    );
}

fn legend(svg: &mut String, groups: &[Group]) {
    let names = groups.first().map(|group| group.rows.iter().map(|row| row.server.as_str()));
    let mut x = 16.0;
    for (name, color) in names.into_iter().flatten().zip(COLORS.iter().cycle()) {
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.0}\" y=\"38\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{color}\"/>\
             <text x=\"{:.0}\" y=\"48\">{name}</text>",
            x + 18.0
        );
        x += 18.0 + 7.5 * name.chars().count() as f64 + 22.0;
    }
}
