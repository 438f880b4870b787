//! The gateway before a mesh of LOOM or Heddle.

mod caller;
mod gateway;
mod odd;
mod wire;
