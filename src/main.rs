//! `redis-cross-dc-exporter`: see the library for everything but the process's entry.

use std::process::ExitCode;

fn main() -> ExitCode {
    redis_cross_dc_exporter::cli::main()
}
