//! What the unit tests share.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::paths::Options;

/// Options with folders in `temp` and `bin` in it as the whole path.
pub(super) fn options(temp: &Path, fetch: bool) -> Options {
    Options {
        nats_server: None,
        search_path: Some(temp.join("bin").into_os_string()),
        cache_dir: temp.join("cache"),
        data_dir: temp.join("data"),
        fetch,
        fetch_timeout: Duration::from_secs(120),
        supervisor: None,
    }
}

/// Writes an executable shell script. `cp` does the writing: a file that this process has open for writing could be
/// inherited by a child that another test is starting, and then cannot be run.
pub(super) fn script(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let draft = path.with_extension("draft");
    fs::write(&draft, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
    let copied = Command::new("cp").arg("-p").arg(&draft).arg(path).status();
    assert!(copied.unwrap().success());
    fs::remove_file(draft).unwrap();
}
