//! The rules for Prometheus: promtool's own checks and tests, and that nothing is left untested.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what cannot be unwrapped has to fail the test"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use redis_cross_dc_exporter::metrics::catalogue;

const RULES: &str = "alerts/redis-cross-dc-exporter.rules.yml";
const RECORDING: &str = "rules/redis-cross-dc-exporter.rules.yml";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a program at the project's root; one that is missing fails with what installs it.
fn run(program: &str, package: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output();
    let output = output.unwrap_or_else(|error| {
        panic!("{program}: {error}; install it: apt-get install {package}")
    });
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(
        output.status.success(),
        "{program} {}:\n{text}",
        arguments.join(" ")
    );
    text
}

fn test_files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("tests/rules"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.to_string_lossy().ends_with(".test.yml"))
        .collect()
}

fn names_in(text: &str, prefix: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !word(c))
        .filter(|name| name.starts_with(prefix))
        .map(str::to_owned)
        .collect()
}

#[test]
fn promtool_accepts_the_rules() {
    run(
        "promtool",
        "prometheus",
        &["check", "rules", RULES, RECORDING],
    );
}

/// Has promtool run every third of the files of tests, from the one at `first` on.
fn test_rules(first: usize) {
    let mut files = test_files();
    files.sort();
    for file in files.iter().skip(first).step_by(3) {
        let file = file.to_string_lossy();
        run("promtool", "prometheus", &["test", "rules", &file]);
    }
}

// Three tests, so that more than one processor is busy.
#[test]
fn the_rules_pass_the_first_files_of_their_tests() {
    assert!(test_files().len() >= 3);
    test_rules(0);
}

#[test]
fn the_rules_pass_the_second_files_of_their_tests() {
    test_rules(1);
}

#[test]
fn the_rules_pass_the_third_files_of_their_tests() {
    test_rules(2);
}

#[test]
fn every_rule_is_tested() {
    let rules = std::fs::read_to_string(root().join(RULES)).unwrap();
    let alerts: BTreeSet<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    let tests: String = test_files()
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let tested = names_in(&tests, "RedisCrossDc");
    assert!(alerts.len() > 10, "{alerts:?}");
    assert_eq!(
        alerts
            .iter()
            .filter(|name| !tested.contains(**name))
            .collect::<Vec<_>>(),
        Vec::<&&str>::new()
    );
}

#[test]
fn every_recording_rule_is_tested() {
    let rules = std::fs::read_to_string(root().join(RECORDING)).unwrap();
    let tests = std::fs::read_to_string(root().join("tests/rules/recording.test.yml")).unwrap();
    let lines = rules.lines();
    let records: Vec<&str> = lines
        .filter_map(|line| line.trim().strip_prefix("- record: "))
        .collect();
    assert!(records.len() >= 9, "{records:?}");
    for record in records {
        assert!(tests.contains(record), "{record}");
    }
}

#[test]
fn every_metric_in_a_rule_is_exported() {
    let read = |file: &str| std::fs::read_to_string(root().join(file)).unwrap();
    let recorded = read(RECORDING);
    // What a rule records has a name of its own.
    let asked = recorded
        .lines()
        .filter(|line| !line.contains("record:") && !line.contains("pair:redis_"));
    let rules: String = read(RULES) + &asked.collect::<Vec<_>>().join("\n");
    let known: BTreeSet<&str> = catalogue::ALL.iter().map(|metric| metric.name).collect();
    let used = names_in(&rules, "redis_cross_dc_");
    assert!(used.len() > 10, "{used:?}");
    assert_eq!(
        used.iter()
            .filter(|name| !known.contains(name.as_str()))
            .collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
}

#[test]
fn amtool_accepts_the_example() {
    run(
        "amtool",
        "prometheus-alertmanager",
        &["check-config", "alerts/alertmanager.example.yml"],
    );
}

/// What `rules` prints for a configuration, with further arguments.
fn printed(config: &Path, arguments: &[&str]) -> String {
    let program = env!("CARGO_BIN_EXE_redis-cross-dc-exporter");
    let output = Command::new(program)
        .arg("rules")
        .args(arguments)
        .arg("--config.file")
        .arg(config)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_program_prints_the_rules_of_a_configuration() {
    let url = "https://dr.example.com/";
    let text = printed(&root().join("config.example.yml"), &["--external-url", url]);
    assert!(
        text.contains("runbook_url: 'https://dr.example.com/runbooks/RedisCrossDcLagHigh'"),
        "{text}"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.yml");
    std::fs::write(&path, &text).unwrap();
    run(
        "promtool",
        "prometheus",
        &["check", "rules", path.to_str().unwrap()],
    );
}

/// Thresholds of the file, of a pair and of Sentinels' pairs, and the links of the file, by what
/// promtool makes of the printed rules. `RedisCrossDcLagBytesHigh` is off by default.
#[test]
fn r5_the_printed_rules_follow_overrides_and_urls() {
    let source = root().join("tests/rules/overrides");
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    std::fs::write(place("rules.yml"), printed(&source.join("config.yml"), &[])).unwrap();
    std::fs::copy(source.join("test.yml"), place("test.yml")).unwrap();
    run(
        "promtool",
        "prometheus",
        &["test", "rules", place("test.yml").to_str().unwrap()],
    );
}

#[test]
fn one_group_and_the_operators_format_can_be_requested() {
    let config = root().join("tests/rules/overrides/config.yml");
    let text = printed(
        &config,
        &["--group", "servers", "--format", "prometheusrule"],
    );
    assert!(text.contains("kind: PrometheusRule"), "{text}");
    assert!(
        text.contains("    - name: redis-cross-dc-servers"),
        "{text}"
    );
    assert!(!text.contains("redis-cross-dc-pairs"), "{text}");
}
