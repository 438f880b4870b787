//! Runs the commands of a page as its reader would: in one shell, in a folder, with the files that the page has shown.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::blocks::{Block, root};
use crate::support::LIMIT;
use crate::support::place::Place;
use crate::support::server::NatsServer;

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
    fn ends_with(&self, code: &str) -> bool {
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

/// Runs the page and tells how many commands it has. The error says what did not come as the page has it.
pub fn run(page: &str, blocks: &[Block]) -> Result<usize, String> {
    let runs =
        |block: &Block| matches!(block.kind.as_str(), "sh" | "console") && block.no_run.is_none();
    if !blocks
        .iter()
        .any(|block| runs(block) || block.title.is_some())
    {
        return Ok(0);
    }
    let mut reader = Reader::new(page, blocks);
    for block in blocks {
        if let Some(title) = &block.title {
            reader.write(block, title)?;
        }
        if runs(block) {
            reader.check_written()?;
            for line in lines(block) {
                reader.run(&line)?;
            }
        }
    }
    reader.end()?;
    Ok(reader.count)
}

/// Who goes through a page.
struct Reader {
    page: String,
    place: Place,
    server: NatsServer,
    /// Ports of the page, and those that stand for them.
    ports: Vec<(&'static str, u16)>,
    bash: Child,
    /// How many commands there were.
    count: usize,
    /// Those that go on: their process groups, and where they stand.
    beside: Vec<(String, Line, usize)>,
    /// The files that were written and are not checked yet.
    written: BTreeMap<String, usize>,
}

impl Reader {
    fn new(page: &str, blocks: &[Block]) -> Self {
        let server = NatsServer::start();
        let place = Place::on(&server);
        std::fs::remove_file(place.dir().join(".loominal-config.json")).unwrap();
        let name = Path::new(page)
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let own = root().join("tests/it/docs/pages").join(name);
        if own.exists() {
            copy(&own, &place.dir());
        }
        if blocks
            .iter()
            .any(|block| block.no_run.is_none() && block.text.contains(" configs/"))
        {
            copy(&root().join("configs"), &place.dir().join("configs"));
            copy(&root().join("specs"), &place.dir().join("specs"));
        }
        let ports = ["8420", "3000"].map(|said| {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            (said, free.local_addr().unwrap().port())
        });
        let bash = shell(&place);
        Self {
            page: page.to_owned(),
            place,
            server,
            ports: ports.to_vec(),
            bash,
            count: 0,
            beside: Vec::new(),
            written: BTreeMap::new(),
        }
    }

    /// What the page writes, with the ports that are there.
    fn real(&self, text: &str) -> String {
        let nats = format!("127.0.0.1:{}", self.server.port());
        let mut text = text.replace("127.0.0.1:4222", &nats);
        for (said, port) in &self.ports {
            for before in [":", "="] {
                text = text.replace(&format!("{before}{said}"), &format!("{before}{port}"));
            }
        }
        text
    }

    /// What came, as the page would write it.
    fn told(&self, text: &str) -> String {
        let nats = format!("127.0.0.1:{}", self.server.port());
        let mut text = text.replace(&nats, "127.0.0.1:4222");
        for (said, port) in &self.ports {
            text = text.replace(&format!(":{port}"), &format!(":{said}"));
        }
        text.replace(&self.place.dir().display().to_string(), "/path/to")
    }

    fn fault(&self, at: usize, what: &str) -> String {
        format!("{}:{at}: {}", self.page, self.told(what))
    }

    /// Makes a file of a block. One that is written again is checked before.
    fn write(&mut self, block: &Block, title: &str) -> Result<(), String> {
        if let Some(at) = self.written.remove(title) {
            self.check(title, at)?;
        }
        self.place.write(title, &self.real(&block.text));
        if block.kind.starts_with("yaml") && block.marks.is_empty() {
            self.written.insert(title.to_owned(), block.line);
        }
        Ok(())
    }

    fn check(&self, title: &str, at: usize) -> Result<(), String> {
        let done = self.place.run(&["validate", title]);
        match done.code {
            Some(0) => Ok(()),
            _ => Err(self.fault(
                at,
                &format!("{title} is not right:\n{}{}", done.stderr, done.stdout),
            )),
        }
    }

    /// A file of the shell's folder, beside that of the page.
    fn file(&self, what: &str, count: usize) -> PathBuf {
        self.place.dir().join(format!("../{what}-{count}"))
    }

    fn run(&mut self, line: &Line) -> Result<(), String> {
        self.count += 1;
        let count = self.count;
        let goes_on = goes_on(&line.text);
        std::fs::write(self.file("line", count), self.real(&line.text)).unwrap();
        let step = if goes_on {
            format!(
                "(. ../line-{count}; echo $? >../ended-{count}) >../out-{count} 2>&1 </dev/null &\necho $! >../code-{count}.new"
            )
        } else {
            format!(
                ". ../line-{count} >../out-{count} 2>&1 </dev/null; echo $? >../code-{count}.new"
            )
        };
        // Where the page has gone with `cd`, the files of the shell stay beside the page's folder.
        let step = step.replace("../", &format!("{}/../", self.place.dir().display()));
        let done = self.file("code", count).display().to_string();
        writeln!(
            self.bash.stdin.as_mut().unwrap(),
            "{step}\nmv {done}.new {done}"
        )
        .unwrap();
        let code = self.awaited(line, "ends", |reader| reader.read("code", count))?;
        if goes_on {
            return self.begun(line, count, code.trim());
        }
        let out = self.read("out", count).unwrap_or_default();
        if !line.ends_with(code.trim()) {
            let what = format!(
                "{}\nexits {}, which is not right:\n{out}",
                line.text,
                code.trim()
            );
            return Err(self.fault(line.at, &what));
        }
        self.shown(line, &out)
    }

    /// A command that goes on has begun when it says so, or has ended.
    fn begun(&mut self, line: &Line, count: usize, group: &str) -> Result<(), String> {
        self.beside.push((
            group.to_owned(),
            Line {
                text: line.text.clone(),
                shown: line.shown.clone(),
                ..*line
            },
            count,
        ));
        self.awaited(line, "begins", |reader| {
            let out = reader.read("out", count).unwrap_or_default();
            let begun = out.contains("listening on") || out.contains("watching ");
            (begun || reader.read("ended", count).is_some()).then_some(())
        })?;
        match self.read("ended", count).map(|code| code.trim().to_owned()) {
            Some(code) if !line.ends_with(&code) => {
                let out = self.read("out", count).unwrap_or_default();
                Err(self.fault(line.at, &format!("{}\nexits {code}:\n{out}", line.text)))
            }
            _ => Ok(()),
        }
    }

    fn read(&self, what: &str, count: usize) -> Option<String> {
        let text = std::fs::read(self.file(what, count)).ok()?;
        Some(String::from_utf8_lossy(&text).into_owned())
            .filter(|text| what == "out" || !text.is_empty())
    }

    /// Waits for something of this command.
    fn awaited<T>(
        &self,
        line: &Line,
        what: &str,
        ask: impl Fn(&Self) -> Option<T>,
    ) -> Result<T, String> {
        let started = Instant::now();
        loop {
            if let Some(found) = ask(self) {
                return Ok(found);
            }
            if started.elapsed() > LIMIT {
                let out = self.read("out", self.count).unwrap_or_default();
                return Err(self.fault(
                    line.at,
                    &format!("waited too long until this {what}: {}\n{out}", line.text),
                ));
            }
            std::thread::sleep(std::time::Duration::from_millis(3));
        }
    }

    fn shown(&self, line: &Line, out: &str) -> Result<(), String> {
        let Some(shown) = &line.shown else {
            return Ok(());
        };
        let out = self.told(out);
        if alike(shown, &out) {
            return Ok(());
        }
        Err(self.fault(
            line.at,
            &format!("{}\nthe page shows:\n{shown}\nwhat came:\n{out}", line.text),
        ))
    }

    /// What went on beside has shown what the page says; the files of the page are right.
    fn end(&mut self) -> Result<(), String> {
        for (_, line, count) in &self.beside {
            let alike = |reader: &Self| {
                let out = reader.read("out", *count).unwrap_or_default();
                reader.shown(line, &out).ok()
            };
            if self.awaited(line, "shows what it should", alike).is_err() {
                self.shown(line, &self.read("out", *count).unwrap_or_default())?;
            }
        }
        self.check_written()
    }

    /// The files that the page has shown so far are right.
    fn check_written(&mut self) -> Result<(), String> {
        let written = std::mem::take(&mut self.written);
        written
            .iter()
            .try_for_each(|(title, at)| self.check(title, *at))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        for (group, _, _) in &self.beside {
            let _ = Command::new("kill")
                .args(["-KILL", "--", &format!("-{group}")])
                .stderr(Stdio::null())
                .status();
        }
        let _ = self.bash.kill();
        let _ = self.bash.wait();
    }
}

/// Whether a command stays until it is told to go.
fn goes_on(text: &str) -> bool {
    let calls = super::words::calls(text);
    calls
        .iter()
        .any(|words| matches!(words.get(1).map(String::as_str), Some("serve" | "tail")))
}

/// A shell in the page's folder that runs what comes on its input.
fn shell(place: &Place) -> Child {
    let command = place.command(&[]);
    let kept = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let program = Path::new(env!("CARGO_BIN_EXE_jacquard"))
        .parent()
        .unwrap()
        .to_path_buf();
    let old = std::env::var_os("PATH").unwrap();
    let path = std::iter::once(program).chain(std::env::split_paths(&old));
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc"])
        .current_dir(place.dir())
        .env_clear()
        .envs(kept)
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("USER", "ada")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut bash = bash.spawn().unwrap();
    // Each command beside it is a group of its own, so that what it starts goes with it.
    writeln!(bash.stdin.as_mut().unwrap(), "set -m").unwrap();
    bash
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Whether the output is what is shown, in which `…` stands for anything. Blanks at the end of lines do not count.
fn alike(shown: &str, out: &str) -> bool {
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
