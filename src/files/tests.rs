#![allow(clippy::unwrap_used)]

use std::fs;

use tempfile::TempDir;

use super::*;

fn place() -> (TempDir, Folder) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("in");
    fs::create_dir(&path).unwrap();
    fs::write(home.path().join("secret.txt"), "no").unwrap();
    let folder = Folder::open(&path).unwrap();
    (home, folder)
}

fn names(folder: &Folder, patterns: &[&str], recursive: bool, limit: usize) -> (Vec<String>, bool) {
    let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
    let listed = folder
        .list(&Listing {
            patterns: &patterns,
            recursive,
            after: None,
            limit,
        })
        .unwrap();
    let names = listed.files.into_iter().map(|file| file.name).collect();
    (names, listed.truncated)
}

fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn names_that_do_not_stay_inside_are_refused() {
    let (_home, folder) = place();
    let long = "x".repeat(MAX_NAME_BYTES + 1);
    for bad in [
        "",
        ".",
        "./",
        "/",
        "/etc/passwd",
        "..",
        "../secret.txt",
        "a/../../secret.txt",
        "a/..",
        "./../secret.txt",
        "a/",
        "a\nb",
        "a\0b",
        "\u{7f}",
        &long,
    ] {
        assert_eq!(kind(folder.read(bad, 10)), ErrorKind::BadName, "{bad:?}");
        assert_eq!(kind(folder.look(bad)), ErrorKind::BadName, "{bad:?}");
        assert_eq!(kind(folder.remove(bad)), ErrorKind::BadName, "{bad:?}");
        assert_eq!(
            kind(folder.write(bad, b"x", Replace::Any)),
            ErrorKind::BadName,
            "{bad:?}"
        );
    }
    for (name, path) in [
        ("a//b", "a/b"),
        ("./a/./b", "a/b"),
        ("..a", "..a"),
        ("a b", "a b"),
    ] {
        assert_eq!(name::text(&check_name(name).unwrap()), path);
    }
}

#[test]
fn files_are_written_whole_read_and_removed() {
    let (_home, folder) = place();
    let written = folder.write("notes/./a.md", b"one", Replace::Any).unwrap();
    assert_eq!(
        (written.name.as_str(), written.created),
        ("notes/a.md", true)
    );
    assert!(
        !folder
            .write("notes/a.md", b"two!", Replace::Any)
            .unwrap()
            .created
    );
    let content = folder.read("notes/a.md", 4).unwrap();
    assert_eq!(content.bytes, b"two!");
    assert!(content.modified.is_some());
    assert_eq!(folder.look("notes/a.md").unwrap().bytes, 4);
    assert_eq!(kind(folder.read("notes/a.md", 3)), ErrorKind::TooLarge);
    assert_eq!(kind(folder.read("notes", 3)), ErrorKind::NotAFile);
    assert_eq!(kind(folder.read("notes/b.md", 3)), ErrorKind::NotFound);
    assert_eq!(kind(folder.read("notes/a.md/b", 3)), ErrorKind::NotFound);
    assert_eq!(kind(folder.remove("notes")), ErrorKind::NotAFile);
    assert!(folder.remove("notes/a.md").unwrap());
    assert!(!folder.remove("notes/a.md").unwrap());
}

#[test]
fn a_write_may_be_bound_to_what_is_there() {
    let (home, folder) = place();
    assert_eq!(
        kind(folder.write("a", b"1", Replace::Existing)),
        ErrorKind::NotFound
    );
    assert!(folder.write("a", b"1", Replace::Nothing).unwrap().created);
    assert_eq!(
        kind(folder.write("a", b"2", Replace::Nothing)),
        ErrorKind::AlreadyExists
    );
    assert!(!folder.write("a", b"3", Replace::Existing).unwrap().created);
    let left: Vec<_> = fs::read_dir(home.path().join("in")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(folder.read("a", 9).unwrap().bytes, b"3");
}

#[test]
fn a_list_is_sorted_matched_and_bounded() {
    let (home, folder) = place();
    for name in [
        "b.yaml",
        "a.yaml",
        "c.md",
        ".hidden.yaml",
        "d.yaml~",
        "g\n.yaml",
        "sub/e.yaml",
        "sub/deep/f.yaml",
    ] {
        let path = home.path().join("in").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    let all = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        names(&folder, &[], false, 10),
        (all(&[".hidden.yaml", "a.yaml", "b.yaml", "c.md"]), false)
    );
    assert_eq!(
        names(&folder, &["[ab].yaml", "*.md"], false, 10).0,
        all(&["a.yaml", "b.yaml", "c.md"])
    );
    assert_eq!(
        names(&folder, &["*.yaml"], true, 10).0,
        all(&[
            ".hidden.yaml",
            "a.yaml",
            "b.yaml",
            "sub/deep/f.yaml",
            "sub/e.yaml"
        ])
    );
    assert_eq!(
        names(&folder, &["sub/*"], true, 10).0,
        all(&["sub/deep/f.yaml", "sub/e.yaml"])
    );
    assert_eq!(
        names(&folder, &[], false, 2),
        (all(&[".hidden.yaml", "a.yaml"]), true)
    );
    assert!(!names(&folder, &[], false, 4).1);
    let listing = Listing {
        patterns: &[],
        recursive: false,
        after: Some("a.yaml"),
        limit: 1,
    };
    let next = folder.list(&listing).unwrap();
    assert_eq!(
        (next.files[0].name.as_str(), next.truncated),
        ("b.yaml", true)
    );
    assert_eq!(
        check_pattern("[a").unwrap_err().kind(),
        ErrorKind::BadPattern
    );
}

#[test]
fn a_name_is_selected_as_it_is_listed() {
    let patterns = ["*.yaml".to_owned(), "sub/*".to_owned()];
    for (recursive, name, expected) in [
        (false, "a.yaml", true),
        (false, "a.md", false),
        (false, "a.yaml~", false),
        (false, "sub/a.yaml", false),
        (true, "sub/a.yaml", true),
        (true, "sub/a.md", true),
        (true, "x/a.md", false),
    ] {
        let listing = Listing {
            patterns: &patterns,
            recursive,
            after: None,
            limit: 1,
        };
        assert_eq!(listing.selects(name), expected, "{recursive} {name}");
    }
}

#[test]
fn a_folder_is_opened_or_made() {
    let (home, _folder) = place();
    let missing = home.path().join("x/y");
    assert_eq!(kind(Folder::open(&missing)), ErrorKind::NotFound);
    assert_eq!(
        kind(Folder::open(&home.path().join("secret.txt"))),
        ErrorKind::NotAFolder
    );
    assert_eq!(Folder::create(&missing).unwrap().path(), missing);
    assert!(Folder::open(&missing).is_ok());
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn links_out_of_the_folder_are_refused_and_not_listed() {
        let (home, folder) = place();
        let inside = home.path().join("in");
        symlink("../secret.txt", inside.join("relative")).unwrap();
        symlink(home.path().join("secret.txt"), inside.join("absolute")).unwrap();
        symlink(home.path(), inside.join("up")).unwrap();
        symlink("nowhere", inside.join("dangling")).unwrap();
        symlink("../nowhere", inside.join("new")).unwrap();
        symlink("round", inside.join("round")).unwrap();
        for name in ["relative", "absolute", "up/secret.txt", "up/new.txt", "new"] {
            assert_eq!(kind(folder.read(name, 10)), ErrorKind::Outside, "{name}");
            assert_eq!(kind(folder.look(name)), ErrorKind::Outside, "{name}");
            assert_eq!(
                kind(folder.write(name, b"x", Replace::Any)),
                ErrorKind::Outside,
                "{name}"
            );
        }
        assert_eq!(kind(folder.remove("up/secret.txt")), ErrorKind::Outside);
        assert_eq!(
            kind(folder.write("dangling", b"x", Replace::Any)),
            ErrorKind::Io
        );
        assert_eq!(kind(folder.read("round", 10)), ErrorKind::Io);
        assert_eq!(names(&folder, &[], true, 10).0, Vec::<String>::new());
        // The link itself is inside.
        assert!(folder.remove("absolute").unwrap());
        assert_eq!(
            fs::read_to_string(home.path().join("secret.txt")).unwrap(),
            "no"
        );
        assert!(!home.path().join("nowhere").exists());
    }

    #[test]
    fn links_inside_are_followed_and_stay() {
        let (home, folder) = place();
        folder.write("sub/a", b"1", Replace::Any).unwrap();
        symlink("sub/a", home.path().join("in/b")).unwrap();
        assert_eq!(names(&folder, &[], false, 10).0, ["b"]);
        folder.write("b", b"2", Replace::Any).unwrap();
        assert_eq!(folder.read("sub/a", 10).unwrap().bytes, b"2");
        assert!(home.path().join("in/b").is_symlink());
    }

    #[test]
    fn permissions_are_kept() {
        let (home, folder) = place();
        folder.write("a.sh", b"1", Replace::Any).unwrap();
        let path = home.path().join("in/a.sh");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
        folder.write("a.sh", b"2", Replace::Any).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o750
        );
    }

    #[test]
    fn a_pipe_is_no_file_and_does_not_hold_up() {
        let (home, folder) = place();
        let path = home.path().join("in/pipe");
        let made = std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap();
        assert!(made.success());
        assert_eq!(kind(folder.read("pipe", 10)), ErrorKind::NotAFile);
        assert_eq!(
            kind(folder.write("pipe", b"x", Replace::Any)),
            ErrorKind::NotAFile
        );
        assert!(names(&folder, &[], false, 10).0.is_empty());
    }
}
