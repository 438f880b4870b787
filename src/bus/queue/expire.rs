//! Burying what is too late although nobody claims it.

use super::leases::lost;
use super::settle::{Asked, settle};
use super::types::{ItemState, Lane};
use super::wire::{Delivery, is_over};
use super::{Queue, look};
use crate::bus::error::{Error, ErrorKind};
use crate::bus::time::nanos_of;
use std::time::{Duration, SystemTime};

/// Most messages of one look at some lanes.
const SCAN: usize = 10_000;

/// Takes the turn to look: true for one of all processes in this time, so that a fleet does not read a queue all at once.
pub(super) async fn begins(queue: &Queue, every: Duration) -> Result<bool, Error> {
    let leases = &queue.spec().leases;
    if leases.spec().limit_markers.is_none() {
        // Its entries have no life of their own: there is no way to take turns.
        return Ok(true);
    }
    // No token of a lane begins so.
    let key = format!("=turn.{}", queue.spec().name);
    match leases.create(&key, "{}", Some(every)).await {
        Ok(_) => Ok(true),
        Err(error) if lost(&error) => Ok(false),
        // An existing bucket of another make may not know the life of an entry.
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(true),
        Err(error) => Err(error),
    }
}

/// Buries the items of these lanes whose time is over; what somebody holds stays with them.
pub(super) async fn expire(queue: &Queue, lanes: &[Lane]) -> Result<usize, Error> {
    let found = look::peek(queue, lanes, SCAN).await?;
    let mut buried = 0;
    for item in found.items {
        let late = queue.0.rules.look(&item.message).expires;
        let (Some(lane), true) = (
            lanes.get(item.lane),
            item.state == ItemState::Pending && late.is_some_and(|time| is_over(&time)),
        ) else {
            continue;
        };
        let asked = Asked {
            lane,
            index: item.lane,
            level: item.level,
            holder: "",
        };
        let delivery = Delivery {
            time: nanos_of(&item.message.time).unwrap_or_default(),
            stored: item.message,
            ack: None,
        };
        // What is too late is buried there, and never claimed.
        settle(queue, &asked, delivery, SystemTime::now()).await?;
        buried += 1;
    }
    Ok(buried)
}
