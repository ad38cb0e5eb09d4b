//! Which seeds a test runs with, and how a failing one is printed.

/// Whether this is `make simulation`, which tries all seeds and all of a day.
pub(crate) fn is_long() -> bool {
    std::env::var_os("SIM_LONG").is_some()
}

/// Runs `test` with some seeds: `SIM_SEED` alone when it is set, else as many as `SIM_RUNS` says,
/// else `runs` of them, or a third of those for a short run.
pub(crate) fn for_seeds(test: &'static str, runs: u64, mut run: impl FnMut(u64)) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seeds = match (number("SIM_SEED"), number("SIM_RUNS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(runs)) => 0..runs,
        (None, None) if is_long() => 0..runs,
        (None, None) => 0..runs.div_ceil(3),
    };
    for seed in seeds {
        let _told = ToldOnPanic { test, seed };
        run(seed);
    }
}

struct ToldOnPanic {
    test: &'static str,
    seed: u64,
}

impl Drop for ToldOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "replay: SIM_SEED={} cargo test --test simulation {}",
                self.seed, self.test
            );
        }
    }
}
