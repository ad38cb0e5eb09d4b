//! What the exporter takes of its machine, over time.

use std::fmt;

use crate::exporter::Exporter;
use crate::scrape::Scrape;

/// Open files and tasks may differ by what is under way at the instant: a request, a reconnect.
const UNDER_WAY: f64 = 12.0;

/// By which factor memory may be higher in the last quarter than in the second: allocators keep
/// pages, and the first quarter fills the history.
const MEMORY_FACTOR: f64 = 1.15;

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Footprint {
    memory_mib: f64,
    tasks: f64,
    files: f64,
}

/// Every measurement of a run, in order.
#[derive(Debug, Default)]
pub(super) struct Footprints(Vec<Footprint>);

impl Footprints {
    pub(super) async fn measure(&mut self, exporter: &Exporter) -> Footprint {
        let scrape = Scrape::of(exporter).await;
        let value = |name: &str| scrape.value(name, &[]).unwrap();
        let footprint = Footprint {
            memory_mib: value("process_resident_memory_bytes") / f64::from(1 << 20),
            tasks: value("redis_cross_dc_exporter_tasks"),
            files: value("process_open_fds"),
        };
        self.0.push(footprint);
        footprint
    }

    /// The medians of the quarter `index`, counted from 0.
    fn quarter(&self, index: usize) -> Footprint {
        let size = self.0.len() / 4;
        let quarter = &self.0[index * size..(index + 1) * size];
        Footprint {
            memory_mib: median(quarter.iter().map(|f| f.memory_mib)),
            tasks: median(quarter.iter().map(|f| f.tasks)),
            files: median(quarter.iter().map(|f| f.files)),
        }
    }

    /// Panics unless the last quarter takes what the second took.
    pub(super) fn assert_flat(&self) {
        assert!(self.0.len() >= 16, "too few measurements: {}", self.0.len());
        let early = self.quarter(1);
        let late = self.quarter(3);
        let said = format!("second quarter: {early}; last quarter: {late}");
        assert!(
            late.memory_mib <= early.memory_mib * MEMORY_FACTOR,
            "{said}"
        );
        assert!(late.tasks <= early.tasks + UNDER_WAY, "{said}");
        assert!(late.files <= early.files + UNDER_WAY, "{said}");
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            memory_mib,
            tasks,
            files,
        } = self;
        write!(f, "{memory_mib:.1} MiB, {tasks} tasks, {files} open files")
    }
}

impl fmt::Display for Footprints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() < 4 {
            return write!(f, "too short to compare");
        }
        for index in 0..4 {
            write!(f, "\n  quarter {}: {}", index + 1, self.quarter(index))?;
        }
        Ok(())
    }
}
