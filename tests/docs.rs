//! The documents: links lead somewhere, configurations in them are accepted, and no file depends on
//! where it was written.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what cannot be read has to fail the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use redis_cross_dc_exporter::config::{Environment, Format, parse};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every document at the top and in docs/.
fn documents() -> Vec<PathBuf> {
    let folders = [
        root().to_owned(),
        root().join("docs"),
        root().join("docs/runbooks"),
    ];
    let entries = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap().flatten());
    let mut found: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    found.sort();
    found
}

/// The lines of `text`, each with the language of its code block.
fn lines(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut block = None;
    text.lines().filter_map(move |line| {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            block = block.is_none().then(|| language.trim());
            return None;
        }
        Some((line, block))
    })
}

/// What the links of a document lead to. A link in code does not count.
fn targets(text: &str) -> Vec<String> {
    let prose: Vec<&str> = lines(text)
        .filter(|(_, block)| block.is_none())
        .map(|(line, _)| line)
        .collect();
    let plain: String = prose.join("\n").split('`').step_by(2).collect();
    let starts = plain
        .match_indices("](")
        .map(|(at, mark)| &plain[at + mark.len()..]);
    starts
        .filter_map(|rest| Some(rest.split_once(')')?.0.split(' ').next()?.to_owned()))
        .collect()
}

/// The anchors that GitHub gives the headings of a document.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let headings = lines(text).filter(|(line, block)| block.is_none() && line.starts_with('#'));
    let name = |(line, _): (&str, _)| {
        let slug = slug(line.trim_start_matches('#').trim());
        let before = seen.entry(slug.clone()).or_default();
        *before += 1;
        if *before == 1 {
            slug
        } else {
            format!("{slug}-{}", *before - 1)
        }
    };
    headings.map(name).collect()
}

fn slug(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| {
        if c == ' ' {
            '-'
        } else {
            c.to_ascii_lowercase()
        }
    })
    .collect()
}

/// Why `target`, a link in `document`, leads nowhere; `None` when it leads somewhere, or out of the
/// project.
fn broken(document: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() {
        document.to_owned()
    } else {
        document.parent()?.join(file)
    };
    if !path.exists() {
        return Some(format!(
            "{}: {target}: there is no such file",
            document.display()
        ));
    }
    let is_there = anchor.is_empty() || anchors(&read(&path)).contains(anchor);
    (!is_there).then(|| format!("{}: {target}: there is no such heading", document.display()))
}

#[test]
fn every_link_leads_somewhere() {
    let documents = documents();
    let links = documents.iter().flat_map(|path| {
        targets(&read(path))
            .into_iter()
            .map(move |target| (path, target))
    });
    let broken: Vec<_> = links
        .filter_map(|(path, target)| broken(path, &target))
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_document_is_in_the_index() {
    let index = root().join("docs/README.md");
    let linked: BTreeSet<PathBuf> = targets(&read(&index))
        .iter()
        .map(|target| root().join("docs").join(target).canonicalize().unwrap())
        .collect();
    let is_missing = |path: &PathBuf| {
        let is_runbook = path.parent() == Some(&root().join("docs/runbooks"));
        *path != index && !is_runbook && !linked.contains(&path.canonicalize().unwrap())
    };
    let missing: Vec<_> = documents().into_iter().filter(is_missing).collect();
    assert!(
        missing.is_empty(),
        "docs/README.md does not list {missing:?}"
    );
}

/// The sections of which a configuration has at least one.
const SECTIONS: [&str; 4] = ["pairs:", "sentinels:", "clusters:", "active_active:"];

/// The YAML blocks of a document that are whole configurations of this program.
fn configurations(text: &str) -> Vec<&str> {
    let blocks = text
        .split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.strip_prefix("yaml\n"));
    let has_section = |line: &str| SECTIONS.iter().any(|section| line.starts_with(section));
    blocks
        .filter(|block| block.lines().any(has_section))
        .collect()
}

/// An environment in which every variable that `text` uses is set.
fn environment(text: &str) -> Environment {
    let names = text
        .split("${")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('}')?.0.to_owned()));
    names
        .map(|name| (name, "https://example.com/value".to_owned()))
        .collect()
}

#[test]
fn every_configuration_in_the_documents_is_accepted() {
    let readme = root().join("README.md");
    assert!(
        !configurations(&read(&readme)).is_empty(),
        "the README shows a configuration"
    );
    for document in documents() {
        for text in configurations(&read(&document)) {
            let parsed = parse(text, Format::Yaml, root(), &environment(text));
            assert!(
                parsed.is_ok(),
                "{}:\n{text}\n{}",
                document.display(),
                parsed.unwrap_err()
            );
        }
    }
}

/// The real program judges every pattern of docs/topologies.md, as its reader would have it done.
#[test]
fn check_config_accepts_every_pattern_of_the_topologies() {
    let text = read(&root().join("docs/topologies.md"));
    let patterns = configurations(&text);
    for section in SECTIONS {
        let has_it = |pattern: &&str| pattern.lines().any(|line| line.starts_with(section));
        assert!(patterns.iter().any(has_it), "no pattern has {section}");
    }
    assert!(patterns.len() >= 6, "{}", patterns.len());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("redis-cross-dc-exporter.yml");
    for pattern in patterns {
        std::fs::write(&file, pattern).unwrap();
        let program = env!("CARGO_BIN_EXE_redis-cross-dc-exporter");
        let output = Command::new(program)
            .args(["check-config", "--syntax-only", "--config.file"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{pattern}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// The text of every file in examples/, by its path.
fn examples() -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(root().join("examples"))
        .unwrap()
        .flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| (path.clone(), read(&path)))
        .collect()
}

#[test]
fn every_example_is_accepted_and_linked_from_the_readme() {
    let examples = examples();
    assert!(examples.len() >= 4, "the examples are where they were");
    let readme = read(&root().join("README.md"));
    for (path, text) in examples {
        let variables = environment(&text.replace("${WEBHOOK_SIGNING_SECRET}", "${X}"));
        let signing = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let text = text.replace("${WEBHOOK_SIGNING_SECRET}", signing);
        let parsed = parse(&text, Format::Yaml, root(), &variables);
        assert!(
            parsed.is_ok(),
            "{}: {}",
            path.display(),
            parsed.unwrap_err()
        );
        let name = path.file_name().unwrap().to_string_lossy();
        assert!(readme.contains(&format!("(examples/{name})")), "{name}");
    }
}

/// The files that git keeps.
fn tracked() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output();
    let output =
        output.unwrap_or_else(|error| panic!("git cannot be run ({error}): apt-get install git"));
    assert!(
        output.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let names = String::from_utf8(output.stdout).unwrap();
    names
        .split_terminator('\0')
        .map(|name| root().join(name))
        .collect()
}

#[test]
fn no_file_depends_on_the_place_where_it_was_written() {
    // Written in two parts, so that this file does not hold them itself.
    let foreign = [
        concat!("/wo", "rk/"),
        concat!(".lib", "rary"),
        concat!("crates", ".io/"),
        concat!("pypi", ".org"),
        concat!("registry.npm", "js.org"),
        concat!("deb.deb", "ian.org"),
    ];
    let mut found = Vec::new();
    // Cargo.lock names the registry of every package, as it must.
    for path in tracked()
        .into_iter()
        .filter(|path| path.is_file() && !path.ends_with("Cargo.lock"))
    {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        found.extend(
            foreign
                .iter()
                .filter(|word| text.contains(**word))
                .map(|word| format!("{}: {word}", path.display())),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn links_and_headings_are_read_as_github_reads_them() {
    let text = "# A `b`, c\n## Two words\n## Two words\n[x](a.md#y) `[no](z)`\n```\n[no](z)\n# no\n```\n![i](p.png \"t\")\n";
    assert_eq!(targets(text), ["a.md#y", "p.png"]);
    let expected = ["a-b-c", "two-words", "two-words-1"];
    assert_eq!(anchors(text), expected.map(str::to_owned).into());
    assert_eq!(
        configurations("```yaml\npairs: []\n```\n```yaml\nscrape_configs: []\n```\n"),
        ["pairs: []\n"]
    );
    let document = root().join("Cargo.toml");
    assert!(
        broken(&document, "none.md").is_some()
            && broken(&document, "ARCHITECTURE.md#none").is_some()
    );
    assert_eq!(broken(&document, "ARCHITECTURE.md#invariants"), None);
}
