//! What a process uses, as the kernel counts it: the same for the exporter and the floor client.

use std::collections::BTreeMap;
use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Each thread's time on a processor since it began. Kept by thread, because the time of a thread
/// that ends is gone from its process's folder.
pub(crate) struct CpuTimes(BTreeMap<String, Duration>);

impl CpuTimes {
    /// The times of process `pid`, to the nanosecond.
    pub(crate) fn of(pid: u32) -> Self {
        let folder = PathBuf::from(format!("/proc/{pid}/task"));
        let threads = read_dir(folder).map(|entries| entries.flatten().collect::<Vec<_>>());
        let mut times = BTreeMap::new();
        for thread in threads.unwrap_or_default() {
            // A thread may have ended since the folder was read.
            if let Some(time) = thread_time(&thread.path()) {
                times.insert(thread.file_name().to_string_lossy().into_owned(), time);
            }
        }
        Self(times)
    }

    /// What was used since `earlier`, by the threads that are still there.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        let used = |(thread, now): (&String, &Duration)| {
            let before = earlier.0.get(thread).copied().unwrap_or_default();
            now.saturating_sub(before)
        };
        self.0.iter().map(used).sum()
    }
}

/// A thread's time from `schedstat`, or from `sched` where the kernel keeps no other statistics.
fn thread_time(thread: &Path) -> Option<Duration> {
    if let Ok(text) = read_to_string(thread.join("schedstat")) {
        let nanos = text.split(' ').next()?.parse().ok()?;
        return Some(Duration::from_nanos(nanos));
    }
    let text = read_to_string(thread.join("sched")).ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("se.sum_exec_runtime"))?;
    let millis: f64 = line.rsplit(' ').next()?.parse().ok()?;
    Some(Duration::from_secs_f64(millis / 1e3))
}

/// A line of a process's `status` that is in kB, such as `VmRSS`, in MiB.
pub(crate) fn memory(pid: u32, line: &str) -> Option<f64> {
    let text = read_to_string(format!("/proc/{pid}/status")).ok()?;
    let found = text.lines().find_map(|l| l.strip_prefix(line))?;
    let kilobytes: f64 = found.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1024.0)
}

/// Raises the limit on open files to the hard one, which children inherit, and returns it.
pub(crate) fn allow_open_files() -> Option<u64> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).expect("the hard limit may be used");
    maximum
}

/// How much of the machine's processors was used by nobody, since a moment.
pub(crate) struct IdleTime {
    idle: f64,
    all: f64,
}

impl IdleTime {
    /// The times of /proc/stat; `None` where it cannot be read.
    pub(crate) fn now() -> Option<Self> {
        let text = read_to_string("/proc/stat").ok()?;
        let fields = text.lines().next()?.split_whitespace().skip(1);
        let times: Vec<f64> = fields.map_while(|field| field.parse().ok()).collect();
        // user, nice, system, idle, iowait, irq, softirq, steal; guests are counted in user.
        Some(Self {
            idle: times.get(3)? + times.get(4)?,
            all: times.get(..8)?.iter().sum(),
        })
    }

    /// The part that has been idle since then.
    pub(crate) fn share_since(&self) -> Option<f64> {
        let now = Self::now()?;
        let all = now.all - self.all;
        (all > 0.0).then(|| (now.idle - self.idle) / all)
    }
}
