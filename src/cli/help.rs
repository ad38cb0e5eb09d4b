//! The command line as its help shows it: the commands in the order of their use, each with those
//! of the shared options that it uses.

use clap::{Arg, Command, CommandFactory, FromArgMatches};

use super::args::Cli;

/// The commands by use, and which of the shared options each of them uses. A command that is not
/// here comes last and shows all of them.
const COMMANDS: [(&str, &[&str]); 18] = [
    ("run", RUN),
    ("check", ASKS),
    ("init", &["config_file"]),
    ("check-config", &["config_file", "web_config_file"]),
    ("doctor", ASKS),
    ("failover", ASKS),
    ("failback", ASKS),
    ("lost-writes", &["config_file"]),
    ("active-active", &["config_file"]),
    ("alerts", ASKS),
    ("deliveries", ASKS),
    ("silence", ASKS),
    ("test-notify", &["config_file", "web_config_file"]),
    ("rules", &["config_file"]),
    (
        "healthcheck",
        &["config_file", "listen_addresses", "web_config_file"],
    ),
    ("demo", &["listen_addresses"]),
    ("completions", &[]),
    ("man", &[]),
];

/// All of them.
const RUN: &[&str] = &[
    "config_file",
    "listen_addresses",
    "systemd_socket",
    "telemetry_path",
    "web_config_file",
    "enable_admin_api",
    "shard",
    "log_level",
    "log_format",
];

/// Those that say where a running exporter is.
const ASKS: &[&str] = &["config_file", "listen_addresses"];

/// Behind all options of a command itself.
const SHARED_OPTIONS: usize = 500;

/// Behind every command that [`COMMANDS`] lists.
const UNLISTED: usize = COMMANDS.len();

/// The definition of the whole command line.
pub(super) fn command() -> Command {
    let mut place = SHARED_OPTIONS;
    let command = Cli::command().mut_args(|arg| {
        place += 1;
        arg.display_order(place)
    });
    let is_shared = |arg: &&Arg| arg.is_global_set();
    let shared: Vec<Arg> = command.get_arguments().filter(is_shared).cloned().collect();
    command.mut_subcommands(|command| {
        let listed = COMMANDS
            .iter()
            .position(|(name, _)| *name == command.get_name());
        let used = match listed.and_then(|place| COMMANDS.get(place)) {
            Some((_, used)) => *used,
            None => RUN,
        };
        let unused = shared
            .iter()
            .filter(|arg| !used.contains(&arg.get_id().as_str()));
        // They are understood all the same: whoever wraps the program may put them before any
        // command.
        let hidden = unused.map(|arg| arg.clone().hide(true));
        command
            .display_order(listed.unwrap_or(UNLISTED))
            .args(hidden)
    })
}

/// The command line of this process.
pub(super) fn parse() -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&command().try_get_matches()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help_of(line: &[&str]) -> String {
        let line = [&["redis-cross-dc-exporter"], line, &["--help"]].concat();
        command()
            .try_get_matches_from(line)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn a_command_shows_the_options_that_it_uses() {
        let shown = help_of(&["check"]);
        assert!(shown.contains("--config.file") && shown.contains("--exporter.url"));
        let nested = help_of(&["silence", "add"]);
        for help in [shown, nested] {
            for unused in ["--web.config.file", "--log.level", "--web.telemetry-path"] {
                assert!(!help.contains(unused), "{unused} in\n{help}");
            }
        }
        assert!(!help_of(&["init"]).contains("--exporter.url"));
        for used in ["--web.telemetry-path", "--shard"] {
            assert!(help_of(&["run"]).contains(used), "{used}");
        }
    }

    #[test]
    fn every_command_has_its_place_and_its_options() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let is_listed = COMMANDS.iter().any(|(listed, _)| *listed == name);
            assert!(is_listed, "{name}");
        }
    }

    #[test]
    fn commands_are_in_the_order_of_their_use() {
        let help = help_of(&[]);
        let mut last = 0;
        for name in ["run", "check", "init", "check-config", "doctor", "rules"] {
            let found = help.find(&format!("\n  {name} "));
            let found = found.unwrap_or_else(|| panic!("{name} is not in\n{help}"));
            assert!(found > last, "{name} comes too early in\n{help}");
            last = found;
        }
    }

    #[test]
    fn what_a_command_does_not_show_it_still_takes() {
        let line = [
            "x",
            "--log.format",
            "json",
            "check",
            "--web.config.file",
            "w",
        ];
        let matches = command().try_get_matches_from(line).unwrap();
        let cli = Cli::from_arg_matches(&matches).unwrap();
        assert_eq!(cli.global.web_config_file.as_deref(), Some("w".as_ref()));
        assert_eq!(cli.global.log_format, crate::cli::args::LogFormat::Json);
    }
}
