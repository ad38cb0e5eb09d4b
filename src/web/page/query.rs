//! The queries of the pages' addresses: which pairs, which screenful, how far back.

use crate::model::{Span, percent_encode};
use crate::report::{AlertReport, Level, PairReport};

/// Which pairs are wanted, and which silence the form is filled in with. Everything is optional,
/// and a value that makes no sense is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::web) struct Filter {
    /// A part of the name, a server, a datacenter or a label's value.
    pub(super) q: String,
    /// A level, a state, or `trouble` for all that is not ok.
    pub(super) state: String,
    /// The master's datacenter.
    pub(super) from: String,
    /// The replica's datacenter.
    pub(super) to: String,
    /// Which screenful, from 1 on.
    pub(super) page: String,
    /// The matchers in the form of a silence, `label=glob` each.
    pub(super) silence: Vec<String>,
    /// How long it is to last, such as `2h`.
    pub(super) silence_for: String,
}

/// How far back a pair's page looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::web) enum Range {
    /// 15 minutes.
    #[default]
    Minutes,
    /// 2 hours.
    Hours,
    /// 24 hours.
    Day,
}

impl Range {
    pub(super) const ALL: [Self; 3] = [Self::Minutes, Self::Hours, Self::Day];

    /// The range of that name; the shortest, where there is none.
    pub(in crate::web) fn parse(name: &str) -> Self {
        for range in Self::ALL {
            if range.name() == name {
                return range;
            }
        }
        Self::default()
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Minutes => "15m",
            Self::Hours => "2h",
            Self::Day => "24h",
        }
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Minutes => "15 minutes",
            Self::Hours => "2 hours",
            Self::Day => "24 hours",
        }
    }

    pub(super) const fn span(self) -> Span {
        match self {
            Self::Minutes => Span::from_secs(900),
            Self::Hours => Span::from_secs(7200),
            Self::Day => Span::from_secs(86_400),
        }
    }
}

/// Matchers that are read from an address: more than a silence may have are ignored.
const MOST_MATCHERS: usize = 16;

impl Filter {
    /// Reads an address's query. The last value of a parameter counts; each `silence` is a matcher.
    pub(in crate::web) fn parse(query: Vec<(String, String)>) -> Self {
        let mut filter = Self::default();
        for (name, value) in query {
            match name.as_str() {
                "q" => filter.q = value,
                "state" => filter.state = value,
                "from" => filter.from = value,
                "to" => filter.to = value,
                "page" => filter.page = value,
                "for" => filter.silence_for = value,
                "silence" if filter.silence.len() < MOST_MATCHERS => filter.silence.push(value),
                _ => {}
            }
        }
        filter
    }

    /// Which screenful is wanted, from 0 on.
    pub(super) fn page(&self) -> usize {
        match self.page.parse::<usize>() {
            Ok(page) => page.saturating_sub(1),
            Err(_) => 0,
        }
    }

    /// Whether some pairs are not wanted.
    pub(super) fn is_narrow(&self) -> bool {
        [&self.q, &self.state, &self.from, &self.to]
            .into_iter()
            .any(|text| !text.is_empty())
    }

    /// Whether the pair is wanted.
    pub(super) fn takes(&self, pair: &PairReport) -> bool {
        let is = |wanted: &str, dc: &str| wanted.is_empty() || wanted == dc;
        is(&self.from, &pair.source_dc)
            && is(&self.to, &pair.target_dc)
            && self.takes_state(pair)
            && self.finds(pair)
    }

    fn takes_state(&self, pair: &PairReport) -> bool {
        match self.state.as_str() {
            "" => true,
            "trouble" => pair.level() != Level::Ok,
            word => word == pair.level().label() || word == pair.state.label(),
        }
    }

    fn finds(&self, pair: &PairReport) -> bool {
        let wanted = self.q.trim().to_lowercase();
        if wanted.is_empty() {
            return true;
        }
        let fixed = [
            &pair.pair,
            &pair.master,
            &pair.replica,
            &pair.source_dc,
            &pair.target_dc,
        ];
        let mut texts = fixed.into_iter().chain(pair.labels.values());
        texts.any(|text| text.to_lowercase().contains(&wanted))
    }

    /// The page's address with these pairs, on that screenful (from 0 on).
    pub(super) fn address(&self, page: usize) -> String {
        let page = if page > 0 {
            (page + 1).to_string()
        } else {
            String::new()
        };
        let all = [
            ("q", &self.q),
            ("state", &self.state),
            ("from", &self.from),
            ("to", &self.to),
            ("page", &page),
        ];
        address("/", &all)
    }
}

/// The address of the pairs from one datacenter to another.
pub(super) fn link_address(from: &str, to: &str) -> String {
    address("/", &[("from", &from.to_owned()), ("to", &to.to_owned())])
}

/// The address of a pair's page.
pub(in crate::web) fn pair_address(name: &str, replica: &str) -> String {
    address(
        &format!("/pairs/{}", percent_encode(name)),
        &[("replica", &replica.to_owned())],
    )
}

/// The address of an alert's runbook, filled in with the pair or the server that it is about.
pub(super) fn runbook_address(alert: &AlertReport) -> String {
    let none = String::new();
    let label = |name: &str| alert.labels.get(name).unwrap_or(&none);
    let all = [
        ("pair", label("pair")),
        ("replica", label("replica")),
        ("server", label("server")),
    ];
    address(&format!("/runbooks/{}", alert.alertname), &all)
}

/// The path with the parameters that are not empty.
fn address(path: &str, query: &[(&str, &String)]) -> String {
    let mut parts = Vec::new();
    for (name, value) in query {
        if !value.is_empty() {
            parts.push(format!("{name}={}", percent_encode(value)));
        }
    }
    if parts.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", parts.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replication::PairState;
    use crate::report::testing::pair;

    fn check(filter: &Filter, expected: bool) {
        let mut report = pair("Orders-eu");
        report
            .labels
            .insert("team".to_owned(), "Payments".to_owned());
        report.state = PairState::Stalled;
        assert_eq!(filter.takes(&report), expected, "{filter:?}");
    }

    fn text(q: &str) -> Filter {
        Filter {
            q: q.to_owned(),
            ..Filter::default()
        }
    }

    fn state(state: &str) -> Filter {
        Filter {
            state: state.to_owned(),
            ..Filter::default()
        }
    }

    #[test]
    fn a_pair_is_found_by_any_of_its_texts_and_by_state_or_level() {
        for q in [
            "",
            " ",
            "orders",
            "RDERS-E",
            "m.example",
            "r.example.com:6379",
            "dc2",
            "payments",
        ] {
            check(&text(q), true);
        }
        for q in ["customers", "orders eu", "team"] {
            check(&text(q), false);
        }
        for (word, expected) in [
            ("stalled", true),
            ("warning", true),
            ("trouble", true),
            ("ok", false),
            ("?", false),
        ] {
            check(&state(word), expected);
        }
        let link = |from: &str, to: &str| Filter {
            from: from.to_owned(),
            to: to.to_owned(),
            ..Filter::default()
        };
        for (from, to, expected) in [
            ("dc1", "dc2", true),
            ("dc1", "", true),
            ("dc2", "dc1", false),
            ("dc", "", false),
        ] {
            check(&link(from, to), expected);
        }
    }

    #[test]
    fn addresses_leave_out_empty_parameters_and_are_escaped() {
        assert_eq!(Filter::default().address(0), "/");
        assert_eq!(
            text("a&b=ü/\"").address(2),
            "/?q=a%26b%3D%C3%BC%2F%22&page=3"
        );
        assert_eq!(
            pair_address("catalog/slot-0", "r:1"),
            "/pairs/catalog%2Fslot-0?replica=r%3A1"
        );
        assert_eq!(link_address("a b", "c"), "/?from=a%20b&to=c");
    }

    #[test]
    fn an_address_may_fill_in_a_silence() {
        let asked = [
            ("silence", "pair=orders"),
            ("q", "a"),
            ("silence", "replica=r:1"),
            ("for", "2h"),
            ("q", "b"),
            ("unknown", "x"),
        ];
        let query = asked.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let filter = Filter::parse(query.into());
        assert_eq!(filter.silence, ["pair=orders", "replica=r:1"]);
        assert_eq!(
            (filter.q.as_str(), filter.silence_for.as_str()),
            ("b", "2h")
        );
    }

    #[test]
    fn an_invalid_page_or_range_is_the_first() {
        for (page, expected) in [("", 0), ("1", 0), ("0", 0), ("-3", 0), ("x", 0), ("7", 6)] {
            assert_eq!(
                Filter {
                    page: page.to_owned(),
                    ..Filter::default()
                }
                .page(),
                expected,
                "{page}"
            );
        }
        let names = ["15m", "2h", "24h", "", "25h"].map(Range::parse);
        assert_eq!(
            names,
            [
                Range::Minutes,
                Range::Hours,
                Range::Day,
                Range::Minutes,
                Range::Minutes
            ]
        );
    }
}
