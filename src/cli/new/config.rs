//! The configs that serve a pack: finding them, and adding a pack to one.

use std::path::{Path, PathBuf};

use crate::catalog::packs::shown;
use crate::cli::file::{self, How};
use crate::gateway::base_of;
use crate::spec::doc::Doc;
use crate::spec::files::{is_spec, read_source};

/// How a pack gets into a config.
pub enum Served {
    /// There is no such file.
    Absent,
    /// By this change.
    Added(Change),
    /// The file is written in a way that only its author should change.
    Unclear,
}

/// A config as it is and as it is to be.
pub struct Change {
    path: PathBuf,
    before: String,
    after: String,
}

impl Change {
    /// Writes the file.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn write(&self) -> Result<(), String> {
        file::replace(&self.path, Some(&self.before), &self.after, How::default()).map(|_| ())
    }
}

/// How the pack in the folder of this name beside the config gets into it. Everything else in the file stays as it is.
///
/// # Errors
/// The file cannot be read.
pub fn serve(path: &Path, name: &str) -> Result<Served, String> {
    let Some(before) = file::read(path)? else {
        return Ok(Served::Absent);
    };
    let Some(after) = added(path, &before, name) else {
        return Ok(Served::Unclear);
    };
    Ok(Served::Added(Change {
        path: path.to_path_buf(),
        before,
        after,
    }))
}

fn added(path: &Path, before: &str, name: &str) -> Option<String> {
    let doc = |text: &str| {
        let source = crate::spec::source::Source::new(shown(path), text);
        Doc::parse(source).ok()
    };
    let old = doc(before)?;
    let packs = old.value.get("packs")?.as_array()?.clone();
    let last = packs.len().checked_sub(1)?;
    let at = old.value_range(&format!("/packs/{last}"));
    let line = before.get(..at.start)?.rfind('\n').map_or(0, |end| end + 1);
    let indent = before.get(line..at.start)?;
    let mut after = before.to_owned();
    if indent.trim() == "-" {
        let end = before.get(at.end..)?.find('\n');
        let end = end.map_or(before.len(), |length| at.end + length);
        after.insert_str(end, &format!("\n{indent}./{name}"));
    } else {
        after.insert_str(at.end, &format!(", ./{name}"));
    }
    // Whatever the layout was: the list is one longer, and nothing else has changed.
    let (mut expected, new) = (old.value.clone(), doc(&after)?);
    let list = expected.get_mut("packs")?.as_array_mut()?;
    list.push(format!("./{name}").into());
    (new.value == expected).then_some(after)
}

/// A config in the working directory or beside the folder that serves the pack in it.
pub fn serving(pack: &Path) -> Option<PathBuf> {
    let real = pack.canonicalize().ok()?;
    let beside = base_of(pack);
    let places = [PathBuf::from("."), beside, pack.join("..")];
    let mut files: Vec<PathBuf> = places
        .iter()
        .filter_map(|place| std::fs::read_dir(place).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
        .filter(|path| is_spec(path))
        .collect();
    files.sort();
    files.into_iter().find(|path| names(path, &real))
}

/// Whether a file is a config with this folder among its packs.
fn names(path: &Path, real: &Path) -> bool {
    let doc = read_source(path, &shown(path)).and_then(Doc::parse);
    let packs = doc.ok().and_then(|doc| doc.value.get("packs").cloned());
    let packs = packs.as_ref().and_then(|packs| packs.as_array());
    packs.into_iter().flatten().any(|name| {
        let folder = name.as_str().map(|name| base_of(path).join(name));
        folder.and_then(|f| f.canonicalize().ok()).as_deref() == Some(real)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_is_added_and_the_layout_stays() {
        for (before, after) in [
            (
                "# mine\npacks:\n  - ./a # the first\nname: x\n",
                Some("# mine\npacks:\n  - ./a # the first\n  - ./b\nname: x\n"),
            ),
            (
                "packs: [warp, ./a] # all\n",
                Some("packs: [warp, ./a, ./b] # all\n"),
            ),
            ("packs:\n- \"./a\"", Some("packs:\n- \"./a\"\n- ./b")),
            ("name: x\n", None),
            ("packs: []\n", None),
            ("packs: [\n", None),
        ] {
            let done = added(Path::new("g.yaml"), before, "b");
            assert_eq!(done.as_deref(), after, "{before}");
        }
    }
}
