//! Packages of other languages that tests run: fetched once, at the versions that a file pins, and kept in the target folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long one step of fetching may take.
const FETCH: Duration = Duration::from_secs(300);

/// What is fetched.
pub struct Wanted<'a> {
    /// The folder's name below the target folder.
    pub name: &'a str,
    /// Below `tests`: where the files are.
    pub source: &'a str,
    /// The file that pins the versions, then the others that are needed beside it.
    pub files: &'a [&'a str],
    /// The programs it takes, for whoever lacks them.
    pub needs: &'a str,
}

impl Wanted<'_> {
    /// The folder with the packages. Made by the first of all test processes, by these commands.
    pub fn folder(&self, steps: impl Fn(&Path) -> Vec<Vec<String>>) -> PathBuf {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = target.join(self.name);
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let source = tests.join(self.source);
        let lock = File::create(target.join(format!("{}.lock", self.name))).unwrap();
        lock.lock().unwrap();
        let pins = fs::read_to_string(source.join(self.files[0])).unwrap();
        let done = folder.join("fetched");
        let fetched = fs::read_to_string(&done).is_ok_and(|before| before == pins);
        if !fetched && folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(&folder).unwrap();
        for name in self.files {
            fs::copy(source.join(name), folder.join(name)).unwrap();
        }
        if !fetched {
            for step in steps(&folder) {
                self.step(&folder, &step);
            }
            fs::write(done, pins).unwrap();
        }
        folder
    }

    /// A virtual environment with what `requirements.txt` pins.
    pub fn python(&self) -> PathBuf {
        self.folder(|folder| {
            let python = interpreter(folder).display().to_string();
            let requirements = folder.join("requirements.txt").display().to_string();
            let install = "-m pip install --quiet --no-deps -r".split(' ');
            vec![
                ["python3", "-m", "venv", "."].map(str::to_owned).to_vec(),
                std::iter::once(python)
                    .chain(install.map(str::to_owned))
                    .chain([requirements])
                    .collect(),
            ]
        })
    }

    /// What `package-lock.json` pins. No script of a package is run.
    pub fn npm(&self) -> PathBuf {
        let ci = "npm ci --ignore-scripts --no-audit --no-fund".split(' ');
        self.folder(|_| vec![ci.clone().map(str::to_owned).collect()])
    }

    /// With the environment of the tests: it may say where packages come from, and which certificates to trust.
    fn step(&self, folder: &Path, step: &[String]) {
        let needs = self.needs;
        let log = folder.join("fetch.log");
        let output = File::create(&log).unwrap();
        let mut child = Command::new(&step[0])
            .args(&step[1..])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("these tests need {needs}: {}: {error}", step[0]));
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if started.elapsed() > FETCH {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let said = fs::read_to_string(&log).unwrap_or_default();
        assert!(
            status.success(),
            "these tests need {needs}, and its packages: {step:?} ended with {status}:\n{said}"
        );
    }
}

/// The Node that `tests/node` pins, for programs that need a newer one than machines have. It comes as a package for each
/// platform, so that no script has to fetch it.
pub fn node() -> PathBuf {
    let wanted = Wanted {
        name: "node",
        source: "node",
        files: &["package-lock.json", "package.json"],
        needs: "npm",
    };
    wanted.npm().join("node_modules/.bin/node")
}

/// Python inside such a folder.
pub fn interpreter(folder: &Path) -> PathBuf {
    folder.join(if cfg!(windows) {
        "Scripts/python.exe"
    } else {
        "bin/python"
    })
}
