//! The command line: parses the arguments, runs the command, and maps its outcome to an exit code.
//! One file per command.

mod args;
mod check;
mod check_config;
mod columns;
#[cfg(feature = "demo")]
mod demo;
mod doctor;
mod exit;
mod exporter;
mod failover;
mod healthcheck;
mod logging;
mod output;
mod packaging;
mod rules;
mod run;
mod silence;
mod style;
mod test_notify;

use std::future::Future;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::config::{ConfigErrors, Environment, Loaded, Settings, load_web};
use crate::web::WebConfig;
use args::{Cli, Command, Global};
use exit::Exit;
use output::complain;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    match Cli::try_parse() {
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
        Command::Failover(args) => failover::failover(&global, &args),
        Command::Failback(args) => failover::failback(&global, &args),
        Command::CheckConfig(args) => check_config::check_config(&global, &args),
        Command::Healthcheck(args) => healthcheck::healthcheck(&global, &args),
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
    let is_check = std::env::args().any(|arg| arg == "check");
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Ok,
        _ if is_check => Exit::Unknown,
        _ => Exit::Usage,
    }
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
            return Err(Exit::Usage);
        }
    };
    if let Some(flag) = &global.listen_address {
        loaded.settings.listen_address = flag.clone();
    }
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
