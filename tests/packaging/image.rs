//! The image's build: the files that reach the builder are all that it reads. There is no container
//! engine where this runs, so a build would not show that one is missing.

use std::path::Path;

/// The paths that .dockerignore lets through; it shuts out everything else.
fn let_through() -> Vec<String> {
    let text = std::fs::read_to_string(".dockerignore").unwrap();
    let rules = text.lines().filter(|line| !line.starts_with('#'));
    let rules: Vec<&str> = rules.filter(|line| !line.is_empty()).collect();
    assert_eq!(
        rules.first(),
        Some(&"*"),
        "this test reads a list of exceptions"
    );
    let exceptions = rules.iter().skip(1);
    exceptions
        .map(|rule| rule.strip_prefix('!').expect("an exception").to_owned())
        .collect()
}

fn reaches(path: &str, through: &[String]) -> bool {
    let is_in = |rule: &String| path == rule || path.starts_with(&format!("{rule}/"));
    through.iter().any(is_in)
}

/// The folders in which cargo looks for the targets that Cargo.toml names.
fn target_folders() -> Vec<&'static str> {
    let manifest = std::fs::read_to_string("Cargo.toml").unwrap();
    let kinds = [
        ("[lib]", "src"),
        ("[[test]]", "tests"),
        ("[[bench]]", "benches"),
        ("[[example]]", "examples"),
    ];
    let named = kinds
        .into_iter()
        .filter(|(kind, _)| manifest.contains(kind));
    named.map(|(_, folder)| folder).collect()
}

/// The files outside src that sources include, as `concat!("../../../docs/runbooks/", ...)` does.
fn included(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            included(&path, found);
            continue;
        }
        if path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        // What only tests read is read where there is a whole clone.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for part in text.split("include_str!(").skip(1) {
            let Some(literal) = part.split('"').nth(1) else {
                continue;
            };
            let from = path.parent().unwrap().join(literal);
            let outside = normal(&from);
            if !outside.starts_with("src/") {
                found.push(outside);
            }
        }
    }
}

/// The path without `..`, from the project's folder.
fn normal(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.to_str().unwrap().split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn everything_that_the_build_reads_reaches_the_builder() {
    let through = let_through();
    let mut needed: Vec<String> = [
        "Cargo.toml",
        "Cargo.lock",
        "build.rs",
        "templates/base.html",
        "LICENSE",
        ".ci/build-static",
    ]
    .map(str::to_owned)
    .into();
    needed.extend(target_folders().into_iter().map(str::to_owned));
    let before = needed.len();
    included(Path::new("src"), &mut needed);
    assert!(
        needed.len() > before,
        "the runbooks are part of the program"
    );
    let missing: Vec<_> = needed
        .iter()
        .filter(|path| !reaches(path, &through))
        .collect();
    assert!(missing.is_empty(), ".dockerignore keeps back {missing:?}");
    assert!(!reaches("target/debug", &through) && !reaches("docs/images", &through));
}

/// The value of a key of a file with lines such as `key: value` or `key = "value"`.
fn value_of(file: &str, key: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let value = line.unwrap_or_else(|| panic!("{file} has no {key}"));
    value.trim_matches([' ', ':', '=', '"']).to_owned()
}

#[test]
fn the_chart_has_the_programs_version_and_place() {
    let chart = "deploy/helm/redis-cross-dc-exporter/Chart.yaml";
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(value_of(chart, "version"), version);
    assert_eq!(value_of(chart, "appVersion"), version);
    assert_eq!(value_of(chart, "home"), value_of("Cargo.toml", "homepage"));
}
