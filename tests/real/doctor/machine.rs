//! Servers on machines of which something is wrong: the clock, the memory; and a module. Made by a
//! small library that is preloaded into the server, built with the C compiler that Rust links with.

use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use redis_cross_dc_exporter::lab::RedisServerBuilder;

/// A machine of its own for one server. To be kept as long as that runs.
pub(super) struct Machine {
    folder: tempfile::TempDir,
    clock: File,
}

impl Machine {
    /// A machine whose clock is right and that has `pages` of memory, or as many as this one.
    pub(super) fn new(pages: Option<u64>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        compile("machine.c", &path("machine.so"));
        let clock = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path("clock"))
            .unwrap();
        clock.write_all_at(&0_i64.to_ne_bytes(), 0).unwrap();
        let server = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        let pages = pages.map_or_else(String::new, |pages| format!("MACHINE_PAGES={pages} "));
        let script = format!(
            "#!/bin/sh\n{pages}LD_PRELOAD={} MACHINE_CLOCK={} exec {server} \"$@\"\n",
            path("machine.so").display(),
            path("clock").display()
        );
        std::fs::write(path("redis-server"), script).unwrap();
        std::fs::set_permissions(path("redis-server"), Permissions::from_mode(0o755)).unwrap();
        Self { folder, clock }
    }

    /// Sets the clock of the machine by this many seconds from the right time.
    pub(super) fn set_clock(&self, seconds: i64) {
        self.clock.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    /// A server on this machine.
    pub(super) fn run(&self, builder: RedisServerBuilder) -> RedisServerBuilder {
        builder.program(self.folder.path().join("redis-server"))
    }
}

/// Builds the module that does nothing, in `folder`.
pub(super) fn module_in(folder: &Path) -> PathBuf {
    let library = folder.join("nothing.so");
    compile("module.c", &library);
    std::fs::set_permissions(&library, Permissions::from_mode(0o755)).unwrap();
    library
}

fn compile(source: &str, library: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/real/doctor")
        .join(source);
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]);
    let built = compiler.arg(library).arg(source).arg("-ldl").output();
    let built = built.expect("a C compiler as `cc`: apt-get install gcc libc6-dev");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "cc: {said}");
}
