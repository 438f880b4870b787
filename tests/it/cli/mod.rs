//! The command line: exit codes, standard output, standard error.

mod bad;
mod bad_input;
mod commands;
mod install;
mod snd;
