//! `check-config`: reads and checks the configuration and the files that it names, and prints what
//! is in effect. Connects to nothing, unless it is asked to try every login.

use super::access;
use super::args::{CheckConfigArgs, Global};
use super::exit::Exit;
use super::output::{complain, say};
use super::summary::{counted, summary};
use super::{check_web_syntax, load_config, load_web_config};
use crate::config::Loaded;
use crate::discovery;
use crate::topology::FilesGroup;

pub(super) fn check_config(global: &Global, args: &CheckConfigArgs) -> Exit {
    // Everything is read before anything counts, so that one mistake does not hide the next.
    let loaded = load_config(global);
    let mut pair_files = None;
    let files = match &loaded {
        Ok(loaded) if !args.syntax_only => {
            let named = check_files(global, loaded);
            let group = discovery::read_pair_files(&loaded.settings);
            let files = named.and(check_pair_files(&group));
            pair_files = Some(group);
            files
        }
        _ => Ok(()),
    };
    let web_config = if args.syntax_only {
        check_web_syntax(global)
    } else {
        load_web_config(global).map(|_| ())
    };
    match (loaded, files, web_config) {
        (Ok(loaded), Ok(()), Ok(())) if args.connect => access::try_access(&loaded.settings),
        (Ok(loaded), Ok(()), Ok(())) => {
            print(&loaded, pair_files.as_ref());
            Exit::Ok
        }
        (Err(exit), _, _) | (_, Err(exit), _) | (_, _, Err(exit)) => exit,
    }
}

/// Names the files that cannot be read as they are now.
fn check_files(global: &Global, loaded: &Loaded) -> Result<(), Exit> {
    loaded.files.check().map_err(|errors| {
        let path = global.config_file.display();
        complain(&format!(
            "Files that the configuration {path} names cannot be used:\n{errors}\n\
             (--syntax-only checks the configuration without them)"
        ));
        Exit::Usage
    })
}

/// Names the pair files that are not in force as they are now.
fn check_pair_files(group: &FilesGroup) -> Result<(), Exit> {
    let mut text = String::new();
    for file in &group.files {
        if let Some(failure) = &file.failure {
            text += &format!("\n{}: {}", file.path.display(), failure.sentence);
        }
    }
    if text.is_empty() {
        return Ok(());
    }
    complain(&format!(
        "Pair files cannot be used:{text}\n(--syntax-only checks the configuration without them)"
    ));
    Err(Exit::Usage)
}

fn print(loaded: &Loaded, pair_files: Option<&FilesGroup>) {
    // Comments, so that the output is still a configuration.
    for warning in loaded.settings.warnings() {
        say(&format!("# warning: {warning}"));
    }
    say(loaded.settings.to_yaml_redacted().trim_end());
    if let Some(group) = pair_files.filter(|group| !group.files.is_empty()) {
        let entries = group.files.iter().map(|file| file.pairs).sum();
        let files = counted(group.files.len(), "file", "files");
        let entries = counted(entries, "entry", "entries");
        say(&format!("# pair files: {files} with {entries}"));
    }
    say(&format!("# valid: {}", summary(&loaded.settings)));
}
