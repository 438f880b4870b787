//! What is wrong, as people read it.

use std::fmt::Write as _;

use similar::{ChangeTag, TextDiff};

use super::expect::Wrong;

/// The most lines that are shown of one difference.
const MAX_LINES: usize = 60;
/// Lines around a change.
const CONTEXT: usize = 3;

/// The lines of what is wrong, indented.
pub(super) fn render(wrong: &Wrong, color: bool) -> String {
    let mut lines = vec![format!("{}:", wrong.what)];
    match &wrong.expected {
        None => lines.extend(wrong.came.lines().map(str::to_owned)),
        Some(expected) if expected.lines().count() > 1 && wrong.came.lines().count() > 1 => {
            lines.extend(changes(expected, &wrong.came, color));
        }
        Some(expected) => {
            lines.extend(marked("-", "expected", expected, color));
            lines.extend(marked("+", "came", &wrong.came, color));
        }
    }
    if lines.len() > MAX_LINES {
        let more = lines.len() - MAX_LINES;
        lines.truncate(MAX_LINES);
        lines.push(format!("… and {more} more lines"));
    }
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let indent = if index == 0 { "  " } else { "    " };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{indent}{line}");
    }
    text
}

fn marked(mark: &str, name: &str, text: &str, color: bool) -> Vec<String> {
    if text.lines().count() <= 1 {
        let name = format!("{name}:");
        return vec![paint(&format!("{mark} {name:<9} {text}"), mark, color)];
    }
    let first = paint(&format!("{mark} {name}:"), mark, color);
    let rest = text
        .lines()
        .map(|line| paint(&format!("{mark}   {line}"), mark, color));
    std::iter::once(first).chain(rest).collect()
}

fn changes(expected: &str, came: &str, color: bool) -> Vec<String> {
    let diff = TextDiff::from_lines(expected, came);
    let mut lines = vec![paint("- expected", "-", color), paint("+ came", "+", color)];
    for (index, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if index > 0 {
            lines.push("…".to_owned());
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let mark = match change.tag() {
                ChangeTag::Delete => "-",
                ChangeTag::Insert => "+",
                ChangeTag::Equal => " ",
            };
            let line = change.value().trim_end_matches('\n');
            lines.push(paint(&format!("{mark} {line}"), mark, color));
        }
    }
    lines
}

fn paint(line: &str, mark: &str, color: bool) -> String {
    match mark {
        "-" if color => format!("\u{1b}[31m{line}\u{1b}[0m"),
        "+" if color => format!("\u{1b}[32m{line}\u{1b}[0m"),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(expected: &str, came: &str) -> String {
        let wrong = Wrong {
            what: "the text".into(),
            expected: Some(expected.into()),
            came: came.into(),
        };
        render(&wrong, false)
    }

    #[test]
    fn short_texts_stand_below_each_other_and_long_ones_are_compared() {
        assert_eq!(
            shown("one", "two"),
            "  the text:\n    - expected: one\n    + came:     two\n"
        );
        assert_eq!(
            shown("a\nb\nc", "a\nx\nc"),
            "  the text:\n    - expected\n    + came\n      a\n    - b\n    + x\n      c\n"
        );
        let long = "line\n".repeat(200);
        let text = shown("one", &long);
        assert!(
            text.contains("more lines") && text.lines().count() < 70,
            "{text}"
        );
    }
}
