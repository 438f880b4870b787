//! `jacquard new project`.

use std::path::Path;

use super::templates::{PROJECT, fill};
use super::{Project, Refusal, absent, write};
use crate::project::PROJECT_FILES;

/// The project file.
const FILE: &str = PROJECT_FILES[0];
/// The file of that name in earlier programs, which is read where the other is not there.
const EARLIER: &str = PROJECT_FILES[1];
/// The longest namespace, as the schema has it.
const MAX: usize = 120;

/// Makes the project file, and says what is next.
pub fn make(request: &Project) -> Result<String, Refusal> {
    absent(Path::new(FILE))?;
    absent(Path::new(EARLIER))?;
    let namespace = match &request.namespace {
        Some(name) if fits(name) => name.clone(),
        Some(name) => {
            return Err(Refusal::Words(format!(
                "--namespace {name}: small letters, digits and hyphens, at most {MAX}"
            )));
        }
        None => of_folder(),
    };
    write(
        Path::new(FILE),
        &fill(PROJECT, &[], &[("namespace", &namespace)]),
    )?;
    Ok(format!(
        "made {FILE}: the project `{namespace}`, with three channels. Change both as you like, and keep it with the project:
whoever has the same namespace on the same NATS shares its channels, streams and buckets.

Next:
  jacquard validate {FILE}
  jacquard tools                          # what agents of the project have
  jacquard install claude                 # or cursor, vscode
  jacquard new pack NAME                  # tools of your own"
    ))
}

fn fits(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= MAX && name.chars().all(fits)
}

/// What the folder's name makes of a namespace.
fn of_folder() -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let name = here.file_name().unwrap_or_default().to_string_lossy();
    let kept = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let name: String = name.chars().map(kept).take(MAX).collect();
    let name = name.trim_matches('-').to_owned();
    if name.is_empty() {
        "project".to_owned()
    } else {
        name
    }
}
