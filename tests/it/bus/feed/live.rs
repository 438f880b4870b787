//! As soon as it is heard.
