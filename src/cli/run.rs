//! `run`: the exporter and alerter.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use super::args::Global;
use super::exit::Exit;
use super::logging::{self, Log};
use super::output::complain;
use super::{block_on, load_config, load_web_config};
use crate::admin::AdminError;
use crate::app::{App, Control, Listen, LoadSettings, StartError, WebOptions};
use crate::config::{Environment, Loaded, NamedFiles, Settings};

pub(super) fn run(global: &Global) -> Exit {
    let (loaded, config) = match (load_config(global), load_web_config(global)) {
        (Ok(loaded), Ok(config)) => (loaded, config),
        (Err(exit), _) | (_, Err(exit)) => return exit,
    };
    let log = logging::start(global);
    let web = WebOptions {
        listen: listen(global, &loaded.settings),
        telemetry_path: global.telemetry_path.clone(),
        config,
        admin_api: global.enable_admin_api,
    };
    let ended = block_on(serve(loaded, web, global, log.clone()));
    log.finish();
    match ended {
        Ok(Ok(())) => Exit::Ok,
        Ok(Err(error)) => {
            complain(&error.to_string());
            Exit::Failed
        }
        Err(exit) => exit,
    }
}

/// What is listened on: the flags override the file.
fn listen(global: &Global, settings: &Settings) -> Listen {
    if global.systemd_socket {
        Listen::PassedSockets
    } else if global.listen_addresses.is_empty() {
        Listen::Addresses(vec![settings.listen_address.clone()])
    } else {
        Listen::Addresses(global.listen_addresses.clone())
    }
}

async fn serve(
    loaded: Loaded,
    web: WebOptions,
    global: &Global,
    log: Log,
) -> Result<(), StartError> {
    let app = App::bind(loaded.settings, web, reload_from(global))?;
    warn_of_unusable_files(loaded.files);
    // On the heap: it holds everything that the exporter is.
    Box::pin(app.run(|control| {
        tokio::spawn(log.follow());
        // Installed here, not in the task: until then SIGHUP ends the process.
        let kinds = [
            SignalKind::hangup(),
            SignalKind::terminate(),
            SignalKind::interrupt(),
        ];
        let [Ok(hangup), Ok(terminate), Ok(interrupt)] = kinds.map(signal) else {
            tracing::error!(
                "signals cannot be received: SIGHUP will not reload and SIGTERM will not drain"
            );
            return;
        };
        tokio::spawn(follow_signals(control, [hangup, terminate, interrupt]));
    }))
    .await
}

/// Loads the configuration again, for a reload; the flags override it again.
fn reload_from(global: &Global) -> LoadSettings {
    let path = global.config_file.clone();
    let flag = global.listen_addresses.first().cloned();
    let shard = global.shard;
    Box::new(move || {
        let environment = Environment::from_os(std::env::vars_os());
        let mut loaded = crate::config::load(&path, &environment)?;
        if let Some(flag) = &flag {
            loaded.settings.listen_address = flag.clone();
        }
        loaded.settings.shard = shard;
        warn_of_unusable_files(loaded.files);
        Ok(loaded.settings)
    })
}

/// Logs a warning for each file of a login or of TLS that cannot be used now; those of receivers
/// have warnings of their own. The files may be on a network, so nothing waits for them.
fn warn_of_unusable_files(files: NamedFiles) {
    tokio::task::spawn_blocking(move || {
        let unusable = files.unusable().into_iter();
        for file in unusable.filter(|file| !file.is_for_receiver()) {
            warn!(
                key = file.key,
                file = %file.path.display(),
                problem = file.problem,
                "a file that the configuration names cannot be used"
            );
        }
    });
}

/// SIGHUP reloads; SIGTERM and Ctrl-C end the program.
async fn follow_signals(control: Control, signals: [Signal; 3]) {
    let [mut hangup, mut terminate, mut interrupt] = signals;
    loop {
        tokio::select! {
            // In a task: the signals that end the program must not wait for a reload.
            _ = hangup.recv() => drop(tokio::spawn(reload(control.clone()))),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    info!("shutting down: sending what is due");
    control.stop();
}

async fn reload(control: Control) {
    // The core logs how a reload ends, unless it never received the command.
    if let Err(error @ (AdminError::Busy | AdminError::NoReply)) = control.reload().await {
        warn!(%error, "SIGHUP may be without effect");
    }
}
