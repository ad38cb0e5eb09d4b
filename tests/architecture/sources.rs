//! The production code of `src/`, file by file, as tokens.

use std::collections::BTreeSet;
use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::paths::{Reference, references};
use crate::tokens::tokens;

/// A file of `src/` without its tests.
pub(crate) struct Source {
    /// The first part of its path: a folder of `src/`, or a file there.
    pub(crate) room: String,
    /// Below `src/`.
    pub(crate) path: String,
    /// The module that it is, from the crate's root: `["monitor", "fleet"]`.
    pub(crate) module: Vec<String>,
    /// How many lines it has before its tests.
    pub(crate) lines: usize,
    /// Every path that its code names, imports expanded.
    pub(crate) references: Vec<Reference>,
}

/// Every file of `src/` that is part of the program; read once.
pub(crate) fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(read_sources);
    &SOURCES
}

fn read_sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let test_modules: BTreeSet<PathBuf> =
        files.iter().flat_map(|file| test_modules(file)).collect();
    files.retain(|file| {
        let module = file.with_extension("");
        !test_modules.iter().any(|tests| module.starts_with(tests))
    });
    files.iter().map(|file| source(&root, file)).collect()
}

/// Every file of Rust in this repository: the program, its tests, benches and fuzz targets.
pub(crate) fn rust_files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("build.rs")];
    for folder in ["src", "tests", "benches", "fuzz/src", "fuzz/fuzz_targets"] {
        collect(&root.join(folder), &mut files);
    }
    files
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

/// The modules that `file` declares for tests only, as paths without an ending.
fn test_modules(file: &Path) -> Vec<PathBuf> {
    let text = read_to_string(file).unwrap();
    let folder = folder_of_children(file);
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for pair in lines.windows(2) {
        if pair[0] != "#[cfg(test)]" {
            continue;
        }
        let declaration = pair[1].trim_start_matches("pub(crate) ");
        let name = declaration
            .strip_prefix("mod ")
            .and_then(|rest| rest.strip_suffix(';'));
        found.extend(name.map(|name| folder.join(name)));
    }
    found
}

/// Where the files of the modules lie that `file` declares.
fn folder_of_children(file: &Path) -> PathBuf {
    let stem = file.file_stem().unwrap();
    if ["mod", "lib", "main"].iter().any(|root| stem == *root) {
        file.parent().unwrap().to_owned()
    } else {
        file.with_extension("")
    }
}

fn source(root: &Path, file: &Path) -> Source {
    let relative = file.strip_prefix(root).unwrap();
    let mut module: Vec<String> = relative
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if module.len() > 1 && module.last().unwrap() == "mod" {
        module.pop();
    }
    let text = read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    Source {
        room: module[0].clone(),
        path: relative.to_string_lossy().into_owned(),
        module,
        lines: code.lines().count(),
        references: references(&tokens(code)),
    }
}
