//! The project a gateway runs in: its path, id and namespace, its channels, and the settings of its files.
//!
//! Everything here is read by [`discover`], at start and again when a file has changed. A file that is broken stops the start
//! with a report of all its problems; nothing is guessed in its place.

mod environment;
mod facts;
mod file;
mod locate;
mod secret;

pub use environment::Environment;
pub use facts::{DEFAULT_URL, Facts, NatsUrl, Origin, discover};
pub use file::{
    Channel, Format, Level, Logging, ProjectFile, WorkQueue, check_project_file, project_schema,
};
pub use locate::{PROJECT_FILES, project_places, user_place};
pub use secret::Secret;
