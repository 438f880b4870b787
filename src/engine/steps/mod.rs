//! Running the verbs: one file each. What a verb's keys mean stands in `src/spec/verbs/`.

mod append;
mod ask;
mod check;
mod claim;
mod complete;
mod connect;
mod create;
mod dead;
mod delete;
mod delete_file;
mod depth;
mod discard;
mod drop;
mod enqueue;
mod erase;
mod extend;
mod fail;
mod fetch;
mod find;
mod get;
mod info;
mod lease;
mod let_;
mod list;
mod list_files;
mod modify;
mod notify;
mod parse;
mod peek;
mod progress;
mod publish;
mod put;
mod queues;
mod read;
mod read_file;
mod release;
mod request;
mod require;
mod revive;
mod run;
mod set;
mod sleep;
mod subjects;
mod take;
mod update;
mod use_;
mod write_file;

use minijinja::value::Value;

use super::call::Call;
use super::failure::Failure;
use crate::spec::verbs::Verb;

/// What a verb leaves behind when its step is left out by `when`.
pub(super) fn skip(verb: &Verb, call: &mut Call<'_>) {
    if let Verb::Let(step) = verb {
        let_::skip(step, call);
    }
}

/// Runs one verb once; the value is what `as:` binds.
pub(super) async fn run(verb: &Verb, call: &mut Call<'_>) -> Result<Value, Failure> {
    match verb {
        Verb::Require(step) => require::run(step, call),
        Verb::Let(step) => let_::run(step, call),
        Verb::Set(step) => set::run(step, call),
        Verb::Use(step) => use_::run(step, call).await,
        Verb::Fail(step) => fail::run(step, call),
        Verb::Check(step) => check::run(step, call),
        Verb::Ask(step) => ask::run(step, call).await,
        Verb::Publish(step) => publish::run(step, call).await,
        Verb::Request(step) => request::run(step, call).await,
        Verb::Notify(step) => notify::run(step, call).await,
        Verb::Progress(step) => progress::run(step, call),
        Verb::Sleep(step) => sleep::run(step, call).await,
        Verb::Read(step) => read::run(step, call).await,
        Verb::Take(step) => take::run(step, call).await,
        Verb::Subjects(step) => subjects::run(step, call).await,
        Verb::Info(step) => info::run(step, call).await,
        Verb::Drop(step) => drop::run(step, call).await,
        Verb::Get(step) => get::run(step, call).await,
        Verb::Put(step) => put::run(step, call).await,
        Verb::Create(step) => create::run(step, call).await,
        Verb::Update(step) => update::run(step, call).await,
        Verb::Modify(step) => modify::run(step, call).await,
        Verb::Lease(step) => lease::run(step, call).await,
        Verb::Delete(step) => delete::run(step, call).await,
        Verb::List(step) => list::run(step, call).await,
        Verb::Find(step) => find::run(step, call).await,
        Verb::Append(step) => append::run(step, call).await,
        Verb::ListFiles(step) => list_files::run(step, call).await,
        Verb::ReadFile(step) => read_file::run(step, call).await,
        Verb::WriteFile(step) => write_file::run(step, call).await,
        Verb::DeleteFile(step) => delete_file::run(step, call).await,
        Verb::Parse(step) => parse::run(step, call),
        Verb::Run(step) => run::run(step, call).await,
        Verb::Connect(step) => connect::run(step, call).await,
        Verb::Fetch(step) => fetch::run(step, call).await,
        Verb::Erase(step) => erase::run(step, call).await,
        Verb::Enqueue(step) => enqueue::run(step, call).await,
        Verb::Claim(step) => claim::run(step, call).await,
        Verb::Extend(step) => extend::run(step, call).await,
        Verb::Complete(step) => complete::run(step, call).await,
        Verb::Release(step) => release::run(step, call).await,
        Verb::Peek(step) => peek::run(step, call).await,
        Verb::Depth(step) => depth::run(step, call).await,
        Verb::Dead(step) => dead::run(step, call).await,
        Verb::Revive(step) => revive::run(step, call).await,
        Verb::DiscardDead(step) => discard::run(step, call).await,
    }
}
