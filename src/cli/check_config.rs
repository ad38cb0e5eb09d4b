//! `check-config`: parses, resolves and prints what is in effect. Asks no server.

use super::args::Global;
use super::exit::Exit;
use super::{load_settings, say};

pub(super) fn check_config(global: &Global) -> Exit {
    match load_settings(global) {
        Ok(settings) => {
            // Comments, so that the output is still a configuration.
            settings.warnings().iter().for_each(|warning| say(&format!("# warning: {warning}")));
            say(settings.to_yaml_redacted().trim_end());
            Exit::Ok
        }
        Err(exit) => exit,
    }
}
