//! What the users of a traced server do, and what it refuses them: read from its log.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// The most subjects that are kept of one kind for a user; later ones are passed over.
const MAX_SUBJECTS: usize = 20_000;

/// What a user has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deeds {
    /// Where it has sent messages.
    pub published: BTreeSet<String>,
    /// Where it has listened; perhaps with wildcards.
    pub subscribed: BTreeSet<String>,
    /// What it was refused, such as `to publish to a.b`.
    pub refused: BTreeSet<String>,
    /// How many of its connections are open.
    pub open: usize,
}

/// Looks on at what the users of a server do. Copies look at the same.
#[derive(Clone)]
pub struct Lookout(Arc<Mutex<Reading>>);

/// How far the log has been read, and what it said.
#[derive(Default)]
struct Reading {
    log: PathBuf,
    offset: u64,
    /// Who has which connection, by the server's numbers.
    users: HashMap<String, String>,
    deeds: HashMap<String, Deeds>,
}

impl Lookout {
    pub(super) fn new(log: PathBuf) -> Self {
        Self(Arc::new(Mutex::new(Reading {
            log,
            ..Reading::default()
        })))
    }

    /// What a user has done so far. Reads a file.
    ///
    /// # Errors
    /// The server's log cannot be read.
    pub fn of(&self, user: &str) -> io::Result<Deeds> {
        // A panic while the lock is held leaves whole lines.
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reading.read_on()?;
        Ok(reading.deeds.get(user).cloned().unwrap_or_default())
    }
}

impl Reading {
    fn read_on(&mut self) -> io::Result<()> {
        let mut log = std::fs::File::open(&self.log)?;
        log.seek(SeekFrom::Start(self.offset))?;
        let mut log = BufReader::new(log);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = log.read_until(b'\n', &mut line)?;
            // The rest of a line that is being written comes the next time.
            if !line.ends_with(b"\n") {
                return Ok(());
            }
            self.offset += read as u64;
            self.note(String::from_utf8_lossy(&line).trim_end());
        }
    }

    /// Takes in a line such as `[TRC] 127.0.0.1:4 - cid:6 - "v1:rust:me" - "A/user:x" - <<- [PUB a.b 2]`.
    fn note(&mut self, line: &str) {
        let Some((head, rest)) = line.split_once(" - cid:") else {
            return;
        };
        let Some((number, rest)) = rest.split_once(" - ") else {
            return;
        };
        // What a message says follows the first marker, too.
        if let Some((_, said)) = rest.split_once("<<- ") {
            let Some(command) = said.strip_prefix('[') else {
                return;
            };
            let command = command.strip_suffix(']').unwrap_or(command);
            self.command(number, command);
        } else if head.contains(" [ERR] ") {
            self.error(number, rest);
        } else if rest.contains("Client connection closed")
            && let Some(user) = self.users.remove(number)
        {
            let deeds = self.deeds.entry(user).or_default();
            deeds.open = deeds.open.saturating_sub(1);
        }
    }

    fn command(&mut self, number: &str, command: &str) {
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        if verb == "CONNECT" {
            // No JSON: secrets are blotted out with their quotes.
            let login = rest.split_once("\"user\":\"");
            if let Some(user) = login.and_then(|(_, user)| user.split('"').next()) {
                self.users.insert(number.to_owned(), user.to_owned());
                self.deeds.entry(user.to_owned()).or_default().open += 1;
            }
            return;
        }
        let Some(deeds) = self.deeds_of(number) else {
            return;
        };
        let subjects = match verb {
            "PUB" | "HPUB" => &mut deeds.published,
            "SUB" => &mut deeds.subscribed,
            _ => return,
        };
        if let Some(subject) = rest.split(' ').next()
            && subjects.len() < MAX_SUBJECTS
        {
            subjects.insert(subject.to_owned());
        }
    }

    /// `Publish Violation - Subject "a.b"`, `Subscription Violation - Subject "a.b", SID 2`. Older servers name the user there.
    fn error(&mut self, number: &str, text: &str) {
        let Some((kind, what)) = text.split_once(" Violation - ") else {
            return;
        };
        let mut parts = what.split("Subject \"").skip(1);
        let mut replies = what.split("Reply \"").skip(1);
        let subject = parts.next().or_else(|| replies.next());
        let subject = subject.and_then(|s| s.split('"').next()).unwrap_or(what);
        let verb = match kind.ends_with("Subscription") {
            true => "to subscribe to",
            false => "to publish to",
        };
        let refused = format!("{verb} {subject}");
        if let Some(deeds) = self.deeds_of(number)
            && deeds.refused.len() < MAX_SUBJECTS
        {
            deeds.refused.insert(refused);
        }
    }

    fn deeds_of(&mut self, number: &str) -> Option<&mut Deeds> {
        self.deeds.get_mut(self.users.get(number)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write as _;

    /// As servers of 2.15 and 2.11 write it.
    const LOG: &str = r#"[7] 2026/01/01 00:00:00.000001 [INF] Server is ready
[7] 2026/01/01 00:00:00.000002 [DBG] 127.0.0.1:1 - cid:6 - Client connection created
[7] 2026/01/01 00:00:00.000003 [TRC] 127.0.0.1:1 - cid:6 - <<- [CONNECT {"nkey":[REDACTED],"user":"one","pass":"[REDACTED]"}]
[7] 2026/01/01 00:00:00.000004 [TRC] 127.0.0.1:1 - cid:6 - "v1:rust:me" - "A/user:one" - <<- [SUB a.* q 1]
[7] 2026/01/01 00:00:00.000005 [TRC] 127.0.0.1:1 - cid:6 - "v1:rust:me" - "A/user:one" - <<- [HPUB a.b _INBOX.x 12 40]
[7] 2026/01/01 00:00:00.000006 [TRC] 127.0.0.1:1 - cid:6 - "v1:rust:me" - "A/user:one" - <<- MSG_PAYLOAD: ["<<- no [PUB x.y 1]"]
[7] 2026/01/01 00:00:00.000007 [TRC] 127.0.0.1:1 - cid:6 - "v1:rust:me" - "A/user:one" - ->> [MSG c.d 1 2]
[7] 2026/01/01 00:00:00.000008 [ERR] 127.0.0.1:1 - cid:6 - "v1:rust:me" - "A/user:one" - Subscription Violation - Subject "other", SID 2
[7] 2026/01/01 00:00:00.000009 [ERR] 127.0.0.1:1 - cid:6 - "v1:rust:me" - Publish Violation - User "one", Subject "zz"
[7] 2026/01/01 00:00:00.000010 [TRC] 127.0.0.1:2 - cid:7 - <<- [CONNECT {"user":"two"}]
[7] 2026/01/01 00:00:00.000011 [TRC] 127.0.0.1:2 - cid:7 - "v1:rust:me" - "A/user:two" - <<- [PUB e.f 2]
"#;

    fn set(subjects: &[&str]) -> BTreeSet<String> {
        subjects.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn each_user_is_told_apart_and_half_a_line_waits() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut log = file.reopen().unwrap();
        let lookout = Lookout::new(file.path().to_owned());
        let (first, last) = LOG.split_at(LOG.len() - 8);
        log.write_all(first.as_bytes()).unwrap();
        let one = Deeds {
            published: set(&["a.b"]),
            subscribed: set(&["a.*"]),
            refused: set(&["to publish to zz", "to subscribe to other"]),
            open: 1,
        };
        assert_eq!(lookout.of("one").unwrap(), one);
        assert_eq!(lookout.of("two").unwrap().published, set(&[]));
        log.write_all(last.as_bytes()).unwrap();
        let closed = "[7] x [DBG] 127.0.0.1:1 - cid:6 - \"A/user:one\" - Client connection closed: Client Closed\n";
        log.write_all(closed.as_bytes()).unwrap();
        assert_eq!(lookout.of("two").unwrap().published, set(&["e.f"]));
        assert_eq!(lookout.of("one").unwrap(), Deeds { open: 0, ..one });
        assert_eq!(lookout.of("nobody").unwrap(), Deeds::default());
    }
}
