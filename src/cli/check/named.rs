//! `check MASTER REPLICA ...`: the settings for servers that are named on the command line.

use std::path::Path;

use crate::cli::args::CheckArgs;
use crate::cli::draft::{Draft, DraftLogin, DraftServers};
use crate::config::{Environment, Format, Settings, parse};

/// The settings for a master and its replicas, with the defaults of a configuration. The pair has
/// the master's address as its name.
///
/// # Errors
/// A sentence for the user.
pub(super) fn settings(args: &CheckArgs) -> Result<Settings, String> {
    let Some((master, replicas)) = args.servers.split_first() else {
        return Err("Name a master and its replicas.".to_owned());
    };
    if replicas.is_empty() {
        return Err(format!(
            "Name at least one replica of {} behind it: check MASTER REPLICA.",
            master.address
        ));
    }
    let draft = Draft {
        name: master.address.clone(),
        servers: DraftServers::Pair {
            master: master.clone(),
            replicas: replicas.to_vec(),
        },
        login: DraftLogin::from(&args.login),
        datacenters: Vec::new(),
        local: None,
        receivers: Vec::new(),
    };
    let text = draft.to_yaml();
    let folder = Path::new("");
    let parsed = parse(&text, Format::Yaml, folder, &Environment::default());
    parsed.map_err(|errors| format!("The servers cannot be polled:\n{errors}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn read(more: &[&str]) -> Result<Settings, String> {
        let line = [&["x", "check"], more].concat();
        let cli = Cli::try_parse_from(line).map_err(|error| error.to_string())?;
        let Some(Command::Check(args)) = cli.command else {
            panic!("another command")
        };
        settings(&args)
    }

    #[test]
    fn a_master_and_its_replicas_need_no_file() {
        let line = ["dc1=a:1", "dc2=b:1", "c:1", "--redis.password-file", "p"];
        let settings = read(&line).unwrap();
        let pair = settings.pairs.first().unwrap();
        assert_eq!(pair.name.as_str(), "a:1");
        assert_eq!(pair.replicas.len(), 2);
        assert!(pair.master.credentials.password.is_some());
    }

    #[test]
    fn what_cannot_be_polled_is_refused_with_a_sentence() {
        assert!(read(&["a:1"]).unwrap_err().contains("check MASTER REPLICA"));
        assert!(
            read(&["a", "b:1"])
                .unwrap_err()
                .contains("pairs[0].master.address")
        );
        let both = read(&["a:1", "b:1", "--pair", "x"]).unwrap_err();
        assert!(both.contains("cannot be used with"), "{both}");
    }
}
