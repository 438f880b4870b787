//! The command line: exit codes, standard output, standard error.

mod bad;
mod bad_input;
mod ci;
mod commands;
mod docs;
mod doctor;
mod examples;
mod install;
mod new;
mod snd;
mod tools;
mod validate;
