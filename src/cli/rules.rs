//! `rules`: the rule file for Prometheus, with this configuration's thresholds.

use super::args::{Global, RulesArgs, RulesFormat, RulesGroup};
use super::exit::Exit;
use super::load_settings;
use super::output::say;
use crate::rules::{Format, Group, Links};

pub(super) fn rules(global: &Global, args: &RulesArgs) -> Exit {
    let settings = match load_settings(global) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    let links = Links::new(&settings, args.external_url.as_deref());
    let groups = match args.group {
        Some(group) => vec![group.into()],
        None => Group::ALL.to_vec(),
    };
    let text = crate::rules::rule_file(&settings, &links, &groups, args.format.into());
    say(text.trim_end());
    Exit::Ok
}

impl From<RulesGroup> for Group {
    fn from(group: RulesGroup) -> Self {
        match group {
            RulesGroup::Pairs => Self::Pairs,
            RulesGroup::Servers => Self::Servers,
            RulesGroup::Sites => Self::Sites,
            RulesGroup::Exporter => Self::Exporter,
        }
    }
}

impl From<RulesFormat> for Format {
    fn from(format: RulesFormat) -> Self {
        match format {
            RulesFormat::Rules => Self::Rules,
            RulesFormat::Prometheusrule => Self::PrometheusRule,
        }
    }
}
