//! docs/dependencies.md against Cargo.toml: every direct dependency is there with a reason, and no
//! other.

use std::collections::BTreeSet;

/// The keys of a section of Cargo.toml.
fn direct(section: &str) -> BTreeSet<String> {
    let manifest = std::fs::read_to_string("Cargo.toml").unwrap();
    let (_, rest) = manifest.split_once(&format!("[{section}]\n")).unwrap();
    let lines = rest.lines().take_while(|line| !line.starts_with('['));
    lines
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once(" =")?.0.to_owned()))
        .collect()
}

/// The rows of a table under a heading, as (name, reason).
fn documented(heading: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string("docs/dependencies.md").unwrap();
    let (_, rest) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let rows = rest
        .lines()
        .take_while(|line| !line.starts_with("## "))
        .filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        (cells[0].trim_matches('`').to_owned(), cells[1].to_owned())
    })
    .collect()
}

#[test]
fn every_direct_dependency_has_its_reason_in_the_docs() {
    for (section, heading) in [
        ("dependencies", "In the program"),
        ("dev-dependencies", "In the tests only"),
    ] {
        let rows = documented(heading);
        let names: Vec<_> = rows.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(
            names,
            direct(section).into_iter().collect::<Vec<_>>(),
            "docs/dependencies.md, {heading}"
        );
        for (name, reason) in rows {
            assert!(reason.len() > 20, "{name} has no reason");
        }
    }
}
