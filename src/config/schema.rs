//! Which keys exist where: the shape of the configuration, declared in one table.

/// The keys of one mapping.
pub(super) struct Keys {
    /// Keys with a single value.
    pub(super) scalars: &'static [&'static str],
    /// Keys with a mapping or a list.
    pub(super) composites: &'static [&'static str],
    /// Keys of later versions: refused by name, so that nobody believes that they work.
    pub(super) later: &'static [&'static str],
}

pub(super) const ROOT: Keys = Keys {
    scalars: &["version"],
    composites: &[
        "datacenters",
        "redis",
        "poll",
        "pairs",
        "sentinels",
        "alerts",
        "notify",
        "state",
        "web",
    ],
    later: &["clusters", "active_active"],
};
pub(super) const DATACENTER: Keys = Keys {
    scalars: &["name", "local"],
    composites: &["match"],
    later: &[],
};
pub(super) const REDIS: Keys = Keys {
    scalars: &["username", "password", "password_file"],
    composites: &["tls"],
    later: &[],
};
pub(super) const TLS: Keys = Keys {
    scalars: &[
        "enabled",
        "ca_file",
        "cert_file",
        "key_file",
        "server_name",
        "insecure_skip_verify",
    ],
    composites: &[],
    later: &[],
};
pub(super) const POLL: Keys = Keys {
    scalars: &[
        "interval",
        "min_interval",
        "max_polls_per_second",
        "refresh_on_scrape",
    ],
    composites: &["timeout", "heartbeat"],
    later: &[],
};
pub(super) const TIMEOUT: Keys = Keys {
    scalars: &["local", "remote"],
    composites: &[],
    later: &[],
};
pub(super) const HEARTBEAT: Keys = Keys {
    scalars: &["enabled", "interval"],
    composites: &[],
    later: &[],
};
pub(super) const PAIR: Keys = Keys {
    scalars: &["name", "username", "password", "password_file"],
    composites: &["master", "replicas", "labels", "alerts", "tls", "heartbeat"],
    later: &[],
};
pub(super) const SENTINEL: Keys = Keys {
    scalars: &[
        "name",
        "master_name",
        "username",
        "password",
        "password_file",
    ],
    composites: &[
        "addresses",
        "sentinel_auth",
        "labels",
        "alerts",
        "tls",
        "heartbeat",
    ],
    later: &[],
};
pub(super) const SENTINEL_AUTH: Keys = Keys {
    scalars: &["username", "password", "password_file"],
    composites: &["tls"],
    later: &[],
};
pub(super) const SERVER: Keys = Keys {
    scalars: &["address", "dc", "username", "password", "password_file"],
    composites: &["tls"],
    later: &[],
};
pub(super) const ALERTS: Keys = Keys {
    scalars: &[],
    composites: &[
        "lag_seconds",
        "lag_bytes",
        "link_down",
        "unreachable",
        "unknown",
        "full_sync",
        "diverged",
        "sentinel_quorum",
        "failover",
    ],
    later: &[
        "backlog_headroom",
        "output_buffer",
        "sync_queue",
        "clock_skew",
    ],
};
pub(super) const RULE: Keys = Keys {
    scalars: &["warning", "critical", "for", "keep_firing_for", "clear"],
    composites: &[],
    later: &[],
};
/// A rule about how often something happened.
pub(super) const COUNT_RULE: Keys = Keys {
    scalars: &[
        "warning",
        "critical",
        "window",
        "for",
        "keep_firing_for",
        "clear",
    ],
    composites: &[],
    later: &[],
};
pub(super) const CLEAR: Keys = Keys {
    scalars: &["warning", "critical"],
    composites: &[],
    later: &[],
};
pub(super) const NOTIFY: Keys = Keys {
    scalars: &[
        "identity",
        "group_wait",
        "group_interval",
        "repeat_interval",
        "external_url",
        "dashboard_url",
    ],
    composites: &["group_by", "receivers", "maintenance", "flapping"],
    later: &[],
};
pub(super) const FLAPPING: Keys = Keys {
    scalars: &["changes", "window", "stable_for"],
    composites: &[],
    later: &[],
};
pub(super) const MAINTENANCE: Keys = Keys {
    scalars: &["name", "start", "duration", "timezone"],
    composites: &["match", "every"],
    later: &[],
};
pub(super) const RECEIVER: Keys = Keys {
    scalars: &["name", "min_severity", "fallback"],
    composites: &[
        "match",
        "group_by",
        "repage_on",
        "slack",
        "pagerduty",
        "webhook",
        "alertmanager",
        "heartbeat",
        "http",
        "template",
    ],
    later: &[],
};
pub(super) const SLACK: Keys = Keys {
    scalars: &[
        "webhook_url",
        "webhook_url_file",
        "bot_token",
        "bot_token_file",
        "channel",
        "api_url",
    ],
    composites: &[],
    later: &[],
};
pub(super) const PAGERDUTY: Keys = Keys {
    scalars: &["routing_key", "routing_key_file", "url"],
    composites: &[],
    later: &[],
};
pub(super) const WEBHOOK: Keys = Keys {
    scalars: &["url", "url_file", "secret", "secret_file"],
    composites: &["headers"],
    later: &[],
};
pub(super) const ALERTMANAGER: Keys = Keys {
    scalars: &["interval"],
    composites: &["urls", "headers"],
    later: &[],
};
pub(super) const HEARTBEAT_RECEIVER: Keys = Keys {
    scalars: &["url", "url_file", "interval"],
    composites: &["headers"],
    later: &[],
};
pub(super) const TEMPLATE: Keys = Keys {
    scalars: &["title", "summary"],
    composites: &[],
    later: &[],
};
pub(super) const HTTP: Keys = Keys {
    scalars: &["ca_file", "proxy_url", "proxy_url_file"],
    composites: &[],
    later: &[],
};
pub(super) const STATE: Keys = Keys {
    scalars: &["path"],
    composites: &[],
    later: &[],
};
pub(super) const WEB: Keys = Keys {
    scalars: &["listen_address"],
    composites: &[],
    later: &[],
};

/// Every mapping outside lists, by its path.
fn fixed_sections() -> Vec<(String, &'static Keys)> {
    let plain = [
        ("redis", &REDIS),
        ("redis.tls", &TLS),
        ("poll", &POLL),
        ("poll.timeout", &TIMEOUT),
        ("poll.heartbeat", &HEARTBEAT),
        ("notify", &NOTIFY),
        ("notify.flapping", &FLAPPING),
        ("state", &STATE),
        ("web", &WEB),
    ];
    let rules = ALERTS.composites.iter().flat_map(|rule| {
        let path = format!("alerts.{rule}");
        let counts = ["full_sync", "failover"].contains(rule);
        [
            (format!("{path}.clear"), &CLEAR),
            (path, if counts { &COUNT_RULE } else { &RULE }),
        ]
    });
    plain
        .map(|(path, keys)| (path.to_owned(), keys))
        .into_iter()
        .chain(rules)
        .collect()
}

/// The paths of every key that an environment variable may override: single values outside lists.
pub(super) fn overridable_keys() -> Vec<String> {
    let sections = fixed_sections();
    let keys = sections
        .iter()
        .flat_map(|(path, keys)| keys.scalars.iter().map(move |key| format!("{path}.{key}")));
    keys.collect()
}

/// The candidate that `word` was probably meant to be.
pub fn suggestion<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const MAX_TYPED: usize = 128; // the distance takes time in the product of the lengths
    if word.len() > MAX_TYPED {
        return None;
    }
    let word = word.to_ascii_lowercase().replace('-', "_");
    let near = candidates
        .map(|candidate| (strsim::damerau_levenshtein(&word, candidate), candidate))
        .min()?;
    (near.0 <= near.1.chars().count() / 3).then_some(near.1)
}

impl Keys {
    /// The keys that may be used.
    pub(super) fn known(&self) -> impl Iterator<Item = &'static str> {
        self.scalars.iter().chain(self.composites).copied()
    }

    /// What is wrong with `key` here, if anything.
    pub(super) fn refusal(&self, key: &str) -> Option<String> {
        if self.known().any(|known| known == key) {
            return None;
        }
        if self.later.contains(&key) {
            return Some("is not in this version: remove it".to_owned());
        }
        let hint = suggestion(key, self.known())
            .map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
        Some(format!(
            "is not a known key{hint}; allowed here: {}",
            self.listed()
        ))
    }

    /// Whether `key`, which is refused and has nothing for a value, is still surely a key, and not
    /// a secret that a misplaced comma or colon made one.
    pub(super) fn nearly_has(&self, key: &str) -> bool {
        self.later.contains(&key) || suggestion(key, self.known()).is_some()
    }

    /// What is wrong with a key that may be a secret, and so is not shown.
    pub(super) fn refusal_of_hidden(&self) -> String {
        let listed = self.listed();
        format!(
            "has an unknown key that is no word or has no value (is there a space behind every colon?); allowed here: {listed}"
        )
    }

    fn listed(&self) -> String {
        self.known().collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The path of every key that is not of a later version.
    fn all_keys() -> BTreeSet<String> {
        let lists = [
            ("", &ROOT),
            ("datacenters[].", &DATACENTER),
            ("redis.", &REDIS),
            ("redis.tls.", &TLS),
            ("poll.", &POLL),
            ("poll.timeout.", &TIMEOUT),
            ("poll.heartbeat.", &HEARTBEAT),
            ("pairs[].", &PAIR),
            ("pairs[].master.", &SERVER),
            ("pairs[].replicas[].", &SERVER),
            ("sentinels[].", &SENTINEL),
            ("sentinels[].sentinel_auth.", &SENTINEL_AUTH),
            ("alerts.RULE.", &RULE),
            ("alerts.RULE.clear.", &CLEAR),
            ("notify.", &NOTIFY),
            ("notify.flapping.", &FLAPPING),
            ("notify.maintenance[].", &MAINTENANCE),
            ("notify.receivers[].", &RECEIVER),
            ("notify.receivers[].slack.", &SLACK),
            ("notify.receivers[].pagerduty.", &PAGERDUTY),
            ("notify.receivers[].webhook.", &WEBHOOK),
            ("notify.receivers[].alertmanager.", &ALERTMANAGER),
            ("notify.receivers[].heartbeat.", &HEARTBEAT_RECEIVER),
            ("notify.receivers[].http.", &HTTP),
            ("notify.receivers[].template.", &TEMPLATE),
            ("state.", &STATE),
            ("web.", &WEB),
        ];
        // A pair's and a server's `tls` have the keys of `redis.tls`, a pair's `heartbeat` those of
        // `poll.heartbeat`, which the documentation lists once.
        let keys = lists
            .iter()
            .flat_map(|(path, keys)| keys.known().map(move |key| format!("{path}{key}")));
        keys.chain(
            [
                "alerts.RULE",
                "alerts.full_sync.window",
                "alerts.failover.window",
            ]
            .map(str::to_owned),
        )
        .collect()
    }

    #[test]
    fn the_documentation_has_every_key_and_no_other() {
        let text = include_str!("../../docs/configuration.md");
        let rows = text
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let documented: Vec<_> = rows.map(|(key, _)| key.to_owned()).collect();
        let distinct: BTreeSet<_> = documented.iter().cloned().collect();
        assert_eq!(
            distinct.len(),
            documented.len(),
            "a key is documented twice"
        );
        assert_eq!(distinct, all_keys());
        for rule in ALERTS.composites {
            assert!(text.contains(&format!("\n| {rule} |")), "{rule}");
        }
    }

    #[test]
    fn the_documentation_names_every_key_of_a_later_version() {
        let text = include_str!("../../docs/configuration.md");
        let (_, section) = text.split_once("## Not in this version").unwrap();
        for keys in [
            &ROOT, &REDIS, &PAIR, &SERVER, &ALERTS, &NOTIFY, &RECEIVER, &SLACK, &WEBHOOK,
        ] {
            for key in keys.later {
                assert!(
                    section.contains(&format!("`{key}`")) || section.contains(&format!(".{key}`")),
                    "{key}"
                );
            }
        }
    }

    #[test]
    fn a_near_miss_is_recognised_and_a_far_one_is_not() {
        let cases = [
            ("intervall", Some("interval")),
            ("Interval", Some("interval")),
            ("max-interval", None),
            ("zzz", None),
        ];
        for (word, near) in cases {
            assert_eq!(
                suggestion(word, ["interval", "name"].into_iter()),
                near,
                "{word}"
            );
        }
        assert_eq!(suggestion(&"x".repeat(1_000_000), ["x"].into_iter()), None);
    }

    #[test]
    fn lists_cannot_be_overridden() {
        let keys = overridable_keys();
        assert!(keys.contains(&"alerts.lag_seconds.clear.warning".to_owned()));
        assert!(keys.contains(&"poll.timeout.local".to_owned()));
        assert!(
            !keys
                .iter()
                .any(|key| key.starts_with("pairs") || key.contains("receivers"))
        );
    }
}
