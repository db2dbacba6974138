//! Picture: a terminal's screen as an SVG, with its colours.

use std::fmt::Write;

use vt100::{Cell, Color, Screen};

const CELL_WIDTH: f32 = 8.4;
const LINE_HEIGHT: u16 = 18;
const MARGIN: u16 = 14;
const BACKGROUND: &str = "#1d2129";
const FOREGROUND: &str = "#d8dee9";
/// The colours that programs ask for by number.
const PALETTE: [&str; 8] =
    ["#4c566a", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d8dee9"];

/// How a run of cells looks.
#[derive(Clone, Copy, PartialEq)]
struct Look {
    color: Color,
    bold: bool,
    dim: bool,
}

/// The screen down to its last row with text, and the cursor as a block.
pub fn svg(screen: &Screen) -> String {
    let (rows, columns) = (screen.size().0.get(), screen.size().1.get());
    let is_used =
        |row: &u16| (0..columns).any(|column| cell(screen, *row, column).is_some_and(Cell::has_contents));
    let cursor = screen.cursor_position();
    let used = (0..rows).rev().find(is_used).unwrap_or(0).max(cursor.0) + 1;
    let width = CELL_WIDTH.mul_add(f32::from(columns), f32::from(2 * MARGIN));
    let height = used * LINE_HEIGHT + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height}\" width=\"{width:.0}\" height=\"{height}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n\
         <g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"14\" fill=\"{FOREGROUND}\" \
         xml:space=\"preserve\">\n"
    );
    if !screen.hide_cursor() {
        let (x, y) = (x(cursor.1), cursor.0 * LINE_HEIGHT + MARGIN);
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y}\" width=\"{CELL_WIDTH}\" height=\"{LINE_HEIGHT}\" fill=\"{}\"/>",
            PALETTE[0]
        );
    }
    for row in 0..used {
        let mut column = 0;
        while column < columns {
            let (look, end) = (look(screen, row, column), run_end(screen, row, column, columns));
            put(&mut svg, &text(screen, row, column, end), row, column, look);
            column = end;
        }
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

fn put(svg: &mut String, text: &str, row: u16, column: u16, look: Look) {
    let text = text.trim_end();
    let lead = text.len() - text.trim_start().len();
    if text.is_empty() {
        return;
    }
    let column = column + u16::try_from(lead).unwrap_or(0);
    let color = match look.color {
        Color::Default => String::new(),
        Color::Idx(index) => format!(" fill=\"{}\"", PALETTE[usize::from(index % 8)]),
        Color::Rgb(red, green, blue) => format!(" fill=\"#{red:02x}{green:02x}{blue:02x}\""),
    };
    let bold = if look.bold { " font-weight=\"bold\"" } else { "" };
    let dim = if look.dim { " opacity=\"0.55\"" } else { "" };
    let (x, y) = (x(column), row * LINE_HEIGHT + MARGIN + 13);
    let text = text.trim_start();
    let length = CELL_WIDTH * text.chars().map(|_| 1.0).sum::<f32>();
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y}\" textLength=\"{length:.1}\"{color}{bold}{dim}>{text}</text>"
    );
}

fn x(column: u16) -> f32 {
    CELL_WIDTH.mul_add(f32::from(column), f32::from(MARGIN))
}

fn cell(screen: &Screen, row: u16, column: u16) -> Option<&Cell> {
    screen.cell(row, column)
}

fn look(screen: &Screen, row: u16, column: u16) -> Look {
    let cell = cell(screen, row, column);
    let color = cell.map_or(Color::Default, Cell::fgcolor);
    Look { color, bold: cell.is_some_and(Cell::bold), dim: cell.is_some_and(Cell::dim) }
}

/// Where the cells end that look like this one.
fn run_end(screen: &Screen, row: u16, column: u16, columns: u16) -> u16 {
    let first = look(screen, row, column);
    (column..columns).find(|at| look(screen, row, *at) != first).unwrap_or(columns)
}

fn text(screen: &Screen, row: u16, begin: u16, end: u16) -> String {
    let cells = (begin..end).filter_map(|column| cell(screen, row, column));
    cells.map(|cell| if cell.has_contents() { cell.contents() } else { " " }).collect()
}
