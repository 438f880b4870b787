//! The gateway before a mesh of LOOM or Heddle.

mod caller;
mod council;
mod gateway;
mod resources;
mod served;
mod session;
mod wire;
mod workshop;
