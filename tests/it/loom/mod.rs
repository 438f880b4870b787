//! The gateway before a mesh of LOOM or Heddle.

mod caller;
mod calls;
mod council;
mod desk;
mod gateway;
mod outage;
mod pipelines;
mod queries;
mod resources;
mod served;
mod session;
mod wire;
mod workshop;
