//! The catalog.
pub mod builtin;
