//! The form that adds a silence, filled in from the page's address: a link in a message opens it.

use std::collections::BTreeMap;

use super::query::Filter;
use crate::config::parse_duration;
use crate::model::Span;
use crate::monitor::FleetSnapshot;
use crate::report::WouldSilence;

/// How long a silence lasts when nobody says otherwise: an hour.
const USUAL: Span = Span::from_secs(3600);

/// What the form offers.
const OFFERED: [(Span, &str); 6] = [
    (Span::from_secs(900), "15 minutes"),
    (USUAL, "1 hour"),
    (Span::from_secs(7200), "2 hours"),
    (Span::from_secs(14_400), "4 hours"),
    (Span::from_secs(86_400), "1 day"),
    (Span::from_secs(604_800), "7 days"),
];

/// Alerts that the form names; of more it says how many.
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
    /// The same for who has no script.
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
            Ok(matchers) => form.say(&WouldSilence::new(fleet, &matchers)),
            Err(sentence) => form.refuse(sentence),
        }
        form
    }

    fn say(&mut self, would: &WouldSilence) {
        if !would.unknown_labels.is_empty() {
            self.refuse(would.unknown_labels.join("; "));
            return;
        }
        self.words = would.words();
        self.wrong = would.is_nothing();
        let named = would.alerts.iter().take(MOST_NAMED);
        self.alerts = named
            .map(|(name, labels)| {
                let labels = labels.iter().map(|(name, value)| format!("{name}={value}"));
                format!("{name}: {}", labels.collect::<Vec<_>>().join(", "))
            })
            .collect();
        self.more = would.alerts.len() - self.alerts.len();
    }

    fn refuse(&mut self, sentence: String) {
        self.words = sentence;
        self.wrong = true;
    }
}

/// The matchers; a sentence where one is none. Lines that are not written yet are left out.
fn parsed(lines: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut matchers = BTreeMap::new();
    for line in lines.iter().filter(|line| !line.trim().is_empty()) {
        let Some((label, glob)) = line.split_once('=') else {
            return Err(format!("{line}: write label=value"));
        };
        matchers.insert(label.trim().to_owned(), glob.trim().to_owned());
    }
    Ok(matchers)
}

fn durations(chosen: Span) -> Vec<Duration> {
    let duration = |span: Span, words: String| Duration {
        seconds: format!("{:.0}", span.as_secs_f64()),
        words,
        chosen: span == chosen,
    };
    let offered = OFFERED.map(|(span, words)| duration(span, words.to_owned()));
    let mut all: Vec<Duration> = offered.into();
    if !all.iter().any(|one| one.chosen) {
        all.push(duration(chosen, span_words(chosen)));
    }
    all
}

/// A span in whole hours or minutes, where it is.
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
    let matchers: Vec<String> = filter.silence.iter().map(quoted).collect();
    let lasts = if parse_duration(&filter.silence_for).is_ok() {
        filter.silence_for.as_str()
    } else {
        "1h"
    };
    format!(
        "redis-cross-dc-exporter silence add {} --for {lasts} --author NAME --comment WHY",
        if matchers.is_empty() {
            "LABEL=VALUE".to_owned()
        } else {
            matchers.join(" ")
        }
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
    fn a_link_fills_in_the_form_and_says_what_it_would_silence() {
        let form = form(&["server=m.example.com:6379"], "2h");
        assert!(form.open && !form.wrong);
        assert_eq!(chosen(&form), ["2 hours"]);
        assert_eq!(form.words, "Fits 1 alert now, and later ones of 1 server.");
        assert!(form.alerts[0].starts_with("RedisCrossDcServerUnreachable: dc="));
        assert!(
            form.command
                .contains("'server=m.example.com:6379' --for 2h")
        );
    }

    #[test]
    fn what_fits_nothing_and_what_is_no_label_is_said() {
        assert!(
            form(&["pair=nosuchpair"], "")
                .words
                .starts_with("Nothing fits")
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
