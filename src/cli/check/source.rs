//! Where the data of `check` comes from: the running exporter, or the servers themselves.

use serde::Serialize;

use crate::report::{Level, PairReport};

/// Who was queried. It decides which levels and sentences are shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "asked", rename_all = "snake_case")]
pub(super) enum Source {
    /// The running exporter.
    Exporter {
        /// Where it answers.
        url: String,
    },
    /// The servers themselves, because no exporter answers.
    Servers {
        /// Where an exporter was looked for.
        url: String,
        /// Why none was found there, as the end of a sentence.
        why: String,
    },
    /// The servers of the command line, without a configuration file.
    Named,
}

impl Source {
    /// The level of `pair`. A single poll of the servers has no history: without an upper bound of
    /// the lag the level is unknown.
    pub(super) fn level(&self, pair: &PairReport) -> Level {
        let is_poll = matches!(self, Self::Servers { .. } | Self::Named);
        if is_poll && pair.lag_upper_seconds.is_none() {
            return pair.level().max(Level::Unknown);
        }
        pair.level()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::pair;

    fn servers() -> Source {
        Source::Servers {
            url: "http://127.0.0.1:1".to_owned(),
            why: "nobody listens".to_owned(),
        }
    }

    #[test]
    fn a_single_poll_without_an_upper_bound_is_unknown() {
        let mut unbounded = pair("orders");
        unbounded.lag_upper_seconds = None;
        assert_eq!(servers().level(&unbounded), Level::Unknown);
        assert_eq!(servers().level(&pair("orders")), Level::Ok);
        unbounded.state = crate::replication::PairState::MasterUnreachable;
        assert_eq!(servers().level(&unbounded), Level::Critical);
    }

    #[test]
    fn json_names_the_source() {
        let json = serde_json::to_value(servers()).unwrap();
        assert_eq!(json["asked"], "servers");
        assert_eq!(json["why"], "nobody listens");
        let named = serde_json::to_value(Source::Named).unwrap();
        assert_eq!(named["asked"], "named");
    }
}
