//! The folder of drills, beside the state database: one folder a drill, with its reports. It is
//! what the age of the last drill is known from.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::time_text::time_text;
use crate::model::PairName;
use crate::operation::DrillReport;

/// The most drills that are looked through, the newest first.
const MAX_DRILLS: usize = 1000;

/// The longest report that is read.
const MAX_REPORT: u64 = 1024 * 1024;

const REPORT: &str = "report.json";

/// Where drills are kept.
#[derive(Clone, Debug)]
pub struct DrillsFolder {
    path: PathBuf,
}

impl DrillsFolder {
    /// The folder of drills beside the database in `state`.
    pub fn beside(state: &Path) -> Self {
        Self {
            path: state.join("drills"),
        }
    }

    /// Keeps a report, and returns where the one for people is.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, report: &DrillReport) -> io::Result<PathBuf> {
        let folder = self.path.join(&report.id);
        fs::create_dir_all(&folder)?;
        let json = serde_json::to_string_pretty(report).map_err(io::Error::other)?;
        fs::write(folder.join(REPORT), json + "\n")?;
        let path = folder.join("report.md");
        fs::write(&path, report.markdown(time_text))?;
        Ok(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// When the last drill of each pair ended that passed, in Unix seconds. A report that cannot be
    /// read counts for nothing; without a folder there was none.
    ///
    /// # Errors
    /// The folder cannot be read: whether there was a drill is not known.
    pub fn last_passed(&self) -> io::Result<Vec<(PairName, f64)>> {
        let mut newest: Vec<(PairName, f64)> = Vec::new();
        for report in self.reports()?.into_iter().filter(|report| report.passed) {
            let pair = PairName::new(&report.pair);
            match newest.iter_mut().find(|(known, _)| *known == pair) {
                Some((_, ended)) => *ended = ended.max(report.ended),
                None => newest.push((pair, report.ended)),
            }
        }
        Ok(newest)
    }

    fn reports(&self) -> io::Result<Vec<DrillReport>> {
        let folder = match fs::read_dir(&self.path) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut paths: Vec<PathBuf> = folder.flatten().map(|entry| entry.path()).collect();
        paths.sort_unstable();
        let newest = paths.iter().rev().take(MAX_DRILLS);
        let reports = newest.filter_map(|path| read(&path.join(REPORT)));
        Ok(reports.collect())
    }
}

fn read(path: &Path) -> Option<DrillReport> {
    let mut text = String::new();
    let file = fs::File::open(path).ok()?;
    file.take(MAX_REPORT).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::DrillKind;

    fn report(id: &str, pair: &str, passed: bool, ended: f64) -> DrillReport {
        DrillReport {
            id: id.to_owned(),
            pair: pair.to_owned(),
            kind: DrillKind::Throwaway,
            passed,
            problems: Vec::new(),
            began: 0.0,
            ended,
            notes: Vec::new(),
            parts: Vec::new(),
        }
    }

    #[test]
    fn the_last_drill_that_passed_counts() {
        let state = tempfile::tempdir().unwrap();
        let folder = DrillsFolder::beside(state.path());
        assert_eq!(folder.last_passed().unwrap(), []);
        for report in [
            report("1", "orders", true, 10.0),
            report("2", "orders", true, 20.0),
            report("3", "orders", false, 30.0),
            report("4", "carts", false, 40.0),
        ] {
            folder.keep(&report).unwrap();
        }
        let damaged = state.path().join("drills/5");
        fs::create_dir_all(&damaged).unwrap();
        fs::write(damaged.join(REPORT), "{").unwrap();
        assert_eq!(
            folder.last_passed().unwrap(),
            [(PairName::new("orders"), 20.0)]
        );
        // One that is too long is no report.
        let long = " ".repeat(usize::try_from(MAX_REPORT).unwrap());
        let good = fs::read_to_string(state.path().join("drills/2").join(REPORT)).unwrap();
        fs::write(state.path().join("drills/2").join(REPORT), long + &good).unwrap();
        assert_eq!(
            folder.last_passed().unwrap(),
            [(PairName::new("orders"), 10.0)]
        );
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_no_empty_one() {
        let state = tempfile::tempdir().unwrap();
        fs::write(state.path().join("drills"), "a file").unwrap();
        DrillsFolder::beside(state.path())
            .last_passed()
            .unwrap_err();
    }

    #[test]
    fn of_many_drills_the_newest_are_read() {
        let state = tempfile::tempdir().unwrap();
        let folder = DrillsFolder::beside(state.path());
        folder.keep(&report("0000", "old", true, 1.0)).unwrap();
        for number in 1..=MAX_DRILLS {
            fs::create_dir_all(state.path().join(format!("drills/{number:04}"))).unwrap();
        }
        assert_eq!(folder.last_passed().unwrap(), []);
    }
}
