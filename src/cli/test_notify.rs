//! `test-notify`: sends a marked test to receivers, so that a wrong key is found before an
//! incident.

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

/// The receivers that are to be tested: the one of this name, or all.
fn chosen<'a>(
    settings: &'a NotifySettings,
    name: Option<&str>,
) -> Result<Vec<&'a ReceiverSettings>, String> {
    let receivers = &settings.receivers;
    if receivers.is_empty() {
        return Err("The configuration has no receivers: add some to notify.receivers.".to_owned());
    }
    let Some(name) = name else {
        return Ok(receivers.iter().collect());
    };
    let chosen: Vec<_> = receivers.iter().filter(|r| r.name == name).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = receivers.iter().map(|r| r.name.as_str()).collect();
        let names = names.join(", ");
        return Err(format!(
            "There is no receiver called {name:?}; there are: {names}."
        ));
    }
    Ok(chosen)
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

/// Whether the receiver took everything. A layout that it refused may have been followed by plain
/// text.
fn is_taken(steps: &[TestStep]) -> bool {
    let was_accepted = |step: &TestStep| step.accepted || plain_text_was_accepted(steps, step);
    !steps.is_empty() && steps.iter().all(was_accepted)
}

fn plain_text_was_accepted(steps: &[TestStep], refused: &TestStep) -> bool {
    let plain = format!("{} as plain text", refused.what);
    steps.iter().any(|step| step.accepted && step.what == plain)
}

/// What the receiver answers is shown with its control characters escaped.
fn print(step: &TestStep) {
    let mark = if step.accepted { "taken" } else { "NOT TAKEN" };
    let what = visible_text(&step.what);
    let answer = visible_text(&step.answer);
    say(&format!("  {what}: {mark}: {answer}"));
}
