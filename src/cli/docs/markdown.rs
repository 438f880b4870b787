//! Markdown, as far as reference pages need it.

use std::fmt::Write as _;

/// A page that is being written.
#[derive(Debug, Default)]
pub struct Markdown(String);

impl Markdown {
    /// A page with its title, and a note that it is made by the program.
    pub fn page(title: &str, made_by: &str) -> Self {
        let mut page = Self::default();
        page.line(&format!(
            "<!-- Written by `{made_by}`. Change what it is made of, not this page. -->"
        ));
        page.heading(1, title);
        page
    }

    /// A heading.
    pub fn heading(&mut self, level: usize, text: &str) {
        self.line(&format!("{} {text}", "#".repeat(level)));
    }

    /// A block of text of its own; nothing where it is blank.
    pub fn line(&mut self, text: &str) {
        let text = text.trim();
        if !text.is_empty() {
            let _ = write!(self.0, "{text}\n\n");
        }
    }

    /// A list.
    pub fn list(&mut self, items: &[String]) {
        self.line(
            &items
                .iter()
                .map(|item| format!("- {item}\n"))
                .collect::<String>(),
        );
    }

    /// A table; nothing where it has no rows. Cells are Markdown already; see [`cell`].
    pub fn table<const N: usize>(&mut self, head: [&str; N], rows: &[[String; N]]) {
        if rows.is_empty() {
            return;
        }
        let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(N));
        for row in rows {
            let _ = writeln!(text, "| {} |", row.each_ref().map(|c| cell(c)).join(" | "));
        }
        self.line(&text);
    }

    /// A block of code.
    pub fn code(&mut self, language: &str, text: &str) {
        let fence = fence(text);
        self.line(&format!(
            "{fence}{language}\n{}\n{fence}",
            text.trim_end_matches('\n')
        ));
    }

    /// The whole text.
    pub fn finish(self) -> String {
        format!("{}\n", self.0.trim_end())
    }
}

/// A fence longer than any in the text.
fn fence(text: &str) -> String {
    let longest = text
        .lines()
        .map(|line| line.trim_start())
        .map(|line| line.len() - line.trim_start_matches('`').len())
        .max()
        .unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

/// A text in a cell of a table: one line, and no bar ends the cell.
fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut shown = String::with_capacity(line.len());
    let mut before = None;
    for c in line.chars() {
        if c == '|' && before != Some('\\') {
            shown.push('\\');
        }
        shown.push(c);
        before = Some(c);
    }
    shown
}

/// A text as code, whatever is in it.
pub fn code(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let ticks = "`".repeat(longest + 1);
    // A backtick at an edge would be taken for a part of the mark.
    let pad = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{ticks}{pad}{text}{pad}{ticks}")
}

/// A text that is not Markdown: what would be read as HTML or emphasis stands as it is. Code in backticks stays.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let in_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    for (index, part) in text.split('`').enumerate() {
        if index > 0 {
            shown.push('`');
        }
        if index % 2 == 1 {
            shown.push_str(part);
            continue;
        }
        let mut before = None;
        let mut letters = part.chars().peekable();
        while let Some(c) = letters.next() {
            // Inside of a word it is no emphasis.
            let bare = c == '_' && (in_word(before) && in_word(letters.peek().copied()));
            if matches!(c, '<' | '*' | '_' | '[' | '\\') && !bare {
                shown.push('\\');
            }
            shown.push(c);
            before = Some(c);
        }
    }
    shown
}

/// The same as a sentence: with a stop at its end.
pub fn sentence(text: &str) -> String {
    let text = plain(text.trim());
    let stop = if text.is_empty() || text.ends_with(['.', '!', '?', ':']) {
        ""
    } else {
        "."
    };
    format!("{text}{stop}")
}

/// The first sentence of a text.
pub fn first_sentence(text: &str) -> &str {
    let text = text.trim();
    let ends = text.match_indices([' ', '\n']).map(|(at, _)| at);
    let end = ends
        .into_iter()
        .find(|at| text[..*at].ends_with(['.', '!', '?']));
    text[..end.unwrap_or(text.len())].trim()
}

/// The address of a heading in its page, as the usual renderers make it.
pub fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// A link to a heading of this page.
pub fn to_heading(text: &str, heading: &str) -> String {
    format!("[{text}](#{})", anchor(heading))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_breaks_a_table() {
        let mut page = Markdown::default();
        let rows = [[
            code("a | b"),
            plain("one\ntwo <b> *c* a_b _c_ `d_*e`"),
            "x\\|y".to_owned(),
        ]];
        page.table(["a", "b", "c"], &rows);
        page.table(["a"], &[]);
        assert_eq!(
            page.finish(),
            "| a | b | c |\n|---|---|---|\n| `a \\| b` | one two \\<b> \\*c\\* a_b \\_c\\_ `d_*e` | x\\|y |\n"
        );
    }

    #[test]
    fn code_is_fenced_by_more_than_it_holds() {
        assert_eq!(code("a `b`"), "`` a `b` ``");
        let mut page = Markdown::default();
        page.code("md", "```\nx\n```\n");
        assert_eq!(page.finish(), "````md\n```\nx\n```\n````\n");
    }

    #[test]
    fn sentences_and_anchors() {
        assert_eq!(
            first_sentence("Reads v1.2 of it. Then more."),
            "Reads v1.2 of it."
        );
        assert_eq!(first_sentence("No end"), "No end");
        assert_eq!(
            anchor("`tools.NAME.reply` and more"),
            "toolsnamereply-and-more"
        );
    }
}
