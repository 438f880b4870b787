//! The commands of a block, and what it shows of their output.

use super::blocks::Block;

/// A command of a page.
#[derive(Debug)]
pub struct Line {
    /// Where it begins in the page.
    pub at: usize,
    /// The command, several lines where it goes on.
    pub text: String,
    /// What is shown of its output; nothing in a block that shows none.
    pub shown: Option<String>,
    /// How it ends. Where output is shown, that says enough.
    pub code: Option<i32>,
}

impl Line {
    /// Whether this exit code is what the page says. One of a shell that could not run it never is.
    pub fn ends_with(&self, code: &str) -> bool {
        let code: i32 = code.parse().unwrap_or(-1);
        self.code
            .map_or((0..126).contains(&code), |right| right == code)
    }
}

/// The commands of a block.
pub fn lines(block: &Block) -> Vec<Line> {
    let console = block.kind == "console";
    let mut found: Vec<Line> = Vec::new();
    let mut open = false;
    for (index, line) in block.text.lines().enumerate() {
        let command = match line.strip_prefix("$ ") {
            Some(command) if console => Some(command),
            _ if console && !open => None,
            _ => Some(line),
        };
        match (command, found.last_mut()) {
            (Some(more), Some(last)) if open => {
                last.text.push('\n');
                last.text.push_str(more);
            }
            (Some(command), _) if command.trim().is_empty() || command.starts_with('#') => continue,
            (Some(command), _) => found.push(Line {
                at: block.at(index),
                text: command.to_owned(),
                shown: console.then(String::new),
                code: (!console).then_some(0),
            }),
            (None, Some(last)) => {
                let shown = last.shown.get_or_insert_default();
                shown.push_str(line);
                shown.push('\n');
            }
            (None, None) => panic!("{block}: a `console` block begins with `$ `"),
        }
        open = found.last().is_some_and(|line| is_open(&line.text)) && command.is_some();
    }
    for line in &mut found {
        if let Some((_, code)) = line.text.rsplit_once("# exits ") {
            let code = code
                .trim()
                .parse()
                .unwrap_or_else(|_| panic!("{block}: what is `exits {code}`?"));
            line.code = Some(code);
        }
    }
    found
}

/// Whether a command goes on in the next line.
fn is_open(text: &str) -> bool {
    let here = text
        .split_once("<<")
        .map(|(_, rest)| rest.lines().next().unwrap_or_default());
    if let Some(word) = here {
        let word = word
            .split([' ', ')', '>'])
            .next()
            .unwrap_or_default()
            .trim_matches(['\'', '"', '-']);
        return text.lines().skip(1).all(|line| line != word);
    }
    text.ends_with('\\') || is_quoted(text)
}

/// Whether a quote is open at the end of a command.
fn is_quoted(text: &str) -> bool {
    let mut open = None;
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        match (open, c) {
            (None | Some('"'), '\\') => drop(chars.next()),
            (None, '\'' | '"') => open = Some(c),
            (Some(quote), c) if quote == c => open = None,
            (None, '#') if before.is_whitespace() => {
                while chars.next_if(|c| *c != '\n').is_some() {}
            }
            _ => {}
        }
        before = c;
    }
    open.is_some()
}

/// Whether the output is what is shown, in which `…` stands for anything. Blanks at the end of lines do not count.
pub fn alike(shown: &str, out: &str) -> bool {
    let plain = |text: &str| {
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n").trim().to_owned()
    };
    let (shown, out) = (plain(shown), plain(out));
    let mut parts: Vec<&str> = shown.split('…').collect();
    let (Some(last), true) = (parts.pop(), shown.contains('…')) else {
        return shown == out;
    };
    let Some(mut rest) = out.strip_prefix(parts[0]) else {
        return false;
    };
    for part in &parts[1..] {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn dots_stand_for_anything() {
    assert!(alike("a\n…\nd\n", "a \nb\nc\nd"));
    assert!(alike("id …, ok", "id 1234, ok\n"));
    assert!(alike("a", "a\n"));
    assert!(!alike("a", "a b"));
    assert!(!alike("a … c", "a b d"));
    assert!(!alike("a … b … b", "a b"));
}

#[test]
fn commands_go_over_several_lines() {
    let block = |kind: &str, text: &str| Block {
        page: "page".into(),
        line: 1,
        kind: kind.into(),
        marks: vec![],
        title: None,
        no_run: None,
        text: text.into(),
    };
    let of = |kind: &str, text: &str| {
        lines(&block(kind, text))
            .into_iter()
            .map(|l| (l.text, l.shown))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("sh", "a \\\n  b\n\n# no\nc\n").len(), 2);
    assert_eq!(of("sh", "cat <<EOF >x\na\n\nEOF\nd\n").len(), 2);
    assert_eq!(of("sh", "a \"it's\" # don't\nb '{\n  c}'\nd\n").len(), 3);
    let shown = of("console", "$ a\nb\n\nc\n$ d\n");
    assert_eq!(shown[0], ("a".to_owned(), Some("b\n\nc\n".to_owned())));
    assert_eq!(shown[1], ("d".to_owned(), Some(String::new())));
    let code = lines(&block("sh", "jacquard validate x   # exits 2\n"))[0].code;
    assert_eq!(code, Some(2));
}
