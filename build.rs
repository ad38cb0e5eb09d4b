//! Passes the compiler's version and the git commit on to `build_info`.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=BUILD_REVISION");
    println!("cargo:rustc-env=RUSTC_VERSION={}", rustc_version());
    println!("cargo:rustc-env=BUILD_REVISION={}", revision());
}

fn rustc_version() -> String {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let line = output(Command::new(rustc).arg("--version"));
    let version = line.as_deref().and_then(|line| line.split(' ').nth(1));
    version.unwrap_or("unknown").to_owned()
}

/// The commit: `BUILD_REVISION` where a build has no git (an image, a source archive), else what
/// git says. Only optimised builds ask git, because whatever depends on the commit is compiled
/// again after each commit.
fn revision() -> String {
    let given = env::var("BUILD_REVISION").unwrap_or_default();
    let commit = if !given.is_empty() {
        Some(given)
    } else if env::var("PROFILE").as_deref() == Ok("release") {
        git_commit()
    } else {
        None
    };
    commit.unwrap_or_else(|| "unknown".to_owned())
}

/// The commit that is checked out, unless these sources are only a part of another repository.
fn git_commit() -> Option<String> {
    let sources = env::var("CARGO_MANIFEST_DIR").ok()?;
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        output(command.arg("-C").arg(&sources).args(arguments))
    };
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok() != Path::new(&sources).canonicalize().ok() {
        return None;
    }
    // The log of HEAD grows with every commit and checkout; not every repository keeps one.
    for path in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", path])?;
        let path = Path::new(&sources).join(path);
        if path.exists() {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
    git(&["rev-parse", "HEAD"])
}

/// What the command prints, if it succeeds, without the line's end.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned())
}
