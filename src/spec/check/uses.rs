//! Packs that give other names to the tools of other packs.

use super::Findings;
use super::tool::tool_name;
use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::doc::{Doc, join};
use crate::spec::model::Pack;
use crate::spec::suggest;

/// An alias as it stands in a file: its name, and the tool that it stands for.
pub type AliasDraft = (String, String);

/// What can be told of the aliases of a pack by itself: `aliases` are those of one file, `seen` those of the files before
/// it, `tools` the pack's own tools.
pub(crate) fn check_aliases(
    doc: &Doc,
    aliases: &[AliasDraft],
    seen: &[&AliasDraft],
    tools: &[&str],
    report: &mut Findings,
) {
    for (index, (name, target)) in aliases.iter().enumerate() {
        let pointer = join("/aliases", name);
        tool_name(doc, &pointer, name, report);
        let range = doc.key_range(&pointer);
        if tools.contains(&name.as_str()) {
            let message = format!("this pack declares a tool `{name}` already");
            let twice = Diagnostic::error(Code::Duplicate, &doc.source, range.clone(), message);
            report.push(twice.help("choose another name for the alias"));
        }
        let before = aliases.iter().take(index);
        let mut before = seen.iter().copied().chain(before);
        if let Some((other, _)) = before.find(|(n, t)| t == target && n != name) {
            let message = format!("`{other}` stands for the tool `{target}` already");
            let twice = Diagnostic::error(Code::Duplicate, &doc.source, range, message);
            report.push(twice.help("a pack has one name for each tool"));
        }
    }
}

/// Checks that every alias of a pack stands for a tool that one of the packs it uses declares.
pub fn check_uses(pack: &Pack, used: &[&Pack]) -> Report {
    let mut report = Report::new();
    for (name, target) in pack.aliases.iter() {
        let declares = |other: &&&Pack| other.tools.get(target).is_some();
        let owners: Vec<&str> = used
            .iter()
            .filter(declares)
            .map(|p| p.name.as_ref())
            .collect();
        let origin = pack.origins.get(name).map_or("", |o| o.as_ref());
        let alias = format!("the alias `{name}` ({origin}) stands for `{target}`");
        report.push(match owners.as_slice() {
            [_] => continue,
            [] if used.is_empty() => Diagnostic::global(
                Code::UnknownResource,
                format!("{alias}, and the pack `{}` uses no other pack", pack.name),
            )
            .help("name the pack that declares the tool: `pack: {uses: [name]}`"),
            [] => {
                let known = used.iter().flat_map(|p| p.tools.keys());
                Diagnostic::global(
                    Code::UnknownResource,
                    format!("{alias}, which none of the packs under `uses` declares"),
                )
                .help(suggest::help(target, known))
            }
            several => Diagnostic::global(
                Code::Duplicate,
                format!(
                    "{alias}, which several packs declare: {}",
                    several.join(", ")
                ),
            )
            .help("use only one of these packs"),
        });
    }
    report
}
