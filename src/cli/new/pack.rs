//! `jacquard new pack`.

use std::fmt::Write as _;
use std::path::Path;

use super::config::{self, Served};
use super::templates::{CONFIG, HELLO, PACK, fill};
use super::{Pack, Refusal, absent, write};
use crate::catalog::packs::builtin;

/// The longest name: that of its tool has room for more.
const MAX_NAME: usize = 40;
/// The config that is made beside a pack.
const FILE: &str = "gateway.yaml";

/// Makes the folder and the config, and says what is next.
pub fn make(request: &Pack) -> Result<String, Refusal> {
    let name = request.name.as_str();
    check(name)?;
    let folder = Path::new(name);
    absent(folder)?;
    let tool = format!("{}_hello", name.replace('-', "_"));
    let title = title(name);
    let words = [
        ("pack", name),
        ("tool", tool.as_str()),
        ("title", title.as_str()),
    ];
    let told = config::serve(Path::new(FILE), name)?;
    write(&folder.join("pack.yaml"), &fill(PACK, &[], &words))?;
    write(&folder.join("hello.yaml"), &fill(HELLO, &[], &words))?;
    let mut said = format!("made {name}/pack.yaml\nmade {name}/hello.yaml\n");
    match told {
        Served::Absent => {
            write(Path::new(FILE), &fill(CONFIG, &[], &words))?;
            let _ = writeln!(said, "made {FILE}, which serves it");
        }
        Served::Added(change) => {
            change.write()?;
            let _ = writeln!(said, "added ./{name} to the packs of {FILE}");
        }
        Served::Unclear => {
            let _ = writeln!(
                said,
                "{FILE} is left as it is: add `./{name}` to its `packs`"
            );
        }
    }
    let _ = write!(
        said,
        "
Next:
  jacquard validate {name} {FILE}
  jacquard test {name}
  jacquard call -c {FILE} {tool} name=Ada
  jacquard new tool NAME --pack {name} --verb publish     # or request, read, put, get, claim …
  jacquard install claude -c {FILE}               # or cursor, vscode"
    );
    Ok(said)
}

fn check(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !begins || !name.chars().all(fits) || name.len() > MAX_NAME {
        return Err(format!(
            "`{name}` cannot name a pack: a small letter first, then small letters, digits, - and _, at most {MAX_NAME}"
        ));
    }
    if builtin(name).is_some() {
        return Err(format!(
            "`{name}` is a pack that is built in, and no config serves two of one name: take another one"
        ));
    }
    Ok(())
}

/// The name as people read it.
fn title(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    let rest = letters.map(|c| if matches!(c, '-' | '_') { ' ' } else { c });
    first.into_iter().chain(rest).collect()
}
