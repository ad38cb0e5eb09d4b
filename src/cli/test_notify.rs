//! `test-notify`: sends a marked test to receivers, so that a wrong key is found before an incident.

use super::args::{Global, TestNotifyArgs};
use super::exit::Exit;
use super::output::{complain, say};
use super::{block_on, load_settings};
use crate::app;
use crate::config::{NotifySettings, ReceiverSettings};
use crate::notify::{MessageContext, TestStep, Timing, test_receiver};
use crate::report::visible_text;

pub(super) fn test_notify(global: &Global, args: &TestNotifyArgs) -> Exit {
    let loaded = match load_settings(global) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    let settings = loaded.notify;
    let chosen = match chosen(&settings, args.receiver.as_deref()) {
        Ok(chosen) => chosen,
        Err(sentence) => {
            complain(&sentence);
            return Exit::Usage;
        }
    };
    let context = app::message_context(&loaded.listen_address, global.web_config_file.is_some());
    block_on(test_all(&settings, &chosen, &context)).unwrap_or_else(|exit| exit)
}

/// The receivers that are to be tested.
fn chosen<'a>(
    settings: &'a NotifySettings,
    name: Option<&str>,
) -> Result<Vec<&'a ReceiverSettings>, String> {
    let fits = |receiver: &&ReceiverSettings| name.is_none_or(|name| receiver.name == name);
    let chosen: Vec<_> = settings.receivers.iter().filter(fits).collect();
    let names = || {
        settings
            .receivers
            .iter()
            .map(|receiver| receiver.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    match (chosen.is_empty(), name) {
        (false, _) => Ok(chosen),
        (true, Some(name)) if !settings.receivers.is_empty() => Err(format!(
            "There is no receiver called {name:?}; there are: {}.",
            names()
        )),
        (true, _) => {
            Err("The configuration has no receivers: add some to notify.receivers.".to_owned())
        }
    }
}

async fn test_all(
    settings: &NotifySettings,
    chosen: &[&ReceiverSettings],
    context: &MessageContext,
) -> Exit {
    let mut taken = 0;
    for receiver in chosen {
        say(&visible_text(&receiver.name));
        let steps = match test_receiver(settings, receiver, context, &Timing::default()).await {
            Ok(steps) => steps,
            Err(error) => {
                complain(&format!("The test cannot begin: {error}"));
                return Exit::Failed;
            }
        };
        steps.iter().for_each(print);
        taken += usize::from(is_taken(&steps));
    }
    say(&format!(
        "{taken} of {} receivers took the test",
        chosen.len()
    ));
    if taken == chosen.len() {
        Exit::Ok
    } else {
        Exit::Failed
    }
}

/// Whether the receiver took everything; a layout that it refused may have been followed by plain
/// text.
fn is_taken(steps: &[TestStep]) -> bool {
    let plain = |what: &str| {
        steps
            .iter()
            .any(|step| step.accepted && step.what == format!("{what} as plain text"))
    };
    let all = steps.iter().all(|step| step.accepted || plain(&step.what));
    all && !steps.is_empty()
}

/// What the far side says is shown, never obeyed.
fn print(step: &TestStep) {
    let mark = if step.accepted { "taken" } else { "NOT TAKEN" };
    say(&format!(
        "  {}: {mark}: {}",
        visible_text(&step.what),
        visible_text(&step.answer)
    ));
}
