//! The gateway before a mesh of LOOM or Heddle.

mod caller;
mod council;
mod evals;
mod gateway;
mod letters;
mod repository;
mod resources;
mod served;
mod session;
mod wire;
mod workshop;
