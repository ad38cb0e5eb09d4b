//! The command line: parses the arguments, runs the command, and maps its outcome to an exit code.
//! One file per command.

mod access;
mod active_active;
mod alerts;
mod args;
mod check;
mod check_config;
mod columns;
mod deliveries;
#[cfg(feature = "demo")]
mod demo;
mod doctor;
mod draft;
mod exit;
mod exporter;
mod failover;
mod healthcheck;
mod help;
mod init;
mod logging;
mod lost_writes;
mod notified;
mod output;
mod packaging;
mod place;
mod rules;
mod run;
mod shard;
mod silence;
mod style;
mod summary;
mod test_notify;
mod version;
mod wrapped;

use std::future::Future;
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::config::{ConfigErrors, Environment, Loaded, Settings, load_web};
use crate::web::WebConfig;
use args::{Cli, Command, Global};
use exit::Exit;
use output::complain;

/// What to do where there is no configuration file.
const WITHOUT_FILE: &str = "Name the file with --config.file, or write one: redis-cross-dc-exporter init \
     --master HOST:PORT --replica HOST:PORT";

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    match help::parse() {
        Ok(cli) => dispatch(cli).into(),
        Err(error) => usage(&error).into(),
    }
}

fn dispatch(cli: Cli) -> Exit {
    let Cli { global, command } = cli;
    match command.unwrap_or(Command::Run) {
        Command::Run => run::run(&global),
        Command::Check(args) => check::check(&global, &args),
        Command::Doctor(args) => doctor::doctor(&global, &args),
        Command::Init(args) => init::init(&global, &args),
        Command::Alerts(args) => alerts::alerts(&global, &args),
        Command::Deliveries(args) => deliveries::deliveries(&global, &args),
        Command::LostWrites(args) => lost_writes::lost_writes(&global, &args),
        Command::Failover(args) => failover::failover(&global, &args),
        Command::Failback(args) => failover::failback(&global, &args),
        Command::CheckConfig(args) => check_config::check_config(&global, &args),
        Command::Healthcheck(args) => healthcheck::healthcheck(&global, &args),
        Command::ActiveActive(args) => active_active::active_active(&global, &args),
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::demo(&global, &args),
        Command::TestNotify(args) => test_notify::test_notify(&global, &args),
        Command::Silence(args) => silence::silence(&global, &args),
        Command::Rules(args) => rules::rules(&global, &args),
        Command::Completions(args) => packaging::completions(&args),
        Command::Man => packaging::man(),
    }
}

/// Prints what is wrong with the command line, or the help that was asked for. A usage error is 64,
/// and 3 (unknown) of `check`: clap's own 2 means critical to Nagios.
fn usage(error: &clap::Error) -> Exit {
    // Fails only where the terminal is gone, and then there is nowhere to report it.
    let _ = error.print();
    let is_check = is_check(std::env::args().skip(1));
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Ok,
        _ if is_check => Exit::Unknown,
        _ => Exit::Usage,
    }
}

/// Whether the command line is one of `check`: the first word that is a command.
fn is_check(arguments: impl Iterator<Item = String>) -> bool {
    let commands = help::command();
    let mut words = arguments.filter(|word| commands.find_subcommand(word).is_some());
    words.next().is_some_and(|word| word == "check")
}

/// The settings of the configuration file, overridden by flags. An error has been printed already.
fn load_settings(global: &Global) -> Result<Settings, Exit> {
    let loaded = load_config(global)?;
    Ok(loaded.settings)
}

/// Like [`load_settings`], with the files that the configuration names.
fn load_config(global: &Global) -> Result<Loaded, Exit> {
    let environment = Environment::from_os(std::env::vars_os());
    let mut loaded = match crate::config::load(&global.config_file, &environment) {
        Ok(loaded) => loaded,
        Err(errors) => {
            let path = global.config_file.display();
            complain(&format!(
                "The configuration {path} is not usable:\n{errors}"
            ));
            if !global.config_file.exists() {
                complain(WITHOUT_FILE);
            }
            return Err(Exit::Usage);
        }
    };
    if let Some(flag) = global.listen_addresses.first() {
        loaded.settings.listen_address = flag.clone();
    }
    loaded.settings.shard = global.shard;
    Ok(loaded)
}

/// The web configuration where one is given. An error has been printed already.
fn load_web_config(global: &Global) -> Result<Option<WebConfig>, Exit> {
    let Some(path) = &global.web_config_file else {
        return Ok(None);
    };
    match WebConfig::load(path.clone()) {
        Ok(config) => Ok(Some(config)),
        Err(errors) => Err(refuse_web_config(path, &errors)),
    }
}

/// Checks the web configuration where one is given, without the files that it names.
fn check_web_syntax(global: &Global) -> Result<(), Exit> {
    let Some(path) = &global.web_config_file else {
        return Ok(());
    };
    match load_web(path) {
        Ok(_) => Ok(()),
        Err(errors) => Err(refuse_web_config(path, &errors)),
    }
}

fn refuse_web_config(path: &Path, errors: &ConfigErrors) -> Exit {
    complain(&format!(
        "The web configuration {} is not usable:\n{errors}",
        path.display()
    ));
    Exit::Usage
}

/// Runs `work` on a new runtime.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Exit> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    match builder.enable_all().build() {
        Ok(runtime) => Ok(runtime.block_on(work)),
        Err(error) => {
            complain(&format!(
                "The program cannot start its threads: {error}. Check the limits on processes (ulimit -u)."
            ));
            Err(Exit::Failed)
        }
    }
}
