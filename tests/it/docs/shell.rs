//! Runs the commands of a page as its reader would: in one shell, in a folder, with the files that the page has shown.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::blocks::{Block, root};
use super::lines::{Line, alike, lines};
use crate::support::LIMIT;
use crate::support::place::Place;
use crate::support::server::NatsServer;

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
            let as_shown = |reader: &Self| {
                let out = reader.read("out", *count).unwrap_or_default();
                reader.shown(line, &out).ok()
            };
            if self
                .awaited(line, "shows what it should", as_shown)
                .is_err()
            {
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
