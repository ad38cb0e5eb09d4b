//! The form that adds a silence, filled in from the page's address: a link in a message opens it.

use std::collections::BTreeMap;

use super::query::Filter;
use crate::config::parse_duration;
use crate::model::Span;
use crate::monitor::FleetSnapshot;
use crate::report::WouldSilence;

/// How long a silence lasts when the address names no duration.
const USUAL: Span = Span::from_secs(3600);

/// The durations that the form offers.
const OFFERED: [(Span, &str); 6] = [
    (Span::from_secs(900), "15 minutes"),
    (USUAL, "1 hour"),
    (Span::from_secs(7200), "2 hours"),
    (Span::from_secs(14_400), "4 hours"),
    (Span::from_secs(86_400), "1 day"),
    (Span::from_secs(604_800), "7 days"),
];

/// Alerts that the form names; the others are only counted.
const MOST_NAMED: usize = 10;

/// The form as it is shown.
pub(super) struct SilenceForm {
    /// Whether the address asks for it.
    pub(super) open: bool,
    /// A line each.
    pub(super) matchers: String,
    pub(super) durations: Vec<Duration>,
    /// What would be silenced; empty while the form is.
    pub(super) words: String,
    /// Whether nothing would be, or something is wrong.
    pub(super) wrong: bool,
    pub(super) alerts: Vec<String>,
    pub(super) more: usize,
    /// The command that does the same, for browsers without scripts.
    pub(super) command: String,
}

/// How long a silence may last.
pub(super) struct Duration {
    pub(super) seconds: String,
    pub(super) words: String,
    pub(super) chosen: bool,
}

impl SilenceForm {
    pub(super) fn new(fleet: &FleetSnapshot, filter: &Filter) -> Self {
        let chosen = parse_duration(&filter.silence_for).unwrap_or(USUAL);
        let mut form = Self {
            open: !filter.silence.is_empty(),
            matchers: filter.silence.join("\n"),
            durations: durations(chosen),
            words: String::new(),
            wrong: false,
            alerts: Vec::new(),
            more: 0,
            command: command(filter),
        };
        match parsed(&filter.silence) {
            Ok(matchers) if matchers.is_empty() => {}
            Ok(matchers) => form.preview(&WouldSilence::new(fleet, &matchers)),
            Err(sentence) => form.refuse(sentence),
        }
        form
    }

    /// Shows what would be silenced.
    fn preview(&mut self, would: &WouldSilence) {
        if !would.unknown_labels.is_empty() {
            self.refuse(would.unknown_labels.join("; "));
            return;
        }
        self.words = would.words();
        self.wrong = would.is_nothing();
        for (name, labels) in would.alerts.iter().take(MOST_NAMED) {
            let mut named = Vec::new();
            for (label, value) in labels {
                named.push(format!("{label}={value}"));
            }
            self.alerts.push(format!("{name}: {}", named.join(", ")));
        }
        self.more = would.alerts.len() - self.alerts.len();
    }

    fn refuse(&mut self, sentence: String) {
        self.words = sentence;
        self.wrong = true;
    }
}

/// The matchers; a sentence where a line is none. Empty lines are skipped.
fn parsed(lines: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut matchers = BTreeMap::new();
    for line in lines {
        if line.trim().is_empty() {
            continue;
        }
        let Some((label, glob)) = line.split_once('=') else {
            return Err(format!("{line}: write label=value"));
        };
        matchers.insert(label.trim().to_owned(), glob.trim().to_owned());
    }
    Ok(matchers)
}

/// The offered durations, and the chosen one where it is not among them.
fn durations(chosen: Span) -> Vec<Duration> {
    let mut durations = Vec::new();
    for (span, words) in OFFERED {
        durations.push(Duration::new(span, words.to_owned(), span == chosen));
    }
    if !durations.iter().any(|duration| duration.chosen) {
        durations.push(Duration::new(chosen, span_words(chosen), true));
    }
    durations
}

impl Duration {
    fn new(span: Span, words: String, chosen: bool) -> Self {
        Self {
            seconds: format!("{:.0}", span.as_secs_f64()),
            words,
            chosen,
        }
    }
}

/// A span in hours or minutes, where it is a whole number of them.
#[allow(clippy::cast_possible_truncation)] // a silence lasts 30 days at most
fn span_words(span: Span) -> String {
    let whole = span.as_secs_f64() as i64;
    match whole {
        _ if whole > 0 && whole % 3600 == 0 => format!("{} hours", whole / 3600),
        _ if whole > 0 && whole % 60 == 0 => format!("{} minutes", whole / 60),
        _ => span.to_string(),
    }
}

/// The command that does the same, as a shell takes it.
fn command(filter: &Filter) -> String {
    let quoted = |text: &String| format!("'{}'", text.replace('\'', r"'\''"));
    let given: Vec<String> = filter.silence.iter().map(quoted).collect();
    let matchers = if given.is_empty() {
        "LABEL=VALUE".to_owned()
    } else {
        given.join(" ")
    };
    let lasts = if parse_duration(&filter.silence_for).is_ok() {
        filter.silence_for.as_str()
    } else {
        "1h"
    };
    format!(
        "redis-cross-dc-exporter silence add {matchers} --for {lasts} --author NAME --comment WHY"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{Scene, fleet};

    fn form(silence: &[&str], lasts: &str) -> SilenceForm {
        let filter = Filter {
            silence: silence.iter().map(|line| (*line).to_owned()).collect(),
            silence_for: lasts.to_owned(),
            ..Filter::default()
        };
        SilenceForm::new(&fleet(Scene::MasterLost).0, &filter)
    }

    fn chosen(form: &SilenceForm) -> Vec<&str> {
        let chosen = form.durations.iter().filter(|one| one.chosen);
        chosen.map(|one| one.words.as_str()).collect()
    }

    #[test]
    fn a_link_fills_in_the_form_and_previews_what_it_would_silence() {
        let form = form(&["server=m.example.com:6379"], "2h");
        assert!(form.open && !form.wrong);
        assert_eq!(chosen(&form), ["2 hours"]);
        assert_eq!(
            form.words,
            "Matches 1 alert now, and later ones of 1 server."
        );
        assert!(form.alerts[0].starts_with("RedisCrossDcServerUnreachable: dc="));
        assert!(
            form.command
                .contains("'server=m.example.com:6379' --for 2h")
        );
    }

    #[test]
    fn matchers_that_fit_nothing_or_are_malformed_have_a_sentence() {
        assert!(
            form(&["pair=nosuchpair"], "")
                .words
                .starts_with("Nothing matches")
        );
        assert!(
            form(&["piar=orders"], "")
                .words
                .contains("did you mean pair?")
        );
        let no_matcher = form(&["orders"], "");
        assert!(no_matcher.wrong && no_matcher.words == "orders: write label=value");
    }

    #[test]
    fn without_a_link_the_form_is_empty_and_folded() {
        let form = form(&[], "");
        assert!(!form.open && form.words.is_empty() && form.matchers.is_empty());
        assert_eq!(chosen(&form), ["1 hour"]);
    }

    #[test]
    fn a_duration_that_is_not_offered_is_added() {
        assert_eq!(chosen(&form(&["pair=a"], "90m")), ["90 minutes"]);
    }
}
