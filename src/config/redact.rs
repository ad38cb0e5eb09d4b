//! Prints the effective configuration as YAML, for `check-config`: every value, no secret.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use wildmatch::WildMatch;
use yaml_rust2::Yaml;

use super::inherited::TlsKeys;
use super::sections::day_name;
use super::version;
use super::yaml::{Mapping, bytes, count, list, off, path, share, span, string, strings};
use super::{
    ActiveActiveSettings, AlertSettings, AlertmanagerSettings, ClusterSettings, ConnectionSettings,
    CountRule, Credentials, DatacenterRule, DeadMansSwitchSettings, DnsSettings, DoctorException,
    DoctorSettings, EmailSettings, FilePattern, GroupReceiver, HeartbeatSettings, HookAction,
    HookSetting, HookSettings, HostPattern, LevelRule, LevelThreshold, MaintenanceWindow,
    MasterSelector, MsTeamsSettings, NotifySettings, PagerDutySettings, PairSettings,
    PeriodicReceiver, PollSettings, ReceiverKind, ReceiverSettings, RecoverSettings, RepageOn,
    SecretSource, SentinelSettings, ServerSettings, Settings, SlackBotSettings, SlackMention,
    SlackWebhookSettings, TlsSettings, WebhookSettings, fields,
};

impl Settings {
    /// The configuration in force as YAML: defaults filled in, variables expanded, pairs' rules
    /// merged (shown where they differ from the global ones), credentials at each server. A secret
    /// is `***`; a secret's file is named.
    ///
    /// Once the secrets are put back, reading the text gives equal settings.
    pub fn to_yaml_redacted(&self) -> String {
        let mut root = Mapping::default();
        root.put(version::KEY, count(version::VERSION.into()));
        root.put("datacenters", list(&self.datacenters, datacenter));
        root.put("poll", poll(&self.poll));
        root.put("pairs", list(&self.pairs, |pair| self.pair(pair)));
        root.put(
            "sentinels",
            list(&self.sentinels, |entry| self.sentinel(entry)),
        );
        root.put(
            "clusters",
            list(&self.clusters, |entry| self.cluster(entry)),
        );
        self.put_discovery(&mut root);
        root.put(
            "active_active",
            list(&self.active_active, |entry| self.active_active(entry)),
        );
        root.put("alerts", alerts(&self.alerts));
        root.put("notify", notify(&self.notify));
        root.put("state", fields::print(&self.state));
        root.put("metrics", fields::print(&self.metrics));
        let mut web = Mapping::default();
        web.put("listen_address", string(&self.listen_address.to_string()));
        root.put("web", web);
        root.put("doctor", doctor(&self.doctor));
        if let Some(credentials) = &self.operator {
            let mut operator = Mapping::default();
            put_login(&mut operator, credentials);
            root.put("operator", operator);
        }
        root.put("observers", strings(&self.observers));
        root.put("recover", recover(&self.recover));
        root.put("hooks", hooks(&self.hooks));
        root.into_text()
    }

    fn pair(&self, pair: &PairSettings) -> Yaml {
        let mut map = Mapping::default();
        map.put("name", string(pair.name.as_str()));
        map.put("master", self.server(&pair.master));
        let replicas = list(&pair.replicas, |replica| self.server(replica));
        map.put("replicas", replicas);
        self.put_overrides(&mut map, &pair.labels, &pair.alerts, pair.heartbeat);
        map.into()
    }

    fn sentinel(&self, entry: &SentinelSettings) -> Yaml {
        let mut map = Mapping::default();
        map.put("name", string(entry.name.as_str()));
        match &entry.masters {
            MasterSelector::All => {}
            MasterSelector::Exact(name) => map.put("master_name", string(name)),
            MasterSelector::Glob(glob) => map.put("master_name", string(&glob.to_string())),
        }
        let mut sentinels = entry.sentinels.iter();
        let all_tls = sentinels.all(|sentinel| sentinel.tls.is_some());
        let address = |sentinel: &ServerSettings| sentinel_address(sentinel, all_tls);
        map.put("addresses", list(&entry.sentinels, address));
        map.put("sentinel_auth", sentinel_auth(entry, all_tls));
        self.put_connection(&mut map, &entry.servers);
        self.put_overrides(&mut map, &entry.labels, &entry.alerts, entry.heartbeat);
        map.into()
    }

    fn cluster(&self, entry: &ClusterSettings) -> Yaml {
        let mut map = Mapping::default();
        map.put("name", string(entry.name.as_str()));
        let address = |node: &ServerSettings| string(&node.addr.to_string());
        map.put("addresses", list(&entry.nodes, address));
        self.put_connection(&mut map, &entry.servers);
        // The global heartbeats differ from nothing: none are sent in a cluster.
        self.put_overrides(&mut map, &entry.labels, &entry.alerts, self.poll.heartbeat);
        map.into()
    }

    /// `discovery`, and in `redis` what pair files inherit.
    fn put_discovery(&self, root: &mut Mapping) {
        let discovery = &self.discovery;
        let mut inherited = Mapping::default();
        if !discovery.files.is_empty() {
            put_login(&mut inherited, &discovery.servers.credentials);
            if let Some(settings) = &discovery.servers.tls {
                inherited.put("tls", tls(settings, true));
            }
        }
        root.put_unless_empty("redis", inherited);
        let mut map = Mapping::default();
        let pattern = |pattern: &FilePattern| path(&pattern.path());
        if !discovery.files.is_empty() {
            map.put("files", list(&discovery.files, pattern));
        }
        if !discovery.dns.is_empty() {
            map.put("dns", list(&discovery.dns, |entry| self.dns(entry)));
        }
        root.put_unless_empty("discovery", map);
    }

    fn dns(&self, entry: &DnsSettings) -> Yaml {
        let mut map = Mapping::default();
        map.put("name", string(entry.name.as_str()));
        map.put("names", strings(&entry.names));
        map.put("record", string(entry.record.label()));
        map.put("port", count(entry.port.into()));
        map.put("interval", span(entry.interval));
        map.put("timeout", span(entry.timeout));
        let address = |address: &SocketAddr| string(&address.to_string());
        map.put("nameservers", list(&entry.nameservers, address));
        self.put_connection(&mut map, &entry.servers);
        self.put_overrides(&mut map, &entry.labels, &entry.alerts, entry.heartbeat);
        map.into()
    }

    fn active_active(&self, entry: &ActiveActiveSettings) -> Yaml {
        let mut map = fields::print(&entry.monitor);
        map.put("name", string(entry.name.as_str()));
        map.put("sites", list(&entry.sites, |site| self.server(site)));
        if let Some(queue) = &entry.sync_queue {
            map.put("sync_queue", string(queue));
        }
        map.put("keys", strings(&entry.keys));
        map.put("counters", strings(&entry.counters));
        map.into()
    }

    fn server(&self, server: &ServerSettings) -> Yaml {
        let mut map = Mapping::default();
        map.put("address", string(&server.addr.to_string()));
        if let Some(dc) = &server.dc {
            map.put("dc", string(dc.as_str()));
        }
        put_login(&mut map, &server.credentials);
        if server.addr.tcp().is_some() {
            self.put_tls(&mut map, server.tls.as_ref());
        }
        map.into()
    }

    fn put_connection(&self, map: &mut Mapping, connection: &ConnectionSettings) {
        put_login(map, &connection.credentials);
        self.put_tls(map, connection.tls.as_ref());
    }

    /// `tls`, and that there is none where it would be inherited.
    fn put_tls(&self, map: &mut Mapping, settings: Option<&TlsSettings>) {
        let discovery = &self.discovery;
        let is_inherited = !discovery.files.is_empty() && discovery.servers.tls.is_some();
        match settings {
            Some(settings) => map.put("tls", tls(settings, true)),
            None if is_inherited => map.put("tls", no_tls()),
            None => {}
        }
    }

    /// The keys of a pair that differ from the global ones.
    fn put_overrides(
        &self,
        map: &mut Mapping,
        labels: &BTreeMap<String, String>,
        rules: &AlertSettings,
        heartbeat: HeartbeatSettings,
    ) {
        let mut own_labels = Mapping::default();
        for (name, value) in labels {
            own_labels.put(name, string(value));
        }
        map.put_unless_empty("labels", own_labels);
        let own_rules = alerts(rules).without(&alerts(&self.alerts));
        map.put_unless_empty("alerts", own_rules);
        if heartbeat != self.poll.heartbeat {
            map.put("heartbeat", fields::print(&heartbeat));
        }
    }
}

fn datacenter(rule: &DatacenterRule) -> Yaml {
    let pattern = |pattern: &HostPattern| match pattern {
        HostPattern::Network(network) => string(&network.to_string()),
        HostPattern::Glob(glob) => string(&glob.to_string()),
    };
    let mut map = Mapping::default();
    map.put("name", string(rule.name.as_str()));
    map.put("match", list(&rule.patterns, pattern));
    map.put("local", Yaml::Boolean(rule.local));
    map.into()
}

fn poll(poll: &PollSettings) -> Mapping {
    let mut timeout = Mapping::default();
    timeout.put("local", span(poll.timeout_local));
    timeout.put("remote", span(poll.timeout_remote));
    let mut map = fields::print(poll);
    map.put("timeout", timeout);
    map.put("heartbeat", fields::print(&poll.heartbeat));
    map
}

fn put_login(map: &mut Mapping, credentials: &Credentials) {
    if let Some(username) = &credentials.username {
        map.put("username", string(username));
    }
    if let Some(password) = &credentials.password {
        map.put_secret("password", password);
    }
}

/// A Sentinel's address: where only some speak TLS, those get the scheme `rediss://`.
fn sentinel_address(sentinel: &ServerSettings, all_tls: bool) -> Yaml {
    let scheme = if sentinel.tls.is_some() && !all_tls {
        "rediss://"
    } else {
        ""
    };
    string(&format!("{scheme}{}", sentinel.addr))
}

/// How to connect to the Sentinels of an entry, which have one login and one set of TLS files.
fn sentinel_auth(entry: &SentinelSettings, all_tls: bool) -> Mapping {
    let mut map = Mapping::default();
    if let Some(sentinel) = entry.sentinels.first() {
        put_login(&mut map, &sentinel.credentials);
    }
    let mut settings = entry.sentinels.iter();
    match settings.find_map(|sentinel| sentinel.tls.as_ref()) {
        Some(settings) => map.put("tls", tls(settings, all_tls)),
        None => map.put("tls", no_tls()),
    }
    map
}

fn tls(settings: &TlsSettings, enabled: bool) -> Mapping {
    fields::print(&TlsKeys::from_settings(settings, enabled))
}

/// Without this the Sentinels would get the TLS of the servers.
fn no_tls() -> Mapping {
    let mut map = Mapping::default();
    map.put("enabled", Yaml::Boolean(false));
    map
}

fn alerts(alerts: &AlertSettings) -> Mapping {
    let mut map = Mapping::default();
    map.put("lag_seconds", rule(&alerts.lag_seconds, span));
    map.put("lag_bytes", rule(&alerts.lag_bytes, bytes));
    map.put("link_down", rule(&alerts.link_down, span));
    map.put("unreachable", rule(&alerts.unreachable, span));
    map.put("unknown", rule(&alerts.unknown, span));
    map.put("full_sync", count_rule(&alerts.full_sync));
    map.put("diverged", rule(&alerts.diverged, span));
    map.put("sentinel_quorum", rule(&alerts.sentinel_quorum, span));
    map.put("cluster_down", rule(&alerts.cluster_down, span));
    map.put("failover", count_rule(&alerts.failover));
    let headroom = &alerts.backlog_headroom;
    map.put("backlog_headroom", rule(headroom, |left| span(left.0)));
    map.put("output_buffer", rule(&alerts.output_buffer, share));
    map.put("sync_queue", rule(&alerts.sync_queue, count));
    map.put("clock_skew", rule(&alerts.clock_skew, span));
    map
}

fn count_rule(counted: &CountRule) -> Mapping {
    let mut map = rule(&counted.levels, count);
    map.put("window", span(counted.window));
    map
}

fn rule<T: Copy>(rule: &LevelRule<T>, write: impl Fn(T) -> Yaml) -> Mapping {
    let level = |level: Option<LevelThreshold<T>>| match level {
        Some(level) => write(level.at),
        None => off(),
    };
    let mut map = Mapping::default();
    map.put("warning", level(rule.warning));
    map.put("critical", level(rule.critical));
    map.put("for", span(rule.pending_for));
    map.put("keep_firing_for", span(rule.keep_firing_for));
    let mut clear = Mapping::default();
    if let Some(warning) = rule.warning {
        clear.put("warning", write(warning.clear_below));
    }
    if let Some(critical) = rule.critical {
        clear.put("critical", write(critical.clear_below));
    }
    map.put_unless_empty("clear", clear);
    map
}

fn notify(notify: &NotifySettings) -> Mapping {
    let mut map = fields::print(notify);
    map.put("group_by", strings(&notify.group_by));
    match &notify.flapping {
        Some(flapping) => map.put("flapping", fields::print(flapping)),
        None => map.put("flapping", off()),
    }
    map.put("maintenance", list(&notify.maintenance, maintenance));
    map.put("receivers", list(&notify.receivers, receiver));
    map
}

fn maintenance(window: &MaintenanceWindow) -> Yaml {
    let mut map = Mapping::default();
    map.put("name", string(&window.name));
    put_match(&mut map, &window.matchers);
    map.put("every", list(&window.every, |day| string(day_name(*day))));
    let start = window.start.strftime("%H:%M").to_string();
    map.put("start", string(&start));
    map.put("duration", span(window.duration));
    let timezone = window.timezone.iana_name().unwrap_or("UTC");
    map.put("timezone", string(timezone));
    map.into()
}

fn doctor(doctor: &DoctorSettings) -> Mapping {
    let mut map = Mapping::default();
    map.put("survive", span(doctor.survive));
    if let Some(every) = doctor.every {
        map.put("every", span(every));
    }
    map.put("ignore", list(&doctor.ignore, exception));
    map
}

fn recover(recover: &RecoverSettings) -> Mapping {
    let mut map = Mapping::default();
    map.put(
        "capture",
        string(if recover.capture { "on" } else { "off" }),
    );
    map.put("dir", path(&recover.dir));
    map.put("max_bytes", bytes(recover.max_bytes));
    map
}

fn hooks(hooks: &HookSettings) -> Mapping {
    let mut map = Mapping::default();
    map.put("before", list(&hooks.before, hook));
    map.put("after", list(&hooks.after, hook));
    map
}

fn hook(hook: &HookSetting) -> Yaml {
    let mut map = Mapping::default();
    map.put("name", string(&hook.name));
    match &hook.action {
        HookAction::Command(words) => map.put("command", strings(words)),
        HookAction::Webhook(url) => map.put_secret("url", url),
    }
    map.put("timeout", span(hook.timeout));
    map.into()
}

fn exception(exception: &DoctorException) -> Yaml {
    let mut map = Mapping::default();
    map.put("check", string(exception.check.label()));
    if let Some(pair) = &exception.pair {
        map.put("pair", string(&pair.to_string()));
    }
    map.put("reason", string(&exception.reason));
    if let Some(until) = exception.until {
        map.put("until", string(&until.to_string()));
    }
    map.into()
}

fn put_match(map: &mut Mapping, matchers: &BTreeMap<String, WildMatch>) {
    let mut globs = Mapping::default();
    for (name, glob) in matchers {
        globs.put(name, string(&glob.to_string()));
    }
    map.put_unless_empty("match", globs);
}

fn receiver(receiver: &ReceiverSettings) -> Yaml {
    let mut map = Mapping::default();
    map.put("name", string(&receiver.name));
    map.put("min_severity", string(receiver.min_severity.label()));
    put_match(&mut map, &receiver.matchers);
    if let Some(labels) = &receiver.group_by {
        map.put("group_by", strings(labels));
    }
    if receiver.repage_on != RepageOn::default() {
        map.put("repage_on", repage_on(receiver.repage_on));
    }
    if let Some(fallback) = &receiver.fallback {
        map.put("fallback", string(fallback));
    }
    let (key, settings) = kind(&receiver.kind);
    map.put(key, settings);
    map.put_unless_empty("http", fields::print(&receiver.http));
    map.put_unless_empty("template", fields::print(&receiver.template));
    map.into()
}

fn repage_on(repage: RepageOn) -> Yaml {
    let reasons = [
        (repage.escalated, "escalated"),
        (repage.new_in_group, "new_in_group"),
        (repage.new_critical, "new_critical"),
    ];
    let mut words = Vec::new();
    for (is_on, word) in reasons {
        if is_on {
            words.push(string(word));
        }
    }
    Yaml::Array(words)
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
        ReceiverKind::Group(GroupReceiver::MsTeams(teams)) => ("msteams", msteams(teams)),
        ReceiverKind::Group(GroupReceiver::Email(email)) => ("email", self::email(email)),
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
    put_mentions(&mut map, &webhook.mention);
    map
}

fn slack_bot(bot: &SlackBotSettings) -> Mapping {
    let mut map = Mapping::default();
    map.put_secret("bot_token", &bot.token);
    map.put("channel", string(&bot.channel));
    map.put("api_url", string(&bot.api_url));
    put_mentions(&mut map, &bot.mention);
    map
}

fn put_mentions(map: &mut Mapping, mentions: &[SlackMention]) {
    if !mentions.is_empty() {
        map.put("mention", list(mentions, |mention| string(mention.text())));
    }
}

fn pagerduty(pagerduty: &PagerDutySettings) -> Mapping {
    let mut map = Mapping::default();
    map.put_secret("routing_key", &pagerduty.routing_key);
    map.put("url", string(&pagerduty.url));
    map
}

fn msteams(teams: &MsTeamsSettings) -> Mapping {
    let mut map = Mapping::default();
    map.put_secret("webhook_url", &teams.url);
    map
}

fn email(email: &EmailSettings) -> Mapping {
    let mut map = Mapping::default();
    map.put("smarthost", string(&email.smarthost.to_string()));
    map.put("security", string(email.security.label()));
    if let Some(file) = &email.tls.ca_file {
        map.put("ca_file", path(file));
    }
    if let Some((username, password)) = &email.login {
        map.put("username", string(username));
        map.put_secret("password", password);
    }
    map.put("from", string(&email.from));
    map.put("to", strings(&email.to));
    map
}

fn webhook(webhook: &WebhookSettings) -> Mapping {
    let mut map = Mapping::default();
    map.put_secret("url", &webhook.url);
    if let Some(secret) = &webhook.secret {
        map.put_secret("secret", secret);
    }
    map.put("headers", secrets(&webhook.headers));
    map.put("method", string(webhook.method.label()));
    map.put("content_type", string(&webhook.content_type));
    if let Some(path) = &webhook.path {
        map.put("path", string(path.source()));
    }
    if let Some(body) = &webhook.body {
        map.put("body", string(body.source()));
    }
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
