//! The gateway before a mesh of LOOM or Heddle.

mod broken;
mod caller;
mod calls;
mod council;
mod desk;
mod evals;
mod gateway;
mod letters;
mod odd;
mod outage;
mod pipelines;
mod queries;
mod repository;
mod resources;
mod served;
mod session;
mod wire;
mod workshop;
