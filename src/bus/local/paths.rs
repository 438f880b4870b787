//! Where things are: the settings from the environment and the folders of each system.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{Error, ErrorKind};

/// The file name of the server on this system.
pub(super) const SERVER_FILE: &str = if cfg!(windows) {
    "nats-server.exe"
} else {
    "nats-server"
};

/// How long a fetch may take when `JACQUARD_FETCH_TIMEOUT` is not set.
const FETCH_TIMEOUT: Duration = Duration::from_secs(120);
/// The longest fetch that `JACQUARD_FETCH_TIMEOUT` may allow, in seconds.
const MAX_FETCH_SECS: u64 = 3600;

/// Where the managed server lives and where its binary may come from.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary to use and no other (`NATS_SERVER`).
    pub nats_server: Option<PathBuf>,
    /// Where programs are looked up (`PATH`): `nats-server`, and Python for the fetch.
    pub search_path: Option<OsString>,
    /// Folder of fetched binaries; they lie in `<version>/nats-server` below it.
    pub cache_dir: PathBuf,
    /// Folder of the server: its configuration, token, locks, log and JetStream's store.
    pub data_dir: PathBuf,
    /// Whether a missing binary may be fetched.
    pub fetch: bool,
    /// How long a fetch may take.
    pub fetch_timeout: Duration,
    /// The executable (absolute path) that is run with `nats supervise --dir DIR` to stop the server after its last user, also when
    /// that user was killed. Without it the last one to leave does so.
    pub supervisor: Option<PathBuf>,
}

impl Options {
    /// Settings from the process environment, without a supervisor.
    ///
    /// Read are `NATS_SERVER`, `PATH`, `JACQUARD_DATA_DIR` (Jacquard's data folder; the server's is `nats` in it),
    /// `JACQUARD_FETCH_TIMEOUT` (seconds, 1 to 3600) and the folders of the system: `XDG_DATA_HOME`,
    /// `XDG_CACHE_HOME` and `HOME`, or `APPDATA` and `LOCALAPPDATA` on Windows.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] if a value cannot be used or no home folder is known.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_vars(&|name| std::env::var_os(name), std::env::home_dir())
    }

    fn from_vars(
        var: &dyn Fn(&str) -> Option<OsString>,
        home: Option<PathBuf>,
    ) -> Result<Self, Error> {
        // An empty variable counts as unset, as XDG and most shells have it.
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        let system = SystemDirs {
            var: &var,
            home: home.filter(|h| h.is_absolute()),
        };
        let data_dir = match var("JACQUARD_DATA_DIR") {
            Some(dir) => absolute("JACQUARD_DATA_DIR", Path::new(&dir))?,
            None => system.data()?.join("jacquard"),
        };
        Ok(Self {
            nats_server: var("NATS_SERVER")
                .map(|path| absolute("NATS_SERVER", Path::new(&path)))
                .transpose()?,
            search_path: var("PATH"),
            cache_dir: system.cache()?.join("jacquard").join("nats-server"),
            data_dir: data_dir.join("nats"),
            fetch: true,
            fetch_timeout: fetch_timeout(var("JACQUARD_FETCH_TIMEOUT"))?,
            supervisor: None,
        })
    }
}

/// The first executable `name` of each folder on `search_path`, in order. Relative folders are left out: what they
/// mean depends on where a client happened to start the gateway.
pub(super) fn on_path<'a>(
    search_path: Option<&'a OsString>,
    name: &'a str,
) -> impl Iterator<Item = PathBuf> + 'a {
    let folders = search_path
        .into_iter()
        .flat_map(std::env::split_paths)
        .filter(|folder| folder.is_absolute());
    folders
        .map(move |folder| {
            folder
                .join(name)
                .with_extension(std::env::consts::EXE_EXTENSION)
        })
        .filter(|path| is_executable(path))
}

/// Whether `path` is a file that may be run.
pub(super) fn is_executable(path: &Path) -> bool {
    let Ok(meta) = path.metadata() else {
        return false;
    };
    #[cfg(unix)]
    let runnable = std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let runnable = true;
    meta.is_file() && runnable
}

/// The per-user folders of the system.
struct SystemDirs<'a> {
    var: &'a dyn Fn(&str) -> Option<OsString>,
    home: Option<PathBuf>,
}

impl SystemDirs<'_> {
    fn data(&self) -> Result<PathBuf, Error> {
        if cfg!(windows) {
            self.named("APPDATA", "AppData/Roaming")
        } else if cfg!(target_os = "macos") {
            self.home("Library/Application Support")
        } else {
            self.named("XDG_DATA_HOME", ".local/share")
        }
    }

    fn cache(&self) -> Result<PathBuf, Error> {
        if cfg!(windows) {
            self.named("LOCALAPPDATA", "AppData/Local")
        } else if cfg!(target_os = "macos") {
            self.home("Library/Caches")
        } else {
            self.named("XDG_CACHE_HOME", ".cache")
        }
    }

    /// The folder in variable `name` if it is absolute (the XDG rule for others is to ignore them), else below home.
    fn named(&self, name: &str, below_home: &str) -> Result<PathBuf, Error> {
        (self.var)(name)
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
            .map_or_else(|| self.home(below_home), Ok)
    }

    fn home(&self, below: &str) -> Result<PathBuf, Error> {
        self.home.as_ref().map(|home| home.join(below)).ok_or_else(|| {
            Error::new(
                ErrorKind::Setting,
                "no home folder is known for the local NATS server; set HOME, or JACQUARD_DATA_DIR and XDG_CACHE_HOME",
            )
        })
    }
}

fn absolute(name: &str, path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|error| {
        Error::with_source(
            ErrorKind::Setting,
            format!("{name} is not a usable path: {}", path.display()),
            error,
        )
    })
}

fn fetch_timeout(value: Option<OsString>) -> Result<Duration, Error> {
    let Some(value) = value else {
        return Ok(FETCH_TIMEOUT);
    };
    value
        .to_str()
        .and_then(|text| text.trim().parse().ok())
        .filter(|seconds| (1..=MAX_FETCH_SECS).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Setting,
                format!(
                    "JACQUARD_FETCH_TIMEOUT is {}: give whole seconds from 1 to {MAX_FETCH_SECS}",
                    value.display()
                ),
            )
        })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn with(vars: &[(&str, &str)]) -> Result<Options, Error> {
        let home = vars.iter().find(|v| v.0 == "HOME").map(|v| v.1.into());
        Options::from_vars(
            &|name| vars.iter().find(|v| v.0 == name).map(|v| v.1.into()),
            home,
        )
    }

    #[test]
    fn folders_follow_xdg_and_ignore_relative_or_empty_values() {
        let plain = with(&[
            ("HOME", "/h"),
            ("XDG_DATA_HOME", "rel"),
            ("XDG_CACHE_HOME", ""),
        ])
        .unwrap();
        assert_eq!(plain.data_dir, Path::new("/h/.local/share/jacquard/nats"));
        assert_eq!(plain.cache_dir, Path::new("/h/.cache/jacquard/nats-server"));
        let xdg = with(&[("XDG_DATA_HOME", "/d"), ("XDG_CACHE_HOME", "/c")]).unwrap();
        assert_eq!(xdg.data_dir, Path::new("/d/jacquard/nats"));
        assert_eq!(xdg.cache_dir, Path::new("/c/jacquard/nats-server"));
    }

    #[test]
    fn jacquard_data_dir_wins() {
        let options = with(&[("HOME", "/h"), ("JACQUARD_DATA_DIR", "/j")]).unwrap();
        assert_eq!(options.data_dir, Path::new("/j/nats"));
    }

    #[test]
    fn unusable_settings_are_refused() {
        assert_eq!(with(&[]).unwrap_err().kind(), ErrorKind::Setting);
        for bad in ["0", "3601", "soon", "-1"] {
            let error = with(&[("HOME", "/h"), ("JACQUARD_FETCH_TIMEOUT", bad)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Setting, "{bad}");
        }
        let options = with(&[("HOME", "/h"), ("JACQUARD_FETCH_TIMEOUT", "7")]).unwrap();
        assert_eq!(options.fetch_timeout, Duration::from_secs(7));
    }

    #[test]
    fn relative_folders_on_the_path_are_left_out() {
        let path = OsString::from("rel:.::/bin");
        let found: Vec<_> = on_path(Some(&path), "sh").collect();
        assert_eq!(found, [PathBuf::from("/bin/sh")]);
    }
}
