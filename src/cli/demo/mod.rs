//! `demo`: real servers on this machine and a simulated WAN between them that breaks, with the
//! exporter's view of it.

mod narrator;
mod stage;
mod story;

use std::time::Duration;

use super::args::{DemoArgs, Global};
use super::block_on;
use super::exit::Exit;
use super::output::complain;
use narrator::Narrator;
use stage::Stage;

/// How long the whole story may take: three times what it takes on a slow machine.
const STORY_LIMIT: Duration = Duration::from_mins(4);

pub(super) fn demo(global: &Global, args: &DemoArgs) -> Exit {
    let listen = global.listen_address.clone().unwrap_or_default();
    match block_on(play(listen.port(), args.once)) {
        Ok(Ok(())) => Exit::Ok,
        Ok(Err(why)) => {
            complain(&format!("\nThe demo failed: {why}"));
            Exit::Failed
        }
        Err(exit) => exit,
    }
}

/// Plays the story. Everything that it started ends with it, also on Ctrl-C.
async fn play(port: u16, once: bool) -> Result<(), String> {
    let narrator = Narrator::new();
    let interrupted = tokio::signal::ctrl_c();
    tokio::select! {
        played = play_story(&narrator, port, once) => played,
        _ = interrupted => {
            Narrator::say("\nCtrl-C: everything that the demo started ends now.");
            Ok(())
        }
    }
}

async fn play_story(narrator: &Narrator, port: u16, once: bool) -> Result<(), String> {
    let stage = Stage::set(narrator, port)
        .await
        .map_err(|error| error.to_string())?;
    let played = tokio::time::timeout(STORY_LIMIT, story::play(narrator, &stage)).await;
    played.map_err(|_| format!("the story took longer than {} s", STORY_LIMIT.as_secs()))??;
    if !once {
        Narrator::say(&format!(
            "\nThe servers, the writers and the exporter continue to run. Open {0}/ and {0}/metrics, or ask\n  \
             {1} check --exporter.url {0}\nCtrl-C ends everything.",
            stage.url(),
            std::env::args()
                .next()
                .as_deref()
                .unwrap_or("redis-cross-dc-exporter")
        ));
        std::future::pending::<()>().await;
    }
    stage.end().await;
    Ok(())
}
