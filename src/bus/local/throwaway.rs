//! A server of one process alone, for tests: in a folder of its own, with accounts that know nothing of each other.
//!
//! A guard, a small process of its own, starts the server and waits for the end of its standard input, which comes when its
//! user goes, however that ended. Then it ends the server and removes the folder.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use super::config::quoted;
use super::deeds::Lookout;
use super::error::{Error, ErrorKind};
use super::exec::last_lines;
use super::folder::{Folder, random_hex, tail, write_private};

/// How long the server may take to open its port.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long it may take to end before it is killed, and the guard after that.
const END_LIMIT: Duration = Duration::from_secs(3);
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(5);
/// Bytes and lines of what the server says that go into an error.
const LOG_BYTES: u64 = 8 * 1024;
const LOG_LINES: usize = 12;

/// Has each command of a client in the log, and the ends of connections; of messages, only where they go.
const TRACE: &str = "trace: true\ndebug: true\nmax_traced_msg_len: 1\n";

/// A user of an account.
#[derive(Clone, Debug)]
pub struct User {
    /// Its name; no two users of a server have the same.
    pub name: String,
    /// The block `permissions { … }` of the server's configuration; without, the user may do everything in its account.
    pub permissions: Option<String>,
}

/// A world of its own on the server: subjects, streams and buckets that no other account sees. JetStream is on.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name: letters, digits, `-` and `_`.
    pub name: String,
    /// Its users; all have the password of the server ([`Ground::password`]).
    pub users: Vec<User>,
}

/// The folder of a server that does not run yet. Dropping it removes it.
pub struct Ground {
    folder: Option<Folder>,
    dir: PathBuf,
    password: String,
    traced: bool,
}

impl Ground {
    /// Makes a folder among the temporary files, closed to other users.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub fn new() -> Result<Self, Error> {
        let dir = std::env::temp_dir().join(format!("jacquard-{}", random_hex::<8>()?));
        Ok(Self {
            folder: Some(Folder::create(&dir)?),
            dir,
            password: random_hex::<16>()?,
            traced: false,
        })
    }

    /// The folder. What lies in it goes with the server.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The password of all users. It is of no use after the server.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The server will write down what its users do ([`Throwaway::lookout`]).
    pub fn traced(&mut self) {
        self.traced = true;
    }

    /// Starts the server and waits until it answers. Blocks, for 20 s at the most. `program` is this program's file; it is
    /// run with `nats guard`.
    ///
    /// # Errors
    /// [`ErrorKind::StartFailed`] with what the server said, [`ErrorKind::Io`] for its folder.
    pub fn start(
        mut self,
        program: &Path,
        binary: &Path,
        accounts: &[Account],
    ) -> Result<Throwaway, Error> {
        let folder = self.folder.take().unwrap_or_else(|| Folder::at(&self.dir));
        let config = render(&folder, accounts, &self.password, self.traced);
        write_private(&folder.config(), config.as_bytes())?;
        let mut command = Command::new(program);
        command
            .args(["nats", "guard", "--dir"])
            .arg(&self.dir)
            .arg("--binary")
            .arg(binary)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(folder.error_output(&folder.stderr())?);
        // Ctrl-C in a terminal is for the user of the server, who then lets go of it in order.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut guard = command
            .spawn()
            .map_err(|error| Error::io("run the guard of nats-server,", program, error))?;
        let mut server = Throwaway {
            line: guard.stdin.take(),
            folder,
            guard,
            port: 0,
        };
        server.port = server.wait_for_port()?;
        Ok(server)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // Once it is started, the folder is the server's.
        if self.folder.is_some() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// A running server, which ends with this value or with the process that has it.
pub struct Throwaway {
    folder: Folder,
    guard: Child,
    /// Closed first: that is what the guard waits for.
    line: Option<ChildStdin>,
    port: u16,
}

impl Throwaway {
    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Looks on at what its users do, if it is traced.
    pub fn lookout(&self) -> Lookout {
        Lookout::new(self.folder.log())
    }

    fn wait_for_port(&mut self) -> Result<u16, Error> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if let Some((_, port)) = self.folder.ports()?.first() {
                return Ok(*port);
            }
            let ended = self.guard.try_wait().ok().flatten().is_some();
            if ended || Instant::now() >= deadline {
                let said = tail(&self.folder.stderr(), 0, LOG_BYTES)
                    + &tail(&self.folder.log(), 0, LOG_BYTES);
                let said = last_lines(&said, LOG_LINES).join("\n");
                let what = if ended {
                    "ended"
                } else {
                    "does not open its port"
                };
                return Err(Error::new(
                    ErrorKind::StartFailed,
                    format!("the nats-server for the examples {what}; it said:\n{said}"),
                ));
            }
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Throwaway {
    fn drop(&mut self) {
        self.line.take();
        if !ended_within(&mut self.guard, END_LIMIT * 2) {
            let _ = self.guard.kill();
            let _ = self.guard.wait();
        }
        // The guard does that; one that was killed did not.
        let _ = std::fs::remove_dir_all(self.folder.dir());
    }
}

/// Runs the server of a folder until standard input ends, then removes the folder. This is what `jacquard nats guard` does.
///
/// # Errors
/// [`ErrorKind::StartFailed`] when the server cannot be run or ends by itself.
pub fn guard(dir: &Path, binary: &Path) -> Result<(), Error> {
    let folder = Folder::at(dir);
    let mut server = Command::new(binary)
        .arg("-c")
        .arg(folder.config())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| Error::io("run", binary, error))?;
    let (told, gone) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut rest = [0; 64];
        while std::io::stdin()
            .read(&mut rest)
            .is_ok_and(|count| count > 0)
        {}
        let _ = told.send(());
    });
    let by_itself = loop {
        if let Ok(Some(status)) = server.try_wait() {
            break Some(status);
        }
        if gone.recv_timeout(Duration::from_millis(20))
            != Err(std::sync::mpsc::RecvTimeoutError::Timeout)
        {
            break None;
        }
    };
    if let Some(status) = by_itself {
        let message = format!("nats-server ended by itself: {status}");
        return Err(Error::new(ErrorKind::StartFailed, message));
    }
    // Nothing of it is kept: there is nothing to write in order.
    let _ = server.kill();
    let _ = server.wait();
    let _ = std::fs::remove_dir_all(dir);
    Ok(())
}

fn ended_within(child: &mut Child, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => std::thread::sleep(POLL),
            Ok(None) => return false,
            _ => return true,
        }
    }
}

/// The configuration: on loopback, on any port, with JetStream in the folder. Streams reserve what they may hold, in every
/// account: the limit is far beyond what is ever used.
fn render(folder: &Folder, accounts: &[Account], password: &str, traced: bool) -> String {
    let mut text = format!(
        "server_name: \"jacquard-test\"\nhost: \"127.0.0.1\"\nport: -1\nports_file_dir: {dir}\nlog_file: {log}\n\
         jetstream {{\n  store_dir: {store}\n  max_memory_store: 64GB\n  max_file_store: 100TB\n}}\naccounts {{\n",
        dir = quoted(folder.dir()),
        log = quoted(&folder.log()),
        store = quoted(&folder.store()),
    );
    if traced {
        text.insert_str(0, TRACE);
    }
    for account in accounts {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  {} {{\n    jetstream: enabled\n    users: [",
            account.name
        );
        for user in &account.users {
            let name = quoted(&PathBuf::from(&user.name));
            let may = user.permissions.as_deref().unwrap_or_default();
            let _ = writeln!(
                text,
                "      {{ user: {name}, password: \"{password}\"\n{may} }}"
            );
        }
        text.push_str("    ]\n  }\n");
    }
    text.push_str("}\n");
    text
}
