//! Style that a program can check, over the whole repository.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

const USUAL_LINES: usize = 600;
const MOST_LINES: usize = 1000;
/// Directories that are not the project's own text.
const SKIPPED: &[&str] = &["target", ".git", ".tools", "__pycache__", ".pytest_cache", "strongroom-data", "strongroom-data.secrets"];

struct Text {
    path: PathBuf,
    text: String,
}

impl Text {
    fn is(&self, extensions: &[&str]) -> bool {
        self.path.extension().and_then(|extension| extension.to_str()).is_some_and(|extension| extensions.contains(&extension))
    }

    fn is_this_test(&self) -> bool {
        self.path.ends_with("crates/strongroom/tests/tidy.rs")
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Every file of text, by its path in the repository.
fn texts() -> Vec<Text> {
    let (root, mut texts) = (root(), Vec::new());
    let mut dirs = vec![root.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            let name = entry.file_name();
            if kind.is_dir() && !SKIPPED.iter().any(|skipped| name == *skipped) {
                dirs.push(entry.path());
            } else if kind.is_file()
                && name != "Cargo.lock"
                && let Ok(text) = fs::read_to_string(entry.path())
            {
                texts.push(Text { path: entry.path().strip_prefix(&root).unwrap().to_owned(), text });
            }
        }
    }
    assert!(texts.len() > 100, "the repository was not found");
    texts
}

fn none(found: &[String]) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn no_file_is_longer_than_a_reader_bears() {
    let too_long = |text: &Text| {
        let lines = text.text.lines().count();
        let excused = lines <= MOST_LINES && text.text.contains("tidy: long because ");
        (lines > USUAL_LINES && !excused).then(|| format!("{}: {lines} lines", text.path.display()))
    };
    none(&texts().iter().filter(|text| text.is(&["rs", "py", "sh"])).filter_map(too_long).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_to_do_without_an_owner_and_a_reason() {
    let words = ["TODO", "FIXME", "XXX", "HACK"];
    let is_owned = |line: &str| {
        line.split_once("TODO(").and_then(|(_, rest)| rest.split_once("): ")).is_some_and(|(who, why)| !who.is_empty() && !why.is_empty())
    };
    let mut found = Vec::new();
    for text in texts().iter().filter(|text| text.is(&["rs", "py", "sh", "toml"]) && !text.is_this_test()) {
        for (number, line) in text.text.lines().enumerate() {
            let is_marked = words.iter().any(|word| line.split(|c: char| !c.is_alphanumeric()).any(|found| found == *word));
            if is_marked && !is_owned(line) {
                found.push(format!("{}:{}: {line}", text.path.display(), number + 1));
            }
        }
    }
    none(&found);
}

#[test]
fn every_variable_of_the_environment_is_documented() {
    let texts = texts();
    let documents: Vec<_> = texts.iter().filter(|text| text.is(&["md"])).collect();
    let keys = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let keys: Vec<_> = keys.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(key, _)| key).collect();
    let is_option = |name: &str| keys.iter().any(|key| format!("STRONGROOM_{}", key.replace('.', "_").to_uppercase()) == name);
    let mut found = Vec::new();
    for text in texts.iter().filter(|text| text.is(&["rs", "py", "sh"]) && !text.is_this_test()) {
        for name in variables(&text.text) {
            // Names that tests make up to be refused, and those of other programs.
            let is_example = text.path.starts_with("crates/strongroom/src/config") || text.path.starts_with("crates/strongroom/tests");
            if !is_example && !is_option(name) && !documents.iter().any(|document| document.text.contains(name)) {
                found.push(format!("{}: {name}", text.path.display()));
            }
        }
    }
    none(&found);
}

fn variables(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.split(move |c| !is_name(c)).filter(|name| name.len() > "STRONGROOM_".len() && name.starts_with("STRONGROOM_"))
}

#[test]
fn no_path_of_a_machine_is_mentioned() {
    let homes = ["/root/", "/home/", "/Users/"];
    let root = root();
    let mut found = Vec::new();
    for text in texts().iter().filter(|text| !text.is_this_test()) {
        for (number, line) in text.text.lines().enumerate() {
            let is_here = root.components().count() > 2 && line.contains(root.to_str().unwrap());
            if is_here || homes.iter().any(|home| line.contains(home)) {
                found.push(format!("{}:{}: {line}", text.path.display(), number + 1));
            }
        }
    }
    none(&found);
}

#[test]
fn every_source_file_is_part_of_its_crate() {
    let texts = texts();
    let sources: Vec<_> =
        texts.iter().filter(|text| text.is(&["rs"]) && text.path.components().any(|part| part.as_os_str() == "src")).collect();
    let is_named = |source: &Text| {
        let stem = source.path.file_stem().unwrap().to_str().unwrap();
        let dir = source.path.parent().unwrap();
        let (name, parent) = if stem == "mod" { (dir.file_name().unwrap().to_str().unwrap(), dir.parent().unwrap()) } else { (stem, dir) };
        let declares = |owner: &Path| {
            sources.iter().any(|text| {
                text.path == owner
                    && [format!("mod {name};"), format!("#[path = \"{name}.rs\"]")].iter().any(|named| text.text.contains(named))
            })
        };
        let owners = ["mod.rs", "lib.rs", "main.rs"].map(|file| parent.join(file));
        let beside = sources.iter().filter(|text| text.path.parent() == Some(dir)).any(|text| declares(&text.path));
        beside || owners.iter().any(|owner| declares(owner)) || declares(&parent.with_extension("rs"))
    };
    let is_root = |source: &Text| ["lib.rs", "main.rs"].iter().any(|name| source.path.ends_with(Path::new("src").join(name)));
    let dead = sources.iter().filter(|source| !is_root(source) && !is_named(source)).map(|source| source.path.display().to_string());
    none(&dead.collect::<Vec<_>>());
}
