//! The built-in packs, as the build script lowered them from `specs/`.
#![allow(missing_docs, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/builtin.rs"));
