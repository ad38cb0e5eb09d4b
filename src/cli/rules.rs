//! `rules`: the rule file for Prometheus, with this configuration's thresholds.

use super::args::{Global, RulesArgs};
use super::exit::Exit;
use super::{load_settings, say};

pub(super) fn rules(global: &Global, args: &RulesArgs) -> Exit {
    match load_settings(global) {
        Ok(settings) => {
            let url = args
                .external_url
                .as_deref()
                .unwrap_or("http://localhost:10121");
            say(crate::rules::rule_file(&settings, url.trim_end_matches('/')).trim_end());
            Exit::Ok
        }
        Err(exit) => exit,
    }
}
