//! What the tools and routines of a pack touch, told from their declarations alone.
//!
//! Names are those of the declarations and subjects are as they are written, with their placeholders: what they come to
//! for a project and a config is worked out where the permissions are.

mod kinds;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::BTreeSet;

pub use kinds::{Action, Flow, Keys, On, Owner, Subjects};
use walk::Walk;

use crate::spec::data::{Map, Text};
use crate::spec::model::{self, Generator, Listener, Pack, QueueDecl, ResourceDecl, TableDecl};
use crate::spec::tree::{Token, Tree};
use crate::spec::verbs::Step;

/// One thing that is done to one thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Touch {
    /// What is done.
    pub action: Action,
    /// To what.
    pub on: On,
}

/// All of a pack that touches anything, in the order of its sections.
pub fn of_pack(pack: &Pack) -> Vec<(Owner<'_>, Vec<Touch>)> {
    let mut all = Vec::new();
    let mut add = |owner, touches: Vec<Touch>| {
        if !touches.is_empty() {
            all.push((owner, touches));
        }
    };
    for (name, queue) in pack.queues.iter() {
        add(Owner::Queue(name), of_queue(queue));
    }
    for (name, table) in pack.tables.iter() {
        add(Owner::Table(name), of_table(table));
    }
    for (name, resource) in pack.resources.iter() {
        add(Owner::Resource(name), of_resource(pack, resource));
    }
    for (name, inbox) in pack.inboxes.iter() {
        let heard = On::Subject(inbox.subject.clone());
        add(Owner::Inbox(name), vec![touch(Action::Listen, heard)]);
    }
    for (name, tool) in pack.tools.iter() {
        add(Owner::Tool(name), of_tool(pack, tool));
    }
    for (name, generator) in pack.generate.iter() {
        add(Owner::Generator(name), of_generator(pack, generator));
    }
    for (name, prompt) in pack.prompts.iter() {
        add(Owner::Prompt(name), of_steps(pack, &prompt.steps));
    }
    for (name, completion) in pack.completions.iter() {
        add(Owner::Completion(name), of_steps(pack, &completion.steps));
    }
    for (name, timer) in pack.timers.iter() {
        add(Owner::Timer(name), of_steps(pack, &timer.steps));
    }
    for (name, listener) in pack.listeners.iter() {
        add(Owner::Listener(name), of_listener(pack, listener));
    }
    add(Owner::Close, of_steps(pack, &pack.on.close));
    add(Owner::Resume, of_steps(pack, &pack.on.resume));
    all
}

/// What the steps of a tool touch: each once, in order.
pub fn of_tool(pack: &Pack, tool: &model::Tool) -> Vec<Touch> {
    of_steps(pack, &tool.steps)
}

/// What steps touch, those of the macros that they use as well: each once, in order.
pub fn of_steps(pack: &Pack, steps: &[Step]) -> Vec<Touch> {
    let mut walk = Walk {
        pack,
        used: BTreeSet::new(),
        found: Vec::new(),
    };
    walk.steps(steps);
    walk.found
}

/// What a generator and the tools that it makes touch.
pub fn of_generator(pack: &Pack, generator: &Generator) -> Vec<Touch> {
    let mut found = of_tool(pack, &generator.tool);
    if generator.from.as_deref() == Some(model::MICRO) {
        found.push(touch(Action::Discover, On::Services));
    }
    found
}

/// What a listener touches: what it hears, its steps, and whom it answers.
pub fn of_listener(pack: &Pack, listener: &Listener) -> Vec<Touch> {
    let mut found = Vec::new();
    if let Some(stream) = &listener.stream {
        let subjects = listener.subjects.as_ref().map(|list| list.to_vec());
        let on = on_stream(stream, &listener.with, these(subjects));
        found.push(touch(Action::Follow, on));
    }
    if let Some(subject) = &listener.subject {
        found.push(touch(Action::Listen, On::Subject(subject.clone())));
        if listener.reply.is_some() {
            found.push(touch(Action::Answer, On::Subject(subject.clone())));
        }
    }
    for other in of_steps(pack, &listener.steps) {
        push(&mut found, other);
    }
    found
}

/// What a table is fed by.
pub fn of_table(table: &TableDecl) -> Vec<Touch> {
    let subjects = table.subjects.as_ref().map(|list| list.to_vec());
    let on = on_stream(&table.stream, &table.with, these(subjects));
    vec![touch(Action::Follow, on)]
}

/// What a queue is made of.
pub fn of_queue(queue: &QueueDecl) -> Vec<Touch> {
    let leases = On::Bucket {
        bucket: queue.leases.clone(),
        with: None,
        keys: Keys::Any,
    };
    let items = on_stream(&queue.stream, &queue.with, Subjects::Own);
    let dead = on_stream(&queue.dead.stream, &None, Subjects::Own);
    [items, leases, dead]
        .into_iter()
        .map(|on| touch(Action::Keep, on))
        .collect()
}

/// What resources touch: a folder, or what their steps do; and the subjects on which they hear that something has changed.
pub fn of_resource(pack: &Pack, resource: &ResourceDecl) -> Vec<Touch> {
    let folder = resource.folder.iter();
    let mut found: Vec<Touch> = folder
        .map(|folder| touch(Action::ReadFile, On::Folder(folder.clone())))
        .collect();
    let steps = of_steps(pack, &resource.list_steps);
    let all = steps.into_iter().chain(of_steps(pack, &resource.steps));
    all.for_each(|new| push(&mut found, new));
    for subject in resource.changed.iter() {
        push(
            &mut found,
            touch(Action::Listen, On::Subject(subject.clone())),
        );
    }
    found
}

fn touch(action: Action, on: On) -> Touch {
    Touch { action, on }
}

fn push(found: &mut Vec<Touch>, new: Touch) {
    if !found.contains(&new) {
        found.push(new);
    }
}

fn on_stream(stream: &Text, with: &Option<Map<Tree>>, subjects: Subjects) -> On {
    On::Stream {
        stream: stream.clone(),
        with: with.clone(),
        subjects,
    }
}

fn these(subjects: Option<Vec<Token>>) -> Subjects {
    subjects.map_or(Subjects::Own, Subjects::These)
}

fn one(subject: &Option<Token>) -> Subjects {
    these(subject.clone().map(|subject| vec![subject]))
}
