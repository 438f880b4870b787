fn main() {
    let dir = std::env::args().nth(1).unwrap();
    let files = jacquard::spec::load::read_folder(std::path::Path::new(&dir), &dir).unwrap();
    let (pack, report) = jacquard::spec::load::load(&files);
    println!("{}", report.render(false));
    println!("{}", pack.is_some());
}
