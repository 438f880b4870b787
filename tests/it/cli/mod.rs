//! The command line: exit codes, standard output, standard error.

mod bad_input;
mod commands;
mod docs;
mod install;
mod snd;
