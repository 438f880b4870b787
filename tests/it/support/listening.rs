//! A process that serves HTTP.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// A gateway that listens. Dropping it does not end it.
pub struct Listening {
    pub child: Child,
    /// Where it listens.
    pub url: String,
    /// What it has logged so far.
    pub stderr: Arc<Mutex<String>>,
}

impl Listening {
    /// Starts it, and waits until it says where it listens.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let stderr = Arc::new(Mutex::new(String::new()));
        let mut url = None;
        while url.is_none() {
            let Some(Ok(line)) = lines.next() else {
                panic!("the gateway does not listen: {}", stderr.lock().unwrap());
            };
            stderr.lock().unwrap().push_str(&format!("{line}\n"));
            if let Some((_, rest)) = line.split_once("listening on ") {
                url = rest.split_whitespace().next().map(str::to_owned);
            }
        }
        let log = Arc::clone(&stderr);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut log = log.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self {
            child,
            url: url.unwrap(),
            stderr,
        }
    }
}
