use std::fs;

use tempfile::TempDir;

use super::*;
use crate::config::testing::parsed;

/// A folder whose pair files are watched.
struct Folder {
    dir: TempDir,
    watch: Option<FileWatch>,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = parsed(&format!(
            "discovery: {{files: ['{}/*.yml']}}",
            dir.path().display()
        ));
        let plan = FilesPlan::new(&settings);
        Self {
            dir,
            watch: Some(FileWatch::new(plan)),
        }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    /// Looks until something is read, or it is certain that nothing is.
    fn report(&mut self) -> Option<FilesReport> {
        for _ in 0..3 {
            let (watch, report) = self.watch.take().unwrap().looked();
            self.watch = Some(watch);
            if report.is_some() {
                return report;
            }
        }
        None
    }

    /// The outcome of each file: how many pairs, or the reason.
    fn outcomes(&mut self) -> Vec<String> {
        let report = self.report().unwrap();
        let shown = |outcome: &FileOutcome| match outcome {
            Ok(pairs) => pairs.len().to_string(),
            Err(failure) => format!("{}: {}", failure.fault, failure.sentence),
        };
        report.files.values().map(shown).collect()
    }
}

fn pair(name: &str) -> String {
    format!("- {{name: {name}, master: {{address: '{name}:1'}}, replicas: [{{address: 'r:1'}}]}}\n")
}

#[test]
fn files_are_read_when_they_change_and_gone_when_they_are() {
    let mut folder = Folder::new();
    assert!(folder.outcomes().is_empty(), "an empty folder is no fault");
    folder.write("a.yml", &pair("a"));
    folder.write("b.txt", "not meant");
    assert_eq!(folder.outcomes(), ["1"]);
    folder.write("a.yml", &(pair("a") + &pair("b")));
    folder.write(".hidden.yml", &pair("c"));
    assert_eq!(folder.outcomes(), ["2"]);
    fs::rename(
        folder.dir.path().join("a.yml"),
        folder.dir.path().join("c.yml"),
    )
    .unwrap();
    assert_eq!(folder.report().unwrap().files.len(), 1);
    fs::remove_file(folder.dir.path().join("c.yml")).unwrap();
    assert!(folder.outcomes().is_empty());
}

#[test]
fn what_is_wrong_with_a_file_is_one_line_without_its_secrets() {
    let mut folder = Folder::new();
    folder.write("a.yml", "[");
    folder.write("b.yml", "");
    folder.write(
        "c.yml",
        "- {name: p, password: hunter2}\n- {}\n- {}\n- {}\n",
    );
    fs::write(folder.dir.path().join("d.yml"), [0xff, 0xfe]).unwrap();
    let outcomes = folder.outcomes();
    assert!(
        outcomes[0].starts_with("refused: the file: is no valid YAML"),
        "{outcomes:?}"
    );
    assert!(outcomes[1].contains("is empty"), "{outcomes:?}");
    assert!(outcomes[2].contains("more problems") && !outcomes[2].contains("hunter2"));
    assert!(outcomes[3].contains("UTF-8"), "{outcomes:?}");
}

#[test]
fn a_file_that_is_too_long_or_no_file_is_not_read() {
    let mut folder = Folder::new();
    let file = fs::File::create(folder.dir.path().join("a.yml")).unwrap();
    file.set_len(MAX_FILE_BYTES + 1).unwrap();
    fs::create_dir(folder.dir.path().join("b.yml")).unwrap();
    let outcomes = folder.outcomes();
    assert_eq!(outcomes.len(), 1, "a folder is no file: {outcomes:?}");
    assert!(
        outcomes[0].starts_with("unreadable: the file is larger"),
        "{outcomes:?}"
    );
}

#[test]
fn the_same_text_keeps_its_outcome() {
    let mut folder = Folder::new();
    folder.write("a.yml", &pair("a"));
    let first = folder.report().unwrap();
    folder.write("a.yml", &pair("a"));
    let second = folder.report().unwrap();
    let outcomes = first.files.values().zip(second.files.values());
    for (old, new) in outcomes {
        assert!(Arc::ptr_eq(old.as_ref().unwrap(), new.as_ref().unwrap()));
    }
}

#[test]
fn a_folder_that_is_not_there_hides_its_files() {
    let mut folder = Folder::new();
    folder.write("a.yml", &pair("a"));
    folder.report();
    fs::remove_dir_all(folder.dir.path()).unwrap();
    let report = folder.report().unwrap();
    assert!(report.files.is_empty());
    assert_eq!(report.unlisted.len(), 1);
}
