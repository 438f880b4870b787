//! Listening on a subject: its messages come while the session listens.

use minijinja::value::Value;

use super::{Ear, Left};
use crate::bus::{Message, Outgoing, Subscription};
use crate::engine::background::guarded;
use crate::engine::failure::Failure;
use crate::engine::payload;

/// Messages of one listener that wait for their turn; more are dropped, and that is logged.
const QUEUE: usize = 256;

impl Ear {
    /// Listens on a subject. An engine that means the same subject goes on with the subscription.
    pub(super) async fn hear(&mut self) -> Left {
        let mut open: Option<(String, Subscription)> = None;
        loop {
            let engine = self.engine();
            let (subject, mut gate) = match (self.subject(), self.gate(&engine)) {
                (Ok(subject), Ok(gate)) => (subject, gate),
                (Err(failure), _) | (_, Err(failure)) => return self.gives_up(failure).await,
            };
            if !self.connected().await {
                return Left::Over;
            }
            let messages = match &mut open {
                Some((of, messages)) if *of == subject => messages,
                _ => match self.subscribe(&subject).await {
                    Some(messages) => &mut open.insert((subject, messages)).1,
                    None => match self.rest().await {
                        Some(left) => return left,
                        None => continue,
                    },
                },
            };
            loop {
                let message = tokio::select! {
                    biased;
                    () = self.routine.turned() => break,
                    message = messages.next() => message,
                };
                // The connection was closed for good.
                let Some(message) = message else {
                    return Left::Over;
                };
                let item = payload::message(&message);
                if self.wanted(&mut gate, &item) {
                    let outcome = guarded(self.answer(item, message)).await;
                    self.routine.note(outcome);
                }
            }
            if let Some(left) = self.turn() {
                return left;
            }
        }
    }

    async fn subscribe(&mut self, subject: &str) -> Option<Subscription> {
        let subjects = [subject.to_owned()];
        let opened = self.routine.engine.bus.subscribe(&subjects, QUEUE).await;
        self.open();
        match opened {
            Ok(messages) => {
                self.routine.note(Ok(()));
                Some(messages)
            }
            Err(error) => {
                self.routine.note(Err(error.into()));
                None
            }
        }
    }

    /// Runs the steps for a message, and answers it if it asks for that.
    async fn answer(&self, item: Value, message: Message) -> Result<(), Failure> {
        let Some(listener) = &self.listener else {
            return Ok(());
        };
        let mut call = self.routine.call();
        call.scope.bind("item", item);
        call.steps(&listener.steps).await?;
        let (Some(reply), Some(to)) = (&listener.reply, message.reply) else {
            return Ok(());
        };
        let answer = payload::encode(&call.templates().tree(reply, &call.context())?)?;
        call.bus().publish(Outgoing::new(to, answer)).await?;
        Ok(())
    }
}
