//! The gateway before a mesh of LOOM or Heddle.

mod broken;
mod caller;
mod calls;
mod desk;
mod gateway;
mod outage;
mod pipelines;
mod queries;
mod wire;
