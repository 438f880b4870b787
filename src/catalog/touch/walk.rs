//! From steps to what they touch.

use std::collections::BTreeSet;

use super::kinds::{Action, Keys, On, Subjects};
use super::{Touch, on_stream, one, push, touch};
/// Collects what steps touch. Each macro is gone through once, however often it is used.
pub(super) struct Walk<'a> {
    pub(super) pack: &'a Pack,
    pub(super) used: BTreeSet<&'a str>,
    pub(super) found: Vec<Touch>,
}
use crate::spec::data::{Json, Map, Text};
use crate::spec::model::Pack;
use crate::spec::tree::{QueueName, SubjectList, Token, Tree};
use crate::spec::verbs::forms::Request;
use crate::spec::verbs::{Step, Verb};

impl<'a> Walk<'a> {
    pub(super) fn steps(&mut self, steps: &'a [Step]) {
        for step in steps {
            self.verb(&step.verb);
        }
    }

    fn add(&mut self, action: Action, on: On) {
        push(&mut self.found, touch(action, on));
    }

    fn stream(
        &mut self,
        action: Action,
        stream: &Text,
        with: &Option<Map<Tree>>,
        subjects: Subjects,
    ) {
        self.add(action, on_stream(stream, with, subjects));
    }

    fn bucket(&mut self, action: Action, bucket: &Text, with: &Option<Map<Tree>>, keys: Keys) {
        let on = On::Bucket {
            bucket: bucket.clone(),
            with: with.clone(),
            keys,
        };
        self.add(action, on);
    }

    fn key(&mut self, action: Action, bucket: &Text, with: &Option<Map<Tree>>, key: &Token) {
        self.bucket(action, bucket, with, Keys::One(key.clone()));
    }

    /// A queue by its name; where an expression picks one, all that the pack has.
    fn queue(&mut self, action: Action, queue: &QueueName) {
        if let Tree::Literal(Json::Str(name)) = &queue.0 {
            return self.add(action, On::Queue(name.clone()));
        }
        for name in self.pack.queues.keys() {
            self.add(action, On::Queue(name.to_owned().into()));
        }
    }

    fn verb(&mut self, verb: &'a Verb) {
        match verb {
            Verb::Use(step) => {
                let called = self.pack.macros.get(&step.r#macro);
                if let (Some(called), true) = (called, self.used.insert(&step.r#macro)) {
                    self.steps(&called.steps);
                }
            }
            Verb::Require(_)
            | Verb::Let(_)
            | Verb::Set(_)
            | Verb::Fail(_)
            | Verb::Check(_)
            | Verb::Notify(_)
            | Verb::Progress(_)
            | Verb::Sleep(_)
            | Verb::Ask(_)
            | Verb::Parse(_) => {}
            Verb::Publish(_)
            | Verb::Request(_)
            | Verb::Read(_)
            | Verb::Take(_)
            | Verb::Subjects(_)
            | Verb::Info(_)
            | Verb::Drop(_)
            | Verb::Erase(_) => self.messages(verb),
            Verb::Get(_)
            | Verb::Put(_)
            | Verb::Create(_)
            | Verb::Update(_)
            | Verb::Modify(_)
            | Verb::Lease(_)
            | Verb::Delete(_)
            | Verb::List(_) => self.keys(verb),
            Verb::Enqueue(_)
            | Verb::Claim(_)
            | Verb::Extend(_)
            | Verb::Complete(_)
            | Verb::Release(_)
            | Verb::Peek(_)
            | Verb::Depth(_)
            | Verb::Dead(_)
            | Verb::Revive(_)
            | Verb::DiscardDead(_) => self.queues(verb),
            Verb::Find(_)
            | Verb::Append(_)
            | Verb::ListFiles(_)
            | Verb::ReadFile(_)
            | Verb::WriteFile(_)
            | Verb::DeleteFile(_)
            | Verb::Run(_)
            | Verb::Connect(_)
            | Verb::Fetch(_) => self.outside(verb),
        }
    }

    fn messages(&mut self, verb: &Verb) {
        match verb {
            Verb::Publish(step) => match (&step.stream, &step.subject) {
                (Some(stream), subject) => {
                    self.stream(Action::Publish, stream, &step.with, one(subject));
                }
                (None, Some(subject)) => self.add(Action::Publish, On::Subject(subject.clone())),
                (None, None) => {}
            },
            Verb::Request(step) => self.request(step),
            Verb::Read(step) => {
                let subjects = match &step.subjects {
                    Some(SubjectList::List(list)) => Subjects::These(list.to_vec()),
                    Some(SubjectList::Expr(text)) => Subjects::Computed(text.clone()),
                    None => one(&step.subject),
                };
                self.stream(Action::Read, &step.stream, &step.with, subjects);
            }
            Verb::Take(step) => {
                let also = [
                    (true, Action::Take),
                    (step.wait.is_some(), Action::Await),
                    (step.keep.is_some(), Action::Trim),
                ];
                for (_, action) in also.into_iter().filter(|(does, _)| *does) {
                    self.stream(action, &step.stream, &step.with, Subjects::Own);
                }
                let at = &step.position;
                self.key(Action::Position, &at.bucket, &at.with, &at.key);
            }
            Verb::Subjects(step) => {
                let subjects = one(&step.subject);
                self.stream(Action::Subjects, &step.stream, &step.with, subjects);
            }
            Verb::Info(step) => {
                self.stream(Action::Info, &step.stream, &step.with, Subjects::Own);
            }
            Verb::Drop(step) => {
                self.stream(Action::Drop, &step.stream, &step.with, Subjects::Own);
            }
            Verb::Erase(step) => {
                self.stream(Action::Erase, &step.stream, &step.with, Subjects::Own);
            }
            _ => {}
        }
    }

    fn request(&mut self, step: &Request) {
        let subject = On::Subject(step.subject.clone());
        let Some(answers) = &step.answers else {
            return self.add(Action::Request, subject);
        };
        // What is sent asks for no reply but the server's "nobody listens".
        self.add(Action::Publish, subject);
        for answer in answers.iter() {
            self.add(Action::Listen, On::Inbox(answer.inbox.clone()));
        }
        match step.served.as_ref().map(|served| &served.subjects) {
            Some(SubjectList::List(list)) => {
                for subject in list.iter() {
                    self.add(Action::Ask, On::Subject(subject.clone()));
                }
            }
            Some(SubjectList::Expr(text)) => self.add(Action::Ask, On::Subjects(text.clone())),
            None => {}
        }
    }

    fn keys(&mut self, verb: &Verb) {
        match verb {
            Verb::Get(s) => self.key(Action::Get, &s.bucket, &s.with, &s.key),
            Verb::Put(s) => self.key(Action::Put, &s.bucket, &s.with, &s.key),
            Verb::Create(s) => self.key(Action::Create, &s.bucket, &s.with, &s.key),
            Verb::Update(s) => self.key(Action::Update, &s.bucket, &s.with, &s.key),
            Verb::Modify(s) => self.key(Action::Modify, &s.bucket, &s.with, &s.key),
            Verb::Delete(s) => self.key(Action::Delete, &s.bucket, &s.with, &s.key),
            Verb::Lease(s) => {
                self.bucket(Action::Lease, &s.bucket, &s.with, Keys::Any);
                self.add(Action::Request, On::Subject(s.alive.clone()));
            }
            Verb::List(s) => {
                let keys = s.under.clone().map_or(Keys::Any, Keys::Under);
                self.bucket(Action::List, &s.bucket, &s.with, keys);
            }
            _ => {}
        }
    }

    fn queues(&mut self, verb: &Verb) {
        match verb {
            Verb::Enqueue(s) => self.queue(Action::Enqueue, &s.queue),
            Verb::Claim(s) => {
                self.queue(Action::Claim, &s.queue);
                if s.wait.is_some() {
                    self.queue(Action::Await, &s.queue);
                }
            }
            Verb::Extend(s) => self.queue(Action::Extend, &s.queue),
            Verb::Complete(s) => self.queue(Action::Complete, &s.queue),
            Verb::Release(s) => self.queue(Action::Release, &s.queue),
            Verb::Peek(s) => self.queue(Action::Peek, &s.queue),
            Verb::Depth(s) => self.queue(Action::Depth, &s.queue),
            Verb::Dead(s) => self.queue(Action::Dead, &s.queue),
            Verb::Revive(s) => self.queue(Action::Revive, &s.queue),
            Verb::DiscardDead(s) => self.queue(Action::Discard, &s.queue),
            _ => {}
        }
    }

    /// What is not on NATS.
    fn outside(&mut self, verb: &Verb) {
        match verb {
            Verb::Find(s) => self.add(Action::Find, On::Table(s.table.clone())),
            Verb::Append(s) => self.add(Action::Append, On::Journal(s.journal.clone())),
            Verb::ListFiles(s) => self.add(Action::ListFiles, On::Folder(s.folder.clone())),
            Verb::ReadFile(s) => self.add(Action::ReadFile, On::Folder(s.folder.clone())),
            Verb::WriteFile(s) => self.add(Action::WriteFile, On::Folder(s.folder.clone())),
            Verb::DeleteFile(s) => self.add(Action::DeleteFile, On::Folder(s.folder.clone())),
            Verb::Run(s) => self.add(Action::Run, On::Program(s.program.clone())),
            Verb::Connect(s) => self.add(Action::Connect, On::Server(s.address.clone())),
            Verb::Fetch(s) => self.add(Action::Fetch, On::Server(s.url.clone())),
            _ => {}
        }
    }
}
