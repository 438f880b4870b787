//! The configuration file of the managed server.

use std::fmt::Write as _;
use std::path::Path;

use super::folder::{Folder, Token};

/// Renders the configuration. Without a `port` the server picks a free one.
///
/// Bounds: 256 MB of memory streams, 20 GB of file streams, four log files of 8 MB.
pub(super) fn render(folder: &Folder, instance: &str, token: &Token, port: Option<u16>) -> String {
    let port = port.map_or(-1, i32::from);
    format!(
        "# Written by jacquard at each start of the local server; changes are lost.\n\
         server_name: {name}\n\
         host: \"127.0.0.1\"\n\
         port: {port}\n\
         ports_file_dir: {dir}\n\
         pid_file: {pid}\n\
         log_file: {log}\n\
         logfile_size_limit: 8MB\n\
         logfile_max_num: 3\n\
         authorization {{ token: {token} }}\n\
         jetstream {{\n  store_dir: {store}\n  max_memory_store: 256MB\n  max_file_store: 20GB\n}}\n",
        name = quoted(Path::new(instance)),
        dir = quoted(folder.dir()),
        pid = quoted(&folder.pid_file()),
        log = quoted(&folder.log()),
        token = quoted(Path::new(token.as_str())),
        store = quoted(&folder.store()),
    )
}

/// A path as a string of the configuration language: in double quotes it knows `\\`, `\"` and `\xHH` for a byte
/// (nats-server `conf/lex.go`), so any path can be written.
pub(super) fn quoted(path: &Path) -> String {
    let mut text = String::from("\"");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(*byte)),
            // Writing to a String cannot fail.
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn any_path_can_be_quoted() {
        assert_eq!(quoted(Path::new("/a b/$c")), r#""/a b/$c""#);
        assert_eq!(quoted(Path::new(r#"C:\x"y"#)), r#""C:\\x\"y""#);
        assert_eq!(quoted(Path::new("é\n")), r#""\xc3\xa9\x0a""#);
    }

    #[test]
    fn the_server_listens_on_loopback_only_and_wants_the_token() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::create(temp.path()).unwrap();
        let token = folder.token(None).unwrap();
        let text = render(&folder, "jacquard-1", &token, None);
        assert!(text.contains("host: \"127.0.0.1\"\nport: -1\n"));
        assert!(text.contains(&format!(
            "authorization {{ token: \"{}\" }}",
            token.as_str()
        )));
        assert!(render(&folder, "jacquard-1", &token, Some(4222)).contains("port: 4222\n"));
    }
}
