//! The gateway over HTTP.

mod auth;
mod bad_input;
mod gate;
mod guards;
mod health;
