//! `init`: writes a configuration for the servers of the command line, checks it, and names the
//! next command. It asks nothing and overwrites nothing.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use super::args::InitArgs;
use super::args::{DEFAULT_CONFIG_FILE, Global};
use super::draft::{Draft, DraftServers};
use super::exit::Exit;
use super::output::{complain, say};
use super::summary::summary;
use crate::config::{Environment, Format, Loaded, load, parse};
use crate::topology::Topology;

pub(super) fn init(global: &Global, args: &InitArgs) -> Exit {
    let path = &global.config_file;
    if Format::from_path(path) != Some(Format::Yaml) {
        let path = path.display();
        complain(&format!(
            "init writes YAML: --config.file {path} has to end in .yml or .yaml."
        ));
        return Exit::Usage;
    }
    let draft = Draft::from(args);
    if let Err(sentence) = check(&draft) {
        complain(&sentence);
        return Exit::Usage;
    }
    if let Err(error) = write_new(path, &draft.to_yaml()) {
        complain(&refusal(path, &error));
        return Exit::Failed;
    }
    report(path)
}

/// Whether the program would accept the file. Nothing is written unless it would.
fn check(draft: &Draft) -> Result<(), String> {
    if let DraftServers::Sentinels { sentinels, .. } = &draft.servers
        && sentinels.iter().any(|place| place.dc.is_some())
    {
        return Err(
            "A Sentinel is given as HOST:PORT; --datacenter NAME=PATTERN says which hosts are in which \
                    datacenter."
                .to_owned(),
        );
    }
    let text = draft.to_yaml();
    let folder = Path::new("");
    let parsed = parse(&text, Format::Yaml, folder, &Environment::default());
    match parsed {
        Ok(_) => Ok(()),
        Err(errors) => Err(format!(
            "The arguments make no usable configuration, so nothing was written:\n{errors}"
        )),
    }
}

/// Writes a file that was not there before.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let written = file.write_all(text.as_bytes());
    let written = written.and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a file would stop the next `init`; the error that counts is the first.
        let _ = std::fs::remove_file(path);
    }
    written
}

fn refusal(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    if error.kind() == ErrorKind::AlreadyExists {
        return format!(
            "{path} is there already, and init overwrites nothing: give another name with \
             --config.file, or move it away."
        );
    }
    format!("{path} cannot be written: {error}. Name another place with --config.file.")
}

/// Reads the written file back as every command does, and names the next command.
fn report(path: &Path) -> Exit {
    let environment = Environment::from_os(std::env::vars_os());
    let loaded = match load(path, &environment) {
        Ok(loaded) => loaded,
        Err(errors) => {
            // What it says was accepted before: only the environment can have overridden it.
            complain(&format!(
                "Wrote {}, which is not usable with the variables of this environment:\n{errors}",
                path.display()
            ));
            return Exit::Failed;
        }
    };
    say(&format!(
        "Wrote {}: {}.",
        path.display(),
        summary(&loaded.settings)
    ));
    for hint in hints(&loaded) {
        say(&hint);
    }
    say(&format!("Next: {}", next_command(path)));
    Exit::Ok
}

/// What is left to do by hand.
fn hints(loaded: &Loaded) -> Vec<String> {
    let mut hints = Vec::new();
    for file in loaded.files.unusable() {
        hints.push(format!("To do: {}: {}", file.key, file.problem));
    }
    let settings = &loaded.settings;
    if settings.notify.receivers.is_empty() {
        hints.push(
            "To do: nobody is notified of alerts yet: add a receiver to notify.receivers."
                .to_owned(),
        );
    }
    let topology = Topology::from_settings(settings);
    let mut servers = topology.servers.values();
    if servers.any(|server| server.dc.is_unknown()) {
        hints.push(
            "To do: servers without a datacenter are shown in the datacenter \"unknown\": fill in datacenters."
                .to_owned(),
        );
    }
    hints
}

fn next_command(path: &Path) -> String {
    let command = "redis-cross-dc-exporter check-config --connect";
    if path == Path::new(DEFAULT_CONFIG_FILE) {
        return command.to_owned();
    }
    format!("{command} --config.file {}", path.display())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Command};

    /// Runs `init` for the file config.yml in `folder`.
    fn run(folder: &Path, more: &[&str]) -> Exit {
        let path = folder.join("config.yml");
        let line = ["x", "init", "--config.file", path.to_str().unwrap()];
        let cli = Cli::try_parse_from([&line, more].concat()).unwrap();
        let Some(Command::Init(args)) = cli.command else {
            panic!("another command")
        };
        init(&cli.global, &args)
    }

    #[test]
    fn it_writes_once_and_overwrites_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let servers = ["--master", "dc1=a:1", "--replica", "dc2=b:1"];
        assert_eq!(run(folder.path(), &servers), Exit::Ok);
        let path = folder.path().join("config.yml");
        std::fs::write(&path, "mine").unwrap();
        assert_eq!(run(folder.path(), &servers), Exit::Failed);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn what_the_program_would_refuse_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let wrong: [&[&str]; 3] = [
            &["--master", "a:1", "--replica", "a:1"],
            &["--master", "a", "--replica", "b:1"],
            &["--sentinel", "dc1=a:1"],
        ];
        for arguments in wrong {
            assert_eq!(run(folder.path(), arguments), Exit::Usage, "{arguments:?}");
            assert!(!folder.path().join("config.yml").exists());
        }
    }

    #[test]
    fn the_command_line_names_a_pair_or_sentinels() {
        let parse = |more: &[&str]| Cli::try_parse_from([&["x", "init"], more].concat());
        assert!(parse(&["--sentinel", "a:1", "--master-name", "m"]).is_ok());
        let wrong: [&[&str]; 5] = [
            &[],
            &["--master", "a:1"],
            &["--replica", "a:1"],
            &["--master", "a:1", "--replica", "b:1", "--sentinel", "c:1"],
            &["--master", "a:1", "--replica", "b:1", "--master-name", "m"],
        ];
        for arguments in wrong {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
