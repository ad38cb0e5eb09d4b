//! Passes the compiler's version, the target, and the git commit with its date on to `build_info`
//! and `--version`.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=BUILD_REVISION");
    println!("cargo:rerun-if-env-changed=BUILD_DATE");
    println!("cargo:rustc-env=RUSTC_VERSION={}", rustc_version());
    println!("cargo:rustc-env=BUILD_REVISION={}", revision());
    println!("cargo:rustc-env=BUILD_DATE={}", date());
    let target = env::var("TARGET").unwrap_or_else(|_| "unknown".to_owned());
    println!("cargo:rustc-env=BUILD_TARGET={target}");
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

/// The day of the commit (not of the build, so that the same commit gives the same bytes), in UTC:
/// `BUILD_DATE` where a build has no git, else what git says to an optimised build.
fn date() -> String {
    let given = env::var("BUILD_DATE").unwrap_or_default();
    let day = if !given.is_empty() {
        Some(given)
    } else if env::var("PROFILE").as_deref() == Ok("release") {
        own_git(&["log", "-1", "--format=%cd", "--date=format-local:%Y-%m-%d"])
    } else {
        None
    };
    day.unwrap_or_else(|| "unknown".to_owned())
}

/// What git says of these sources, unless they are only a part of another repository.
fn own_git(arguments: &[&str]) -> Option<String> {
    let sources = env::var("CARGO_MANIFEST_DIR").ok()?;
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.env("TZ", "UTC").arg("-C").arg(&sources);
        output(command.args(arguments))
    };
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok() != Path::new(&sources).canonicalize().ok() {
        return None;
    }
    git(arguments)
}

/// The commit that is checked out.
fn git_commit() -> Option<String> {
    let sources = env::var("CARGO_MANIFEST_DIR").ok()?;
    // The log of HEAD grows with every commit and checkout; not every repository keeps one.
    for path in ["HEAD", "logs/HEAD"] {
        let path = own_git(&["rev-parse", "--git-path", path])?;
        let path = Path::new(&sources).join(path);
        if path.exists() {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
    own_git(&["rev-parse", "HEAD"])
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
