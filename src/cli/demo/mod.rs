//! `demo`: real servers on this machine and a simulated WAN between them that breaks, with the
//! exporter's view of it.

mod narrator;
mod pause;
mod stage;
mod story;

use super::args::{DemoArgs, Global};
use super::block_on;
use super::exit::Exit;
use super::output::complain;
use narrator::Narrator;
use pause::Pause;
use stage::Stage;

pub(super) fn demo(global: &Global, args: &DemoArgs) -> Exit {
    let listen = global.listen_addresses.first().cloned();
    let port = listen.unwrap_or_default().port();
    match block_on(play(port, args)) {
        Ok(Ok(())) => Exit::Ok,
        Ok(Err(why)) => {
            complain(&format!("\nThe demo failed: {why}"));
            Exit::Failed
        }
        Err(exit) => exit,
    }
}

/// Plays the story. Everything that it started ends with it, also on Ctrl-C.
async fn play(port: u16, args: &DemoArgs) -> Result<(), String> {
    let narrator = Narrator::new();
    let pause = if args.once || args.no_wait {
        Pause::none()
    } else {
        Pause::at_terminal()
    };
    let interrupted = tokio::signal::ctrl_c();
    tokio::select! {
        played = play_story(&narrator, port, &pause, args.once) => played,
        _ = interrupted => {
            Narrator::say("\nCtrl-C: everything that the demo started ends now.");
            Ok(())
        }
    }
}

async fn play_story(
    narrator: &Narrator,
    port: u16,
    pause: &Pause,
    once: bool,
) -> Result<(), String> {
    let address = stage::listen_address(port).await;
    Narrator::say(&introduction(&address.to_string(), pause));
    let stage = Stage::set(narrator, address)
        .await
        .map_err(|error| error.to_string())?;
    story::play(narrator, &stage, pause).await?;
    if !once {
        Narrator::say(&ending(stage.url()));
        std::future::pending::<()>().await;
    }
    stage.end().await;
    Ok(())
}

/// The first lines: where to look, and how to go on and to end.
fn introduction(address: &str, pause: &Pause) -> String {
    let how = if pause.is_interactive() {
        "Enter begins each act; Ctrl-C ends everything."
    } else {
        "Ctrl-C ends everything."
    };
    format!(
        "The page of this demo: http://{address}/   (open it in a browser; it is there in a few seconds)\n\
         Real redis-servers in three datacenters, a simulated WAN between them, and the exporter. {how}\n"
    )
}

fn ending(url: &str) -> String {
    let program = std::env::args().next();
    let program = program.as_deref().unwrap_or("redis-cross-dc-exporter");
    format!(
        "\nThe servers, the writers and the exporter continue to run. Open {url}/ and {url}/metrics, or try\n  \
         {program} check --exporter.url {url}\n  \
         {program} alerts --resolved --exporter.url {url}\n  \
         {program} deliveries --exporter.url {url}\nCtrl-C ends everything."
    )
}
