//! What tools touch, as Mermaid diagrams: tools on the left, what they touch on the right.

use std::fmt::Write as _;

use super::names::shown;
use super::pack::Documented;
use crate::catalog::touch::{self, Action, Flow, On, Owner, Touch};
use crate::spec::model::Pack;

/// The most tools of one diagram, unless one file declares more.
const MOST: usize = 12;

/// A diagram with its title; without one where there is one for the whole pack.
pub struct Diagram {
    /// What it shows: a file of the pack, or what runs by itself.
    pub title: Option<String>,
    /// The text of it.
    pub text: String,
}

/// Somebody who touches things.
struct Actor {
    file: String,
    label: String,
    touches: Vec<Touch>,
}

/// The diagrams of a pack: one, or one for each file where there are many tools.
pub fn of(documented: &Documented) -> Vec<Diagram> {
    let pack = documented.pack.as_ref();
    let tools = documented.tools.iter().map(|tool| Actor {
        file: tool.file.clone(),
        label: tool.name.clone(),
        touches: touch::of_tool(pack, &tool.spec),
    });
    let mut actors: Vec<Actor> = tools.collect();
    actors.extend(by_themselves(pack));
    actors.retain(|actor| !actor.touches.is_empty());
    if actors.is_empty() {
        return Vec::new();
    }
    if actors.len() <= MOST {
        return vec![drawn(pack, None, &actors)];
    }
    let mut files: Vec<String> = actors.iter().map(|actor| actor.file.clone()).collect();
    files.dedup();
    let mut known = Vec::new();
    files.retain(|file| {
        !known.contains(file) && {
            known.push(file.clone());
            true
        }
    });
    files
        .into_iter()
        .map(|file| {
            let (ours, _): (Vec<&Actor>, Vec<&Actor>) =
                actors.iter().partition(|actor| actor.file == file);
            drawn(pack, Some(file), ours)
        })
        .collect()
}

/// What runs without being called.
const BY_ITSELF: &str = "By itself";

fn by_themselves(pack: &Pack) -> Vec<Actor> {
    let all = touch::of_pack(pack).into_iter();
    let actors = all.filter_map(|(owner, touches)| {
        let label = match owner {
            Owner::Timer(name) => format!("timer {name}"),
            Owner::Listener(name) => format!("listener {name}"),
            Owner::Close => "end of a session".to_owned(),
            Owner::Resume => "session that goes on".to_owned(),
            Owner::Resource(name) => format!("resources {name}"),
            Owner::Prompt(name) => format!("prompt {name}"),
            Owner::Completion(name) => format!("completion {name}"),
            // What is told with what uses it.
            Owner::Tool(_)
            | Owner::Generator(_)
            | Owner::Table(_)
            | Owner::Inbox(_)
            | Owner::Queue(_) => return None,
        };
        Some(Actor {
            file: BY_ITSELF.to_owned(),
            label,
            touches,
        })
    });
    actors.collect()
}

fn drawn<'a>(
    pack: &Pack,
    title: Option<String>,
    actors: impl IntoIterator<Item = &'a Actor>,
) -> Diagram {
    let mut drawing = Drawing {
        text: "flowchart LR\n".to_owned(),
        nodes: Vec::new(),
    };
    for (index, actor) in actors.into_iter().enumerate() {
        let id = format!("t{index}");
        let _ = writeln!(drawing.text, "  {id}([\"{}\"])", escaped(&actor.label));
        for (on, actions) in grouped(&actor.touches) {
            let target = drawing.node(on);
            let _ = writeln!(drawing.text, "  {id} {} {target}", arrow(&actions));
        }
    }
    drawing.parts(pack);
    Diagram {
        title,
        text: drawing.text,
    }
}

/// What is touched, each once, with all that is done to it.
pub fn grouped(touches: &[Touch]) -> Vec<(Node, Vec<Action>)> {
    let mut groups: Vec<(Node, Vec<Action>)> = Vec::new();
    for touch in touches {
        let node = Node::of(&touch.on);
        match groups.iter_mut().find(|(known, _)| *known == node) {
            Some((_, actions)) if actions.contains(&touch.action) => {}
            Some((_, actions)) => actions.push(touch.action),
            None => groups.push((node, vec![touch.action])),
        }
    }
    groups
}

/// Dotted where it only reads.
fn arrow(actions: &[Action]) -> String {
    let words: Vec<&str> = actions.iter().map(|action| action.name()).collect();
    let words = words.join(", ");
    if actions.iter().all(|action| action.flow() == Flow::In) {
        format!("-.->|{words}|")
    } else {
        format!("-->|{words}|")
    }
}

/// What is touched: its kind and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is: `stream`, `bucket` …
    pub kind: &'static str,
    /// Its name.
    pub name: String,
}

impl Node {
    fn new(kind: &'static str, name: impl Into<String>) -> Self {
        let name = name.into();
        Self { kind, name }
    }

    /// Of what is touched.
    pub fn of(on: &On) -> Self {
        match on {
            On::Stream { stream, .. } => Self::new("stream", stream.as_ref()),
            On::Bucket { bucket, .. } => Self::new("bucket", bucket.as_ref()),
            On::Queue(name) => Self::new("queue", name.as_ref()),
            On::Subject(subject) => Self::new("subject", shown(&subject.0)),
            On::Subjects(text) => Self::new("subject", shown(text)),
            On::Inbox(name) => Self::new("inbox", name.as_ref()),
            On::Table(name) => Self::new("table", name.as_ref()),
            On::Journal(name) => Self::new("journal", name.as_ref()),
            On::Folder(name) => Self::new("folder", name.as_ref()),
            On::Program(name) => Self::new("program", name.as_ref()),
            On::Server(text) => Self::new("server", shown(&text.0)),
            On::Services => Self::new("services", "of NATS"),
        }
    }

    /// Its shape: what is stored is round, what is called has corners.
    fn shape(&self) -> (&'static str, &'static str) {
        match self.kind {
            "stream" | "bucket" => ("[(", ")]"),
            "queue" => ("[[", "]]"),
            "subject" | "inbox" => (">", "]"),
            "program" | "server" | "services" => ("{{", "}}"),
            _ => ("[", "]"),
        }
    }
}

struct Drawing {
    text: String,
    nodes: Vec<Node>,
}

impl Drawing {
    /// The id of a node, which is drawn when it is first asked for.
    fn node(&mut self, node: Node) -> String {
        if let Some(index) = self.nodes.iter().position(|known| *known == node) {
            return format!("n{index}");
        }
        let id = format!("n{}", self.nodes.len());
        let (open, close) = node.shape();
        let label = escaped(&node.name);
        let _ = writeln!(
            self.text,
            "  {id}{open}\"{}<br/>{label}\"{close}",
            node.kind
        );
        self.nodes.push(node);
        id
    }

    /// What queues and tables that are shown are made of.
    fn parts(&mut self, pack: &Pack) {
        let mut index = 0;
        while let Some(node) = self.nodes.get(index).cloned() {
            let parts = match node.kind {
                "queue" => pack.queues.get(&node.name).map(touch::of_queue),
                "table" => pack.tables.get(&node.name).map(touch::of_table),
                _ => None,
            };
            for (part, _) in grouped(&parts.unwrap_or_default()) {
                let part = self.node(part);
                let _ = writeln!(self.text, "  n{index} --- {part}");
            }
            index += 1;
        }
    }
}

/// A text in a label: nothing in it ends the label or is markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("#quot;"),
            '#' => out.push_str("#35;"),
            '<' => out.push_str("#lt;"),
            '>' => out.push_str("#gt;"),
            '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
