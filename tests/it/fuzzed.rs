//! The fuzz targets over their seeds and over every input that has ever broken something (`tests/fuzz/found`).

use std::path::{Path, PathBuf};

#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

use targets::Target;

/// The files of a folder; none where there is no such folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn run(target: Target) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let mut all = files(&root.join("seeds").join(target.name()));
    assert!(!all.is_empty(), "{target:?} has no seeds");
    all.extend(files(&root.join("found").join(target.name())));
    for path in all {
        // Shown where the test fails.
        println!("{}", path.display());
        target.run(&std::fs::read(path).unwrap());
    }
}

#[test]
fn what_broke_the_loading_of_specs_does_so_no_more() {
    run(Target::Specs);
}

#[test]
fn what_broke_the_protocol_over_pipes_does_so_no_more() {
    run(Target::Lines);
}

#[test]
fn what_broke_the_protocol_over_http_does_so_no_more() {
    run(Target::Bodies);
}

#[test]
fn every_folder_of_inputs_is_that_of_a_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    for folder in [root.join("seeds"), root.join("found")] {
        for path in files(&folder) {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(Target::named(name).is_some(), "{}", path.display());
        }
    }
}
