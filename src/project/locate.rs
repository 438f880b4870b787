//! Where a project's files are, and reading them.

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use super::environment::Environment;
use super::file::{MAX_NAME, ProjectFile, check_project_file};
use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::files::read_source;

/// The names of a project file; the first wins within a folder.
pub const PROJECT_FILES: [&str; 2] = [".loominal-config.json", ".mcp-config.json"];
/// How many folders are searched: the project's and four above it.
const SEARCHED: usize = 5;

/// The project's path: the one given, else MCP_PROJECT_PATH, else the working folder. Absolute by its text alone;
/// links are not followed and it need not exist, so that every process derives the same id from it.
pub(super) fn project_path(start: Option<&Path>, env: &Environment) -> Result<PathBuf, Report> {
    let wanted = match start {
        Some(path) => path.to_owned(),
        None => env
            .get_os("MCP_PROJECT_PATH")
            .map_or_else(|| PathBuf::from("."), PathBuf::from),
    };
    let absolute = std::path::absolute(&wanted).map_err(|error| {
        io(
            format!(
                "the project path \"{}\" cannot be made absolute: {error}",
                wanted.display()
            ),
            "set MCP_PROJECT_PATH to the absolute path of the project's folder",
        )
    })?;
    let mut path = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            part => path.push(part),
        }
    }
    Ok(path)
}

/// The project's name: the variable JACQUARD_PROJECT, else the one given.
pub(super) fn project_name(
    given: Option<&str>,
    env: &Environment,
) -> Result<Option<String>, Report> {
    let Some(name) = env
        .get("JACQUARD_PROJECT")
        .or_else(|| given.map(str::to_owned))
    else {
        return Ok(None);
    };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(plain) {
        // Passing it over would put the agents into another project without a word.
        return Err(io(
            format!("{name:?} cannot be the name of a project"),
            "JACQUARD_PROJECT, or `project.name` of the config, has 1 to 120 lower-case letters, digits and hyphens",
        ));
    }
    Ok(Some(name))
}

/// Where a project's file may be, the nearest place first: in its folder or up to four above it.
pub fn project_places(project: &Path) -> impl Iterator<Item = PathBuf> {
    let folders = project.ancestors().take(SEARCHED);
    folders.flat_map(|folder| PROJECT_FILES.iter().map(|name| folder.join(name)))
}

/// The nearest project file.
pub(super) fn project_file(project: &Path) -> Result<Option<PathBuf>, Report> {
    for path in project_places(project) {
        if is_there(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Where the user's own file may be.
pub fn user_place(env: &Environment) -> Option<PathBuf> {
    // Windows has USERPROFILE in the place of HOME.
    let home = env.get_os("HOME").or_else(|| env.get_os("USERPROFILE"))?;
    Some(Path::new(&home).join(".nats-mcp").join("config.json"))
}

/// The user's own file, where there is one.
pub(super) fn user_file(env: &Environment) -> Result<Option<PathBuf>, Report> {
    match user_place(env) {
        Some(path) => Ok(is_there(&path)?.then_some(path)),
        None => Ok(None),
    }
}

/// Whether a file is there to be read. Anything there that is no file is an error, not an absence.
fn is_there(path: &Path) -> Result<bool, Report> {
    match std::fs::metadata(path) {
        // A named pipe would be waited for without end, a device read without end.
        Ok(found) if !found.is_file() => Err(io(
            format!("{} is not a regular file", path.display()),
            "put a file in its place, or take it away",
        )),
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(io(
            format!("{} cannot be looked for: {error}", path.display()),
            "give this process access to the folder, or choose another project with MCP_PROJECT_PATH",
        )),
    }
}

/// Reads and checks a project file or user file.
pub(super) fn read(path: &Path) -> Result<ProjectFile, Report> {
    let shown = path.display().to_string();
    let (file, report) = check_project_file(read_source(path, &shown)?);
    file.ok_or(report)
}

fn io(message: String, help: &str) -> Report {
    let mut report = Report::new();
    report.push(Diagnostic::global(Code::Io, message).help(help));
    report
}
