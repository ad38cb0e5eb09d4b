//! `run`: the exporter and alerter.

use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use super::args::Global;
use super::exit::Exit;
use super::{block_on, complain, load_settings, logging};
use crate::app::{App, Control, LoadSettings, StartError};
use crate::config::{Environment, Settings};

pub(super) fn run(global: &Global) -> Exit {
    let settings = match load_settings(global) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    logging::start(global);
    match block_on(serve(settings, global)) {
        Ok(Ok(())) => Exit::Ok,
        Ok(Err(error)) => {
            complain(&error.to_string());
            Exit::Failed
        }
        Err(exit) => exit,
    }
}

async fn serve(settings: Settings, global: &Global) -> Result<(), StartError> {
    let path = global.config_file.clone();
    let load: LoadSettings = Box::new(move || crate::config::load(&path, &Environment::from_os(std::env::vars_os())));
    let app = App::bind(settings, global.listen_address, load).await?;
    app.run(|control| {
        tokio::spawn(follow_signals(control));
    })
    .await
}

/// SIGHUP reloads; SIGTERM and Ctrl-C end the program.
async fn follow_signals(control: Control) {
    let signals = (signal(SignalKind::hangup()), signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut hangup), Ok(mut terminate), Ok(mut interrupt)) = signals else {
        tracing::error!("signals cannot be received: SIGHUP will not reload and SIGTERM will not drain");
        return;
    };
    loop {
        tokio::select! {
            _ = hangup.recv() => control.reload(),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    info!("asked to end: draining");
    control.stop();
}
