use super::*;
use crate::config::testing::{parsed, settings_of};
use crate::model::Timestamp;
use crate::topology::{Discovered, DiscoveryEvent, SourceHealth};

/// Two globs of pair files, and a pair `own` in the configuration.
fn settings() -> Settings {
    let mut settings = settings_of(&[("own", "own:1", &["own:2"])]);
    settings.discovery =
        parsed("discovery: {files: ['/p/*.yml', '/q/*.yml', '/x/one.json']}").discovery;
    settings
}

/// Pairs, each as `name:master<replica`.
#[expect(clippy::unnecessary_wraps, reason = "what reports hold")]
fn pairs(text: &str) -> FileOutcome {
    let mut pairs = Vec::new();
    for (index, pair) in text.split_whitespace().enumerate() {
        let (name, servers) = pair.split_once(':').unwrap();
        let (master, replica) = servers.split_once('<').unwrap();
        let servers = (format!("{master}:1"), format!("{replica}:1"));
        let mut settings = settings_of(&[(name, &servers.0, &[&servers.1])]);
        pairs.push(FilePair {
            place: format!("[{index}]"),
            settings: settings.pairs.remove(0),
        });
    }
    Ok(pairs.into())
}

fn failed(fault: FileFault) -> FileOutcome {
    Err(FileFailure {
        fault,
        sentence: "it is wrong".into(),
    })
}

struct Files(Discovered);

impl Files {
    fn new() -> Self {
        Self(Discovered::new(&settings()))
    }

    /// What the files with these contents change.
    fn report(&mut self, files: &[(&str, FileOutcome)]) -> Vec<DiscoveryChange> {
        let mut report = FilesReport::default();
        for (path, outcome) in files {
            report.files.insert(PathBuf::from(path), outcome.clone());
        }
        self.send(report)
    }

    fn send(&mut self, report: FilesReport) -> Vec<DiscoveryChange> {
        let event = DiscoveryEvent::Files(report);
        self.0.handle(event, Timestamp::default()).changes
    }

    fn names(&self) -> String {
        let entries = self.0.entries();
        let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        names.join(" ")
    }

    /// The fault of each file, and how many of its pairs are watched.
    fn states(&self) -> Vec<(Option<FileFault>, usize)> {
        let health = self.0.health();
        let [SourceHealth::Files(group)] = health.as_slice() else {
            panic!("{health:?}");
        };
        let state = |file: &PairFileState| {
            let fault = file.failure.as_ref().map(|failure| failure.fault);
            (fault, file.pairs)
        };
        group.files.iter().map(state).collect()
    }

    fn trouble(&self) -> String {
        let health = self.0.health();
        let [SourceHealth::Files(group)] = health.as_slice() else {
            panic!("{health:?}");
        };
        let troubles: Vec<_> = group
            .files
            .iter()
            .filter_map(PairFileState::trouble)
            .collect();
        troubles.join("\n")
    }
}

fn entries(added: usize, removed: usize, changed: usize) -> Vec<DiscoveryChange> {
    vec![DiscoveryChange::Entries {
        added,
        removed,
        changed,
    }]
}

#[test]
fn pairs_come_change_and_go_with_their_files() {
    let mut files = Files::new();
    let both = [
        ("/p/a.yml", pairs("x:a<b y:c<d")),
        ("/p/b.yml", pairs("z:e<f")),
    ];
    assert_eq!(files.report(&both), entries(3, 0, 0));
    assert_eq!(files.report(&both), [], "nothing is new");
    assert_eq!(files.names(), "x y z");
    let other = [("/p/a.yml", pairs("x:a<g")), ("/p/b.yml", pairs("z:e<f"))];
    assert_eq!(files.report(&other), entries(0, 1, 1));
    assert_eq!(files.report(&other[1..]), entries(0, 1, 0));
    assert_eq!(files.names(), "z");
}

#[test]
fn a_bad_file_keeps_what_it_had_and_a_missing_one_does_not() {
    let mut files = Files::new();
    files.report(&[("/p/a.yml", pairs("x:a<b"))]);
    for fault in [FileFault::Refused, FileFault::Unreadable] {
        assert_eq!(files.report(&[("/p/a.yml", failed(fault))]), []);
        assert_eq!(
            (files.names().as_str(), files.states()),
            ("x", vec![(Some(fault), 1)])
        );
        assert!(
            files
                .trouble()
                .ends_with("its last good content stays: 1 pair")
        );
    }
    let missing = [("/p/a.yml", failed(FileFault::Missing))];
    assert_eq!(files.report(&missing), entries(0, 1, 0));
    assert_eq!(files.states(), [(Some(FileFault::Missing), 0)]);
    assert_eq!(
        files.report(&[("/p/a.yml", pairs("x:a<b"))]),
        entries(1, 0, 0)
    );
    assert_eq!(files.states(), [(None, 1)]);
}

#[test]
fn a_folder_that_cannot_be_listed_keeps_its_files() {
    let mut files = Files::new();
    files.report(&[("/p/a.yml", pairs("x:a<b")), ("/q/b.yml", pairs("y:c<d"))]);
    let pattern = settings().discovery.files.remove(0);
    let failure = failed(FileFault::Unreadable).unwrap_err();
    let report = FilesReport {
        files: BTreeMap::new(),
        unlisted: BTreeMap::from([(pattern, failure)]),
    };
    assert_eq!(
        files.send(report),
        entries(0, 1, 0),
        "only those of the other folder go"
    );
    assert_eq!(files.names(), "x");
}

#[test]
fn of_two_pairs_with_one_name_the_first_stays_and_both_places_are_named() {
    let mut files = Files::new();
    files.report(&[
        ("/p/a.yml", pairs("x:a<b")),
        ("/p/b.yml", pairs("y:e<f x:c<d own:g<h")),
    ]);
    assert_eq!(files.names(), "x y");
    assert_eq!(files.states(), [(None, 1), (Some(FileFault::Duplicate), 1)]);
    assert_eq!(
        files.trouble(),
        "[1]: x is left out: /p/a.yml[0] has this name; and 1 more"
    );
    files.report(&[("/p/b.yml", pairs("own:g<h"))]);
    assert_eq!(
        files.trouble(),
        "[0]: own is left out: pairs[0] of the configuration has this name"
    );
}

#[test]
fn a_server_has_one_login_in_all_files() {
    let mut files = Files::new();
    let Ok(other) = pairs("y:a<c") else {
        unreachable!()
    };
    let mut other = other.to_vec();
    other[0].settings.master.credentials.username = Some("other".to_owned());
    files.report(&[("/p/a.yml", pairs("x:a<b")), ("/p/b.yml", Ok(other.into()))]);
    assert_eq!(files.names(), "x");
    assert!(
        files
            .trouble()
            .contains("/p/a.yml[0] gives a:1 other credentials"),
        "{}",
        files.trouble()
    );
}

#[test]
fn a_reload_that_takes_the_name_leaves_the_files_pair_out() {
    let mut files = Files::new();
    files.report(&[("/p/a.yml", pairs("x:a<b"))]);
    let mut taken = settings();
    taken.pairs[0].name = PairName::new("x");
    files.0.reconfigure(&taken);
    assert_eq!(
        (files.names().as_str(), files.states()),
        ("", vec![(Some(FileFault::Duplicate), 0)])
    );
    taken.discovery.files.clear();
    files.0.reconfigure(&taken);
    assert!(files.0.health().is_empty());
}

#[test]
fn the_number_of_pairs_in_files_is_bounded() {
    let mut files = Files::new();
    let many = |name: &str| {
        let Ok(one) = pairs("x:a<b") else {
            unreachable!()
        };
        let mut pairs = Vec::new();
        for index in 0..=merge::MAX_FILE_PAIRS / 2 {
            let mut pair = one[0].clone();
            pair.settings.name = PairName::new(&format!("{name}-{index}"));
            pairs.push(pair);
        }
        Ok(pairs.into())
    };
    files.report(&[("/p/a.yml", many("a")), ("/p/b.yml", many("b"))]);
    assert_eq!(files.0.entries().len(), merge::MAX_FILE_PAIRS);
    let half = merge::MAX_FILE_PAIRS / 2;
    assert_eq!(
        files.states(),
        [(None, half + 1), (Some(FileFault::TooMany), half - 1)]
    );
}
