//! The effective configuration as YAML, for people to read: every value in force, no secret.

use std::collections::BTreeMap;
use std::path::Path;

use wildmatch::WildMatch;
use yaml_rust2::yaml::Hash;
use yaml_rust2::{Yaml, YamlEmitter};

use super::sections::day_name;
use super::value::span_text;
use super::version;
use super::{
    AlertSettings, AlertmanagerSettings, ClientCertificate, CountRule, Credentials, DatacenterRule,
    DeadMansSwitchSettings, FlappingRule, GroupReceiver, HeartbeatSettings, HostPattern, LevelRule,
    LevelThreshold, MaintenanceWindow, MasterSelector, NotifySettings, PagerDutySettings,
    PairSettings, PeriodicReceiver, PollSettings, ReceiverKind, ReceiverSettings, RepageOn,
    SecretSource, SentinelSettings, ServerSettings, Settings, SlackBotSettings,
    SlackWebhookSettings, TlsSettings, WebhookSettings,
};
use crate::model::{Bytes, Span};

/// What stands in the place of a secret.
const REDACTED: &str = "***";

impl Settings {
    /// The configuration in force as YAML: defaults filled in, variables expanded, pairs' rules
    /// merged (shown where they differ from the global ones), credentials at each server. A secret
    /// is `***`; a secret's file is named.
    ///
    /// Once the secrets are put back, reading the text gives equal settings.
    pub fn to_yaml_redacted(&self) -> String {
        let mut root = Mapping::default();
        root.put(
            version::KEY,
            Yaml::Integer(i64::try_from(version::VERSION).unwrap_or(i64::MAX)),
        );
        root.put("datacenters", list(&self.datacenters, datacenter));
        root.put("poll", poll(&self.poll));
        root.put("pairs", list(&self.pairs, |pair| self.pair(pair)));
        root.put(
            "sentinels",
            list(&self.sentinels, |entry| self.sentinel(entry)),
        );
        root.put("alerts", alerts(&self.alerts, None));
        root.put("notify", notify(&self.notify));
        root.put("state", Mapping::of([("path", path(&self.state.path))]));
        let listens = string(&self.listen_address.to_string());
        root.put("web", Mapping::of([("listen_address", listens)]));
        let mut text = String::new();
        // A `String` takes everything, and the emitter fails only where its writer does.
        let _ = YamlEmitter::new(&mut text).dump(&root.into());
        text.push('\n');
        text
    }

    fn pair(&self, pair: &PairSettings) -> Yaml {
        let mut map = Mapping::of([
            ("name", string(pair.name.as_str())),
            ("master", server(&pair.master)),
            ("replicas", list(&pair.replicas, server)),
        ]);
        self.put_of_pair(&mut map, &pair.labels, &pair.alerts, pair.heartbeat);
        map.into()
    }

    fn sentinel(&self, entry: &SentinelSettings) -> Yaml {
        let mut map = Mapping::of([("name", string(entry.name.as_str()))]);
        match &entry.masters {
            MasterSelector::All => {}
            MasterSelector::Exact(name) => map.put("master_name", string(name)),
            MasterSelector::Glob(glob) => map.put("master_name", string(&glob.to_string())),
        }
        let all_tls = entry
            .sentinels
            .iter()
            .all(|sentinel| sentinel.tls.is_some());
        map.put(
            "addresses",
            list(&entry.sentinels, |sentinel| {
                sentinel_address(sentinel, all_tls)
            }),
        );
        map.put("sentinel_auth", sentinel_auth(entry, all_tls));
        put_login(&mut map, &entry.servers.credentials);
        if let Some(settings) = &entry.servers.tls {
            map.put("tls", tls(settings, true));
        }
        self.put_of_pair(&mut map, &entry.labels, &entry.alerts, entry.heartbeat);
        map.into()
    }

    fn put_of_pair(
        &self,
        map: &mut Mapping,
        labels: &BTreeMap<String, String>,
        rules: &AlertSettings,
        beats: HeartbeatSettings,
    ) {
        if !labels.is_empty() {
            map.put(
                "labels",
                entries(
                    labels
                        .iter()
                        .map(|(name, value)| (name.clone(), string(value))),
                ),
            );
        }
        if *rules != self.alerts {
            map.put("alerts", alerts(rules, Some(&self.alerts)));
        }
        if beats != self.poll.heartbeat {
            map.put("heartbeat", heartbeat(beats));
        }
    }
}

/// A YAML mapping in the order in which it is filled.
#[derive(Default)]
struct Mapping(Hash);

impl Mapping {
    fn of<const N: usize>(entries: [(&str, Yaml); N]) -> Self {
        let mut map = Self::default();
        for (key, value) in entries {
            map.put(key, value);
        }
        map
    }

    fn put(&mut self, key: &str, value: impl Into<Yaml>) {
        self.0.insert(Yaml::String(key.to_owned()), value.into());
    }

    /// A secret under `key`, its file under `key_file`.
    fn put_secret(&mut self, key: &str, secret: &SecretSource) {
        match secret {
            SecretSource::Inline(_) => self.put(key, string(REDACTED)),
            SecretSource::File(file) => self.put(&format!("{key}_file"), path(file)),
        }
    }
}

impl From<Mapping> for Yaml {
    fn from(map: Mapping) -> Self {
        Self::Hash(map.0)
    }
}

/// A text as it has to be written, so that a dollar stays one.
fn string(text: &str) -> Yaml {
    Yaml::String(text.replace('$', "$$"))
}

fn path(path: &Path) -> Yaml {
    string(&path.to_string_lossy())
}

fn span(span: Span) -> Yaml {
    Yaml::String(span_text(span))
}

fn bytes(bytes: Bytes) -> Yaml {
    Yaml::Integer(i64::try_from(bytes.get()).unwrap_or(i64::MAX))
}

/// A level that is off. Numbers are emitted as they stand, while a null would be a `~`, which fewer
/// people know.
fn off() -> Yaml {
    Yaml::Real("null".to_owned())
}

fn list<T>(items: &[T], item: impl Fn(&T) -> Yaml) -> Yaml {
    Yaml::Array(items.iter().map(item).collect())
}

fn entries(entries: impl Iterator<Item = (String, Yaml)>) -> Yaml {
    Yaml::Hash(
        entries
            .map(|(key, value)| (Yaml::String(key), value))
            .collect(),
    )
}

fn datacenter(rule: &DatacenterRule) -> Yaml {
    let pattern = |pattern: &HostPattern| match pattern {
        HostPattern::Network(network) => string(&network.to_string()),
        HostPattern::Glob(glob) => string(&glob.to_string()),
    };
    let (name, patterns) = (string(rule.name.as_str()), list(&rule.patterns, pattern));
    Mapping::of([
        ("name", name),
        ("match", patterns),
        ("local", Yaml::Boolean(rule.local)),
    ])
    .into()
}

fn poll(poll: &PollSettings) -> Yaml {
    let timeout = Mapping::of([
        ("local", span(poll.timeout_local)),
        ("remote", span(poll.timeout_remote)),
    ]);
    let mut map = Mapping::of([
        ("interval", span(poll.interval)),
        ("min_interval", span(poll.min_interval)),
        (
            "max_polls_per_second",
            Yaml::Integer(poll.max_polls_per_second.into()),
        ),
    ]);
    map.put("timeout", timeout);
    map.put("refresh_on_scrape", Yaml::Boolean(poll.refresh_on_scrape));
    map.put("heartbeat", heartbeat(poll.heartbeat));
    map.into()
}

fn heartbeat(heartbeat: HeartbeatSettings) -> Yaml {
    Mapping::of([
        ("enabled", Yaml::Boolean(heartbeat.enabled)),
        ("interval", span(heartbeat.interval)),
    ])
    .into()
}

fn server(server: &ServerSettings) -> Yaml {
    let mut map = Mapping::of([("address", string(&server.addr.to_string()))]);
    if let Some(dc) = &server.dc {
        map.put("dc", string(dc.as_str()));
    }
    put_login(&mut map, &server.credentials);
    if let Some(settings) = &server.tls {
        map.put("tls", tls(settings, true));
    }
    map.into()
}

fn put_login(map: &mut Mapping, credentials: &Credentials) {
    if let Some(username) = &credentials.username {
        map.put("username", string(username));
    }
    if let Some(password) = &credentials.password {
        map.put_secret("password", password);
    }
}

/// A Sentinel's address: where only some speak TLS, those have the scheme that says so.
fn sentinel_address(sentinel: &ServerSettings, all_tls: bool) -> Yaml {
    let scheme = if sentinel.tls.is_some() && !all_tls {
        "rediss://"
    } else {
        ""
    };
    string(&format!("{scheme}{}", sentinel.addr))
}

/// How to connect to the Sentinels of an entry, who have one login and one set of TLS files.
fn sentinel_auth(entry: &SentinelSettings, all_tls: bool) -> Mapping {
    let mut map = Mapping::default();
    if let Some(sentinel) = entry.sentinels.first() {
        put_login(&mut map, &sentinel.credentials);
    }
    let settings = entry
        .sentinels
        .iter()
        .find_map(|sentinel| sentinel.tls.as_ref());
    match settings {
        Some(settings) => map.put("tls", tls(settings, all_tls)),
        // Without a word of their own they would get the servers'.
        None => map.put("tls", Mapping::of([("enabled", Yaml::Boolean(false))])),
    }
    map
}

fn tls(tls: &TlsSettings, enabled: bool) -> Mapping {
    let mut map = Mapping::of([("enabled", Yaml::Boolean(enabled))]);
    if let Some(file) = &tls.ca_file {
        map.put("ca_file", path(file));
    }
    if let Some(ClientCertificate {
        cert_file,
        key_file,
    }) = &tls.client_certificate
    {
        map.put("cert_file", path(cert_file));
        map.put("key_file", path(key_file));
    }
    if let Some(name) = &tls.server_name {
        map.put("server_name", string(name));
    }
    map.put(
        "insecure_skip_verify",
        Yaml::Boolean(tls.insecure_skip_verify),
    );
    map
}

/// The rules; with `global`, only those that differ from it, without the rule that pairs cannot
/// set.
fn alerts(alerts: &AlertSettings, global: Option<&AlertSettings>) -> Yaml {
    let mut map = Mapping::default();
    let mut put = |key: &str, differs: bool, rule: Yaml| {
        if differs {
            map.put(key, rule);
        }
    };
    put(
        "lag_seconds",
        global.is_none_or(|g| g.lag_seconds != alerts.lag_seconds),
        rule(&alerts.lag_seconds, span),
    );
    put(
        "lag_bytes",
        global.is_none_or(|g| g.lag_bytes != alerts.lag_bytes),
        rule(&alerts.lag_bytes, bytes),
    );
    put(
        "link_down",
        global.is_none_or(|g| g.link_down != alerts.link_down),
        rule(&alerts.link_down, span),
    );
    put(
        "unreachable",
        global.is_none(),
        rule(&alerts.unreachable, span),
    );
    put(
        "unknown",
        global.is_none_or(|g| g.unknown != alerts.unknown),
        rule(&alerts.unknown, span),
    );
    put("full_sync", global.is_none(), count_rule(&alerts.full_sync));
    put(
        "diverged",
        global.is_none_or(|g| g.diverged != alerts.diverged),
        rule(&alerts.diverged, span),
    );
    put(
        "sentinel_quorum",
        global.is_none(),
        rule(&alerts.sentinel_quorum, span),
    );
    put(
        "failover",
        global.is_none_or(|g| g.failover != alerts.failover),
        count_rule(&alerts.failover),
    );
    map.into()
}

fn count_rule(counted: &CountRule) -> Yaml {
    let number = |count| Yaml::Integer(i64::try_from(count).unwrap_or(i64::MAX));
    let mut map = levels(&counted.levels, number);
    map.put("window", span(counted.window));
    map.into()
}

fn rule<T: Copy>(rule: &LevelRule<T>, write: impl Fn(T) -> Yaml) -> Yaml {
    levels(rule, write).into()
}

fn levels<T: Copy>(rule: &LevelRule<T>, write: impl Fn(T) -> Yaml) -> Mapping {
    let level = |level: Option<LevelThreshold<T>>| level.map_or_else(off, |level| write(level.at));
    let mut map = Mapping::of([
        ("warning", level(rule.warning)),
        ("critical", level(rule.critical)),
        ("for", span(rule.pending_for)),
        ("keep_firing_for", span(rule.keep_firing_for)),
    ]);
    let mut clear = Mapping::default();
    for (key, level) in [("warning", rule.warning), ("critical", rule.critical)] {
        if let Some(level) = level {
            clear.put(key, write(level.clear_below));
        }
    }
    if !clear.0.is_empty() {
        map.put("clear", clear);
    }
    map
}

fn notify(notify: &NotifySettings) -> Yaml {
    let mut map = Mapping::of([
        ("identity", string(&notify.identity)),
        ("group_by", list(&notify.group_by, |label| string(label))),
        ("group_wait", span(notify.group_wait)),
        ("group_interval", span(notify.group_interval)),
        ("repeat_interval", span(notify.repeat_interval)),
        (
            "flapping",
            notify.flapping.as_ref().map_or_else(off, flapping),
        ),
        ("maintenance", list(&notify.maintenance, maintenance)),
    ]);
    for (key, url) in [
        ("external_url", &notify.external_url),
        ("dashboard_url", &notify.dashboard_url),
    ] {
        if let Some(url) = url {
            map.put(key, string(url));
        }
    }
    map.put("receivers", list(&notify.receivers, receiver));
    map.into()
}

fn flapping(rule: &FlappingRule) -> Yaml {
    let changes = Yaml::Integer(rule.changes.into());
    Mapping::of([
        ("changes", changes),
        ("window", span(rule.window)),
        ("stable_for", span(rule.stable_for)),
    ])
    .into()
}

fn maintenance(window: &MaintenanceWindow) -> Yaml {
    let mut map = Mapping::of([("name", string(&window.name))]);
    put_match(&mut map, &window.matchers);
    map.put("every", list(&window.every, |day| string(day_name(*day))));
    map.put("start", string(&window.start.strftime("%H:%M").to_string()));
    map.put("duration", span(window.duration));
    map.put(
        "timezone",
        string(window.timezone.iana_name().unwrap_or("UTC")),
    );
    map.into()
}

fn put_match(map: &mut Mapping, matchers: &BTreeMap<String, WildMatch>) {
    if !matchers.is_empty() {
        let globs = matchers
            .iter()
            .map(|(name, glob)| (name.clone(), string(&glob.to_string())));
        map.put("match", entries(globs));
    }
}

fn receiver(receiver: &ReceiverSettings) -> Yaml {
    let severity = string(receiver.min_severity.label());
    let mut map = Mapping::of([("name", string(&receiver.name)), ("min_severity", severity)]);
    put_match(&mut map, &receiver.matchers);
    if let Some(labels) = &receiver.group_by {
        map.put("group_by", list(labels, |label| string(label)));
    }
    let repage = [
        (receiver.repage_on.escalated, "escalated"),
        (receiver.repage_on.new_in_group, "new_in_group"),
        (receiver.repage_on.new_critical, "new_critical"),
    ];
    if receiver.repage_on != RepageOn::default() {
        let words = repage
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, word)| string(word));
        map.put("repage_on", Yaml::Array(words.collect()));
    }
    if let Some(fallback) = &receiver.fallback {
        map.put("fallback", string(fallback));
    }
    let (key, settings) = kind(&receiver.kind);
    map.put(key, settings);
    let mut http = Mapping::default();
    if let Some(file) = &receiver.http.ca_file {
        http.put("ca_file", path(file));
    }
    if let Some(proxy) = &receiver.http.proxy {
        http.put_secret("proxy_url", proxy);
    }
    if !http.0.is_empty() {
        map.put("http", http);
    }
    let mut template = Mapping::default();
    for (key, text) in [
        ("title", &receiver.template.title),
        ("summary", &receiver.template.summary),
    ] {
        if let Some(text) = text {
            template.put(key, string(text.source()));
        }
    }
    if !template.0.is_empty() {
        map.put("template", template);
    }
    map.into()
}

fn kind(kind: &ReceiverKind) -> (&'static str, Mapping) {
    match kind {
        ReceiverKind::Group(GroupReceiver::SlackWebhook(webhook)) => {
            ("slack", slack_webhook(webhook))
        }
        ReceiverKind::Group(GroupReceiver::SlackBot(bot)) => ("slack", slack_bot(bot)),
        ReceiverKind::Group(GroupReceiver::PagerDuty(pagerduty)) => {
            ("pagerduty", self::pagerduty(pagerduty))
        }
        ReceiverKind::Group(GroupReceiver::Webhook(webhook)) => ("webhook", self::webhook(webhook)),
        ReceiverKind::Periodic(PeriodicReceiver::Alertmanager(alertmanager)) => {
            ("alertmanager", self::alertmanager(alertmanager))
        }
        ReceiverKind::Periodic(PeriodicReceiver::DeadMansSwitch(switch)) => {
            ("heartbeat", dead_mans_switch(switch))
        }
    }
}

fn slack_webhook(webhook: &SlackWebhookSettings) -> Mapping {
    let mut map = Mapping::default();
    map.put_secret("webhook_url", &webhook.url);
    map
}

fn slack_bot(bot: &SlackBotSettings) -> Mapping {
    let mut map = Mapping::default();
    map.put_secret("bot_token", &bot.token);
    map.put("channel", string(&bot.channel));
    map.put("api_url", string(&bot.api_url));
    map
}

fn pagerduty(pagerduty: &PagerDutySettings) -> Mapping {
    let mut map = Mapping::default();
    map.put_secret("routing_key", &pagerduty.routing_key);
    map.put("url", string(&pagerduty.url));
    map
}

fn webhook(webhook: &WebhookSettings) -> Mapping {
    let mut map = Mapping::default();
    map.put_secret("url", &webhook.url);
    if let Some(secret) = &webhook.secret {
        map.put_secret("secret", secret);
    }
    map.put("headers", secrets(&webhook.headers));
    map
}

fn alertmanager(alertmanager: &AlertmanagerSettings) -> Mapping {
    let mut map = Mapping::default();
    map.put("urls", list(&alertmanager.urls, |url| string(url)));
    map.put("interval", span(alertmanager.interval));
    map.put("headers", secrets(&alertmanager.headers));
    map
}

fn dead_mans_switch(switch: &DeadMansSwitchSettings) -> Mapping {
    let mut map = Mapping::default();
    map.put_secret("url", &switch.url);
    map.put("interval", span(switch.interval));
    map.put("headers", secrets(&switch.headers));
    map
}

fn secrets(headers: &BTreeMap<String, SecretSource>) -> Mapping {
    let mut secrets = Mapping::default();
    for (name, value) in headers {
        secrets.put_secret(name, value);
    }
    secrets
}
