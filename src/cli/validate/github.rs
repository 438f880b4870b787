//! Annotations of GitHub Actions: commands that a workflow's log carries, one a line.

use super::{Outcome, relative, word};
use crate::spec::diag::{Diagnostic, Label};

/// A command for each problem, and the count.
pub fn text(outcome: &Outcome) -> String {
    let mut lines: Vec<String> = outcome.report.sorted().into_iter().map(command).collect();
    lines.push(outcome.summary());
    lines.join("\n")
}

fn command(diagnostic: &Diagnostic) -> String {
    let mut properties = Vec::new();
    if let Some(label) = &diagnostic.label {
        // Columns are taken only where a place is on one line.
        let line = Label::new(&label.source, label.first_line());
        let (start, end) = line.places();
        properties.push(format!("file={}", property(&relative(label.source.name()))));
        properties.push(format!("line={}", start.line));
        properties.push(format!("endLine={}", end.line));
        properties.push(format!("col={}", start.column));
        properties.push(format!("endColumn={}", end.column));
    }
    properties.push(format!("title={}", property(diagnostic.code.as_str())));
    format!(
        "::{} {}::{}",
        word(diagnostic.severity),
        properties.join(","),
        data(&message(diagnostic))
    )
}

/// The problem, the other places, and what to do.
fn message(diagnostic: &Diagnostic) -> String {
    let mut message = diagnostic.message.clone();
    for label in &diagnostic.related {
        let (start, _) = label.places();
        let file = relative(label.source.name());
        let place = format!("{file}:{}:{}", start.line, start.column);
        message.push_str(&format!("\n{place}: {}", label.text));
    }
    if let Some(help) = &diagnostic.help {
        message.push_str(&format!("\nhelp: {help}"));
    }
    message
}

/// A message as it stands in a command.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A property's value as it stands in a command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::diag::Code;
    use crate::spec::source::Source;

    #[test]
    fn what_means_something_to_the_runner_is_escaped() {
        let source = Source::new("a,b:c%.yaml", "x: [\n  1]\n");
        let problem = Diagnostic::error(Code::Schema, &source, 3..9, "100%\r\nsure::no")
            .help("try, again")
            .related(&source, 0..1, "first");
        assert_eq!(
            command(&problem),
            "::error file=a%2Cb%3Ac%25.yaml,line=1,endLine=1,col=4,endColumn=5,title=schema::100%25%0D%0Asure::no\
             %0Aa,b:c%25.yaml:1:1: first%0Ahelp: try, again"
        );
        let nowhere = Diagnostic::global(Code::Io, "gone").warning();
        assert_eq!(command(&nowhere), "::warning title=io::gone");
    }
}
