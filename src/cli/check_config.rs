//! `check-config`: parses, resolves and prints what is in effect. Asks no server.

use super::args::Global;
use super::exit::Exit;
use super::{load_settings, load_web_config, say};

pub(super) fn check_config(global: &Global) -> Exit {
    // Both are read before either counts, so that one mistake does not hide the next.
    match (load_settings(global), load_web_config(global)) {
        (Ok(settings), Ok(_)) => {
            // Comments, so that the output is still a configuration.
            settings
                .warnings()
                .iter()
                .for_each(|warning| say(&format!("# warning: {warning}")));
            say(settings.to_yaml_redacted().trim_end());
            Exit::Ok
        }
        (Err(exit), _) | (_, Err(exit)) => exit,
    }
}
