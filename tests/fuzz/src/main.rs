//! The fuzz targets, in one binary.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let files = jacquard::spec::files::PackFiles { name: "p".into(), specs: vec![jacquard::spec::source::Source::new("p.yaml", text.to_owned())], templates: Default::default() };
        let (_, report) = jacquard::spec::load::load(&files);
        let _ = report.render(true);
    }
});
