//! The server's folder: what lies in it, and reading and writing that safely.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::{Deserialize, Serialize};

use super::error::{Error, ErrorKind};

/// The most bytes read from a small file of the folder.
const MAX_SMALL: u64 = 64 * 1024;

/// The secret that clients of the server present. Debug hides it, and there is no Display.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token(String);

impl Token {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// What the starter writes down before it starts a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The server's `server_name`, new for each start: an INFO with it comes from that very process.
    pub(super) instance: String,
    /// The executable that was started; it can also send signals.
    pub(super) binary: PathBuf,
}

/// The folder and the paths in it.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    dir: PathBuf,
}

impl Folder {
    /// The folder, made if needed and closed to other users.
    pub(super) fn create(dir: &Path) -> Result<Self, Error> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .create(dir)
            .map_err(|e| Error::io("create the folder", dir, e))?;
        #[cfg(unix)]
        fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .map_err(|e| Error::io("close to other users the folder", dir, e))?;
        Ok(Self::at(dir))
    }

    /// The folder, which need not exist.
    pub(super) fn at(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Exclusive while somebody starts, stops or looks at the server. Taken before any other lock.
    pub(super) fn start_lock(&self) -> PathBuf {
        self.dir.join("start.lock")
    }

    /// Shared by each process that uses the server, while it lives.
    pub(super) fn users_lock(&self) -> PathBuf {
        self.dir.join("users.lock")
    }

    /// Exclusive while a supervisor lives.
    pub(super) fn supervisor_lock(&self) -> PathBuf {
        self.dir.join("supervisor.lock")
    }

    /// Exclusive while the server process lives: it inherits the open file (Unix).
    #[cfg(unix)]
    pub(super) fn server_lock(&self) -> PathBuf {
        self.dir.join("server.lock")
    }

    /// Its presence keeps the server running without users.
    pub(super) fn keep_marker(&self) -> PathBuf {
        self.dir.join("keep")
    }

    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("nats.conf")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("nats-server.log")
    }

    /// What the server says before its log is open, or when it crashes.
    pub(super) fn stderr(&self) -> PathBuf {
        self.dir.join("nats-server.err")
    }

    /// What the last supervisor had to complain about.
    pub(super) fn supervisor_stderr(&self) -> PathBuf {
        self.dir.join("supervisor.err")
    }

    pub(super) fn store(&self) -> PathBuf {
        self.dir.join("store")
    }

    pub(super) fn pid_file(&self) -> PathBuf {
        self.dir.join("nats-server.pid")
    }

    /// A file for a child's stderr, empty at each start: it gets only what cannot be in a log.
    pub(super) fn error_output(&self, path: &Path) -> Result<Stdio, Error> {
        write_private(path, b"")?;
        OpenOptions::new()
            .append(true)
            .open(path)
            .map(Stdio::from)
            .map_err(|e| Error::io("open", path, e))
    }

    fn token_file(&self) -> PathBuf {
        self.dir.join("token")
    }

    fn port_file(&self) -> PathBuf {
        self.dir.join("port")
    }

    fn record_file(&self) -> PathBuf {
        self.dir.join("server.json")
    }

    /// The token in the folder, or a new one. `known` is what a running gateway holds: it is put back if the file is
    /// gone, so that those who are connected can come back.
    pub(super) fn token(&self, known: Option<&Token>) -> Result<Token, Error> {
        let path = self.token_file();
        if let Some(text) = read_small(&path)? {
            let text = text.trim();
            if is_token(text) {
                return Ok(Token(text.to_owned()));
            }
        }
        let token = match known {
            Some(token) => token.clone(),
            None => Token(random_hex::<32>()?),
        };
        write_private(&path, token.as_str().as_bytes())?;
        Ok(token)
    }

    /// The token in the folder if there is one.
    pub(super) fn existing_token(&self) -> Result<Option<Token>, Error> {
        let text = read_small(&self.token_file())?;
        Ok(text
            .map(|text| text.trim().to_owned())
            .filter(|text| is_token(text))
            .map(Token))
    }

    /// The port of the last server, so that its clients find the next one.
    pub(super) fn last_port(&self) -> Result<Option<u16>, Error> {
        let text = read_small(&self.port_file())?;
        Ok(text
            .and_then(|text| text.trim().parse().ok())
            .filter(|port| *port != 0))
    }

    pub(super) fn write_port(&self, port: u16) -> Result<(), Error> {
        write_private(&self.port_file(), port.to_string().as_bytes())
    }

    /// What was written down at the last start; unreadable counts as absent.
    pub(super) fn record(&self) -> Result<Option<Record>, Error> {
        let text = read_small(&self.record_file())?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    pub(super) fn write_record(&self, record: &Record) -> Result<(), Error> {
        let path = self.record_file();
        let text = serde_json::to_vec(record).map_err(|error| {
            Error::with_source(
                ErrorKind::Io,
                format!("cannot write {}", path.display()),
                error,
            )
        })?;
        write_private(&path, &text)
    }

    /// The pid that the server wrote.
    pub(super) fn pid(&self) -> Result<Option<u32>, Error> {
        let text = read_small(&self.pid_file())?;
        Ok(text
            .and_then(|text| text.trim().parse().ok())
            .filter(|pid| *pid > 1))
    }

    /// The ports files in the folder, as (pid, client port). nats-server names them `<program>_<pid>.ports` and writes
    /// `{"nats":["nats://127.0.0.1:PORT"]}` (stack notes, section 5).
    pub(super) fn ports(&self) -> Result<Vec<(u32, u16)>, Error> {
        let mut found = Vec::new();
        for path in self.ports_files()? {
            let pid = path
                .file_stem()
                .and_then(|stem| stem.to_str()?.rsplit_once('_')?.1.parse().ok());
            let port = read_small(&path)?.and_then(|text| parse_ports(&text));
            if let (Some(pid), Some(port)) = (pid, port) {
                found.push((pid, port));
            }
        }
        Ok(found)
    }

    /// Removes what a server that is gone left behind.
    pub(super) fn clear_traces(&self) -> Result<(), Error> {
        for path in self.ports_files()?.into_iter().chain([self.pid_file()]) {
            remove(&path)?;
        }
        Ok(())
    }

    fn ports_files(&self) -> Result<Vec<PathBuf>, Error> {
        let entries = fs::read_dir(&self.dir).map_err(|e| Error::io("list", &self.dir, e))?;
        Ok(entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ext| ext == "ports"))
            .collect())
    }
}

/// Removes a file; that there is none is fine.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// Writes a file that only its owner can read, whole or not at all.
pub(super) fn write_private(path: &Path, content: &[u8]) -> Result<(), Error> {
    let temp = path.with_extension("tmp");
    let write = || {
        // A leftover with other permissions must not be written into.
        match fs::remove_file(&temp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&temp)?.write_all(content)?;
        fs::rename(&temp, path)
    };
    write().map_err(|error| Error::io("write", path, error))
}

/// The end of a text file, from byte `from` on and at most `limit` bytes; empty if it cannot be read.
pub(super) fn tail(path: &Path, from: u64, limit: u64) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = fs::File::open(path)?;
        let length = file.metadata()?.len();
        // A file that is shorter than before was rotated: all of it is new.
        let from = if length < from { 0 } else { from };
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(limit))))?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_or_else(
        |_| String::new(),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}

/// Bytes of the files in a folder and below it. After `max_files` it stops counting; what cannot be read counts 0.
pub(super) fn size_within(folder: &Path, max_files: usize) -> u64 {
    let mut pending = vec![folder.to_owned()];
    let (mut files, mut bytes) = (0, 0_u64);
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            files += 1;
            if files > max_files {
                return bytes;
            }
            if meta.is_dir() {
                pending.push(entry.path());
            } else {
                bytes = bytes.saturating_add(meta.len());
            }
        }
    }
    bytes
}

/// `N` bytes of the system's secure randomness, in hex.
pub(super) fn random_hex<const N: usize>() -> Result<String, Error> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::with_source(ErrorKind::Io, "the system gives no random bytes", error)
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn is_token(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn parse_ports(text: &str) -> Option<u16> {
    #[derive(Deserialize)]
    struct Ports {
        nats: Vec<String>,
    }
    let ports: Ports = serde_json::from_str(text).ok()?;
    ports
        .nats
        .iter()
        .find_map(|url| url.strip_prefix("nats://127.0.0.1:")?.parse().ok())
}

/// The content of a small file, `None` if there is none. What is not UTF-8 is replaced.
fn read_small(path: &Path) -> Result<Option<String>, Error> {
    let read = || -> io::Result<String> {
        let mut bytes = Vec::new();
        fs::File::open(path)?
            .take(MAX_SMALL)
            .read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::create(&temp.path().join("a/b")).unwrap();
        (temp, folder)
    }

    #[test]
    fn the_token_is_made_once_and_hidden() {
        let (_temp, folder) = folder();
        assert!(folder.existing_token().unwrap().is_none());
        let token = folder.token(None).unwrap();
        assert_eq!(folder.token(None).unwrap(), token);
        assert_eq!(folder.existing_token().unwrap(), Some(token.clone()));
        assert!(!format!("{token:?}").contains(token.as_str()));
        fs::remove_file(folder.token_file()).unwrap();
        assert_eq!(folder.token(Some(&token)).unwrap(), token, "put back");
        fs::write(folder.token_file(), "short").unwrap();
        assert_ne!(
            folder.token(None).unwrap(),
            token,
            "a broken one is replaced"
        );
    }

    #[cfg(unix)]
    #[test]
    fn others_are_kept_out() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_temp, folder) = folder();
        fs::set_permissions(folder.dir(), fs::Permissions::from_mode(0o755)).unwrap();
        Folder::create(folder.dir()).unwrap();
        folder.token(None).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.dir()), 0o700);
        assert_eq!(mode(&folder.token_file()), 0o600);
    }

    #[test]
    fn ports_files_are_read_and_junk_is_ignored() {
        let (_temp, folder) = folder();
        let write = |name: &str, text: &str| fs::write(folder.dir().join(name), text).unwrap();
        write(
            "nats-server_12.ports",
            r#"{"nats":["nats://127.0.0.1:4000"]}"#,
        );
        write(
            "nats-server-2.11_13.ports",
            r#"{"nats":["nats://127.0.0.1:4001"],"x":1}"#,
        );
        write("nats-server_14.ports", "");
        write(
            "nats-server_15.ports",
            r#"{"nats":["nats://127.0.0.1:99999"]}"#,
        );
        write("nats-server.ports", r#"{"nats":["nats://127.0.0.1:4000"]}"#);
        let mut ports = folder.ports().unwrap();
        ports.sort_unstable();
        assert_eq!(ports, [(12, 4000), (13, 4001)]);
        folder.clear_traces().unwrap();
        assert!(folder.ports().unwrap().is_empty());
    }

    #[test]
    fn small_numbers_are_read_with_care() {
        let (_temp, folder) = folder();
        assert_eq!(folder.last_port().unwrap(), None);
        folder.write_port(4222).unwrap();
        assert_eq!(folder.last_port().unwrap(), Some(4222));
        for (text, pid) in [
            ("17\n", Some(17)),
            ("0", None),
            ("1", None),
            ("-5", None),
            ("", None),
        ] {
            fs::write(folder.pid_file(), text).unwrap();
            assert_eq!(folder.pid().unwrap(), pid, "{text:?}");
        }
    }

    #[test]
    fn the_tail_starts_where_asked_or_at_the_start_of_a_rotated_file() {
        let (_temp, folder) = folder();
        fs::write(folder.log(), "old\nnew\n").unwrap();
        assert_eq!(tail(&folder.log(), 4, 100), "new\n");
        assert_eq!(tail(&folder.log(), 0, 3), "ew\n");
        assert_eq!(tail(&folder.log(), 100, 100), "old\nnew\n");
        assert_eq!(tail(&folder.dir().join("none"), 0, 9), "");
    }
}
