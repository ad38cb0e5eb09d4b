//! The pair or server that an alert is about, for its runbook: the commands get its addresses.

use serde::Deserialize;

use crate::model::Timestamp;
use crate::monitor::FleetSnapshot;
use crate::report::{PairReport, ServerReport};
use crate::web::page::{self, PairView, Range, pair_address};

/// The query of a runbook's address.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(default)]
pub(in crate::web) struct RunbookSubject {
    /// The name of the configuration's entry.
    pub(in crate::web) pair: String,
    /// The replica, `host:port`; where none is named, the first.
    pub(in crate::web) replica: String,
    /// A server, `host:port`.
    pub(in crate::web) server: String,
}

/// A pair or a server, as it is now.
pub(in crate::web) struct SubjectNow {
    /// Its state in a sentence.
    pub(in crate::web) words: String,
    /// The page about it.
    pub(in crate::web) address: String,
    /// The placeholders of the runbooks and their values here, the longest first.
    placeholders: Vec<(&'static str, String)>,
}

impl SubjectNow {
    /// The pair or the server of the query; `None` where there is none.
    pub(in crate::web) fn find(
        fleet: &FleetSnapshot,
        now: Timestamp,
        subject: &RunbookSubject,
    ) -> Option<Self> {
        if subject.pair.is_empty() {
            return Self::server(fleet, now, &subject.server);
        }
        let replica = if subject.replica.is_empty() {
            None
        } else {
            Some(subject.replica.clone())
        };
        let view = PairView {
            name: subject.pair.clone(),
            replica,
            range: Range::default(),
        };
        let (place, _) = page::find(fleet, &view)?;
        Some(Self::pair(&PairReport::at(fleet, place, now)?))
    }

    fn pair(pair: &PairReport) -> Self {
        let mut placeholders = server_placeholders("SOURCE", &pair.master);
        placeholders.extend(server_placeholders("TARGET", &pair.replica));
        if is_plain(&pair.pair) {
            placeholders.push(("PAIR", pair.pair.clone()));
        }
        Self {
            words: format!(
                "{} from {} to {}: {}, {}: {}",
                pair.pair,
                pair.source_dc,
                pair.target_dc,
                pair.level().label(),
                pair.state.label(),
                pair.why()
            ),
            address: pair_address(&pair.pair, &pair.replica),
            placeholders,
        }
    }

    fn server(fleet: &FleetSnapshot, now: Timestamp, addr: &str) -> Option<Self> {
        let mut servers = fleet.servers.iter();
        let server = servers.find(|server| server.meta.addr.to_string() == addr)?;
        let report = ServerReport::new(fleet, server, now);
        let answers = match (report.up, report.reason) {
            (Some(true), _) => "it answers".to_owned(),
            (Some(false), Some(reason)) => reason,
            (Some(false), None) => "it does not answer".to_owned(),
            (None, _) => "it was not polled yet".to_owned(),
        };
        Some(Self {
            words: format!("{addr} in {}: {answers}", report.dc),
            address: "/#silent".to_owned(),
            placeholders: server_placeholders("HOST", addr),
        })
    }

    /// The text with the values of its placeholders.
    pub(super) fn fill_in(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (placeholder, value) in &self.placeholders {
            filled = filled.replace(placeholder, value);
        }
        filled
    }
}

/// The forms in which the runbooks write a server's address, the longest first.
fn server_placeholders(word: &'static str, addr: &str) -> Vec<(&'static str, String)> {
    let Some((host, port)) = addr.rsplit_once(':') else {
        return Vec::new();
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if !is_plain(host) || !is_plain(port) {
        return Vec::new();
    }
    let [option, both, address] = match word {
        "SOURCE" => ["-h SOURCE -p PORT", "SOURCE PORT", "SOURCE:PORT"],
        "TARGET" => ["-h TARGET -p PORT", "TARGET PORT", "TARGET:PORT"],
        _ => ["-h HOST -p PORT", "HOST PORT", "HOST:PORT"],
    };
    vec![
        (option, format!("-h {host} -p {port}")),
        (both, format!("{host} {port}")),
        (address, format!("{host}:{port}")),
        (word, host.to_owned()),
    ]
}

/// Whether a shell takes the text as it is.
fn is_plain(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._:-/".contains(letter);
    !text.is_empty() && !text.starts_with('-') && text.chars().all(plain)
}
