//! A configuration made from the command line: `init` writes it to a file, `check MASTER REPLICA`
//! uses it at once.

use std::path::PathBuf;

use super::args::{InitArgs, LoginArgs};
use super::place::{DatacenterArg, Place};

/// What is known of a configuration that does not exist yet.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// The name of the pair, or of the Sentinels' entry.
    pub(super) name: String,
    pub(super) servers: DraftServers,
    pub(super) login: DraftLogin,
    pub(super) datacenters: Vec<DatacenterArg>,
    /// The datacenter in which the exporter runs.
    pub(super) local: Option<String>,
    pub(super) receivers: Vec<DraftReceiver>,
}

/// Where the pairs come from.
#[derive(Clone, Debug)]
pub(super) enum DraftServers {
    Pair {
        master: Place,
        replicas: Vec<Place>,
    },
    Sentinels {
        sentinels: Vec<Place>,
        master_name: Option<String>,
    },
}

/// How to log in to every server.
#[derive(Clone, Debug, Default)]
pub(super) struct DraftLogin {
    pub(super) username: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) tls: bool,
    pub(super) ca_file: Option<PathBuf>,
}

/// A receiver of notifications.
#[derive(Clone, Debug)]
pub(super) enum DraftReceiver {
    Webhook { url: String },
    Slack { url_file: PathBuf },
    PagerDuty { routing_key_file: PathBuf },
}

impl From<&LoginArgs> for DraftLogin {
    fn from(args: &LoginArgs) -> Self {
        Self {
            username: args.redis_username.clone(),
            password_file: args.redis_password_file.clone(),
            tls: args.redis_tls || args.redis_ca_file.is_some(),
            ca_file: args.redis_ca_file.clone(),
        }
    }
}

impl From<&InitArgs> for Draft {
    fn from(args: &InitArgs) -> Self {
        Self {
            name: args.pair.clone(),
            servers: DraftServers::from(args),
            login: DraftLogin::from(&args.login),
            datacenters: args.datacenters.clone(),
            local: args.local.clone(),
            receivers: receivers(args),
        }
    }
}

impl From<&InitArgs> for DraftServers {
    fn from(args: &InitArgs) -> Self {
        match &args.master {
            Some(master) => Self::Pair {
                master: master.clone(),
                replicas: args.replicas.clone(),
            },
            None => Self::Sentinels {
                sentinels: args.sentinels.clone(),
                master_name: args.master_name.clone(),
            },
        }
    }
}

fn receivers(args: &InitArgs) -> Vec<DraftReceiver> {
    let mut receivers = Vec::new();
    if let Some(url) = args.webhook_url.clone() {
        receivers.push(DraftReceiver::Webhook { url });
    }
    if let Some(url_file) = args.slack_webhook_url_file.clone() {
        receivers.push(DraftReceiver::Slack { url_file });
    }
    if let Some(routing_key_file) = args.pagerduty_routing_key_file.clone() {
        receivers.push(DraftReceiver::PagerDuty { routing_key_file });
    }
    receivers
}

/// The first lines of the file.
const HEAD: &str = "\
# Configuration of redis-cross-dc-exporter, written by its command init. Lines that are commented
# out show a default or an example. After a change:
#   redis-cross-dc-exporter check-config --connect     logs in everywhere and says what is missing
#   kill -HUP, or systemctl reload                     makes a running exporter use it
# Durations are written 250ms, 30s, 4h; sizes 64MiB; ${NAME} is an environment variable. Each secret
# has a twin that ends in _file. An unknown key is an error. Every key: docs/configuration.md.

";

/// The sections behind the receivers, which are right for most.
const TAIL: &str = "
# The built-in alerts and some of their thresholds. A level that is null is off.
#alerts:
#  lag_seconds: {warning: 30s, critical: 120s}
#  link_down: {warning: 10s, critical: 60s}
#  unreachable: {warning: 15s, critical: 60s}

# What must survive a restart: the lag history, alerts, pending notifications.
#state: {path: ./data}

# Where the exporter listens. Give it --web.config.file to serve HTTPS or require passwords.
#web: {listen_address: \":10121\"}
";

/// What stands in the place of a master's name.
const ALL_MASTERS: &str =
    "    #master_name: mymaster    # a name or a glob; without it every master\n";

impl Draft {
    /// The configuration, in YAML.
    pub(super) fn to_yaml(&self) -> String {
        let mut text = String::from(HEAD);
        text += &self.datacenters_section();
        text += &self.redis_section();
        text += &self.servers.to_yaml(&self.name);
        text += &self.notify_section();
        text += TAIL;
        text
    }

    fn datacenters_section(&self) -> String {
        let mut text = String::from(
            "# Which datacenter a server is in, by its host: the first entry with a pattern that matches. A\n\
             # server's own dc takes precedence. `local` marks where the exporter runs.\n",
        );
        let mut entries = Vec::new();
        for dc in &self.datacenters {
            entries.push(self.datacenter(&dc.name, &dc.patterns));
        }
        if let Some(local) = &self.local
            && !self.datacenters.iter().any(|dc| dc.name == *local)
        {
            entries.push(self.datacenter(local, &[]));
        }
        if entries.is_empty() {
            text += "#datacenters:\n\
                     #  - {name: dc1, match: [\"10.1.0.0/16\", \"*.dc1.example.com\"], local: true}\n\
                     #  - {name: dc2, match: [\"10.2.0.0/16\", \"*.dc2.example.com\"]}\n";
        } else {
            text += &format!("datacenters:\n{}", entries.concat());
        }
        text
    }

    fn datacenter(&self, name: &str, patterns: &[String]) -> String {
        let patterns: Vec<_> = patterns.iter().map(|pattern| quoted(pattern)).collect();
        let patterns = patterns.join(", ");
        let local = if self.local.as_deref() == Some(name) {
            ", local: true"
        } else {
            ""
        };
        format!(
            "  - {{name: {}, match: [{patterns}]{local}}}\n",
            quoted(name)
        )
    }

    fn redis_section(&self) -> String {
        let mut text = String::from(
            "\n# How to log in to every server. The rights that the user needs, on masters and replicas:\n\
             #   ACL SETUSER monitor on >PASSWORD -@all +info +client|setname\n",
        );
        let lines = self.login.lines();
        if lines.is_empty() {
            text += "#redis:\n\
                     #  username: monitor\n\
                     #  password_file: /run/secrets/redis-password\n\
                     #  tls: {ca_file: /etc/redis/ca.crt}\n";
        } else {
            text += &format!("redis:\n{}", lines.concat());
        }
        text
    }

    fn notify_section(&self) -> String {
        let mut text = String::from(
            "\n# Who is notified of alerts. Test it with redis-cross-dc-exporter test-notify.\n",
        );
        let mut receivers = Vec::new();
        for receiver in &self.receivers {
            receivers.push(receiver.to_yaml());
        }
        if receivers.is_empty() {
            text += "#notify:\n\
                     #  receivers:\n\
                     #    - {name: chat, slack: {webhook_url_file: /run/secrets/slack-webhook-url}}\n\
                     #    - {name: oncall, min_severity: critical, pagerduty: {routing_key_file: /run/secrets/pagerduty-routing-key}}\n";
        } else {
            text += &format!("notify:\n  receivers:\n{}", receivers.concat());
        }
        text
    }
}

impl DraftServers {
    fn to_yaml(&self, name: &str) -> String {
        match self {
            Self::Pair { master, replicas } => pair_section(name, master, replicas),
            Self::Sentinels {
                sentinels,
                master_name,
            } => sentinels_section(name, sentinels, master_name.as_deref()),
        }
    }
}

fn pair_section(name: &str, master: &Place, replicas: &[Place]) -> String {
    let mut text = format!(
        "\n# A master and its replicas; more entries may follow. The roles are observed: after a failover\n\
         # nothing has to be changed here.\n\
         pairs:\n  - name: {}\n    master: {}\n    replicas:\n",
        quoted(name),
        server(master)
    );
    for replica in replicas {
        text += &format!("      - {}\n", server(replica));
    }
    text
}

fn sentinels_section(name: &str, sentinels: &[Place], master_name: Option<&str>) -> String {
    let mut text = format!(
        "\n# Sentinels that find masters and replicas. Name all of them, of every datacenter. The rights that\n\
         # a user needs on them: docs/topologies.md.\n\
         sentinels:\n  - name: {}\n",
        quoted(name)
    );
    match master_name {
        Some(master) => text += &format!("    master_name: {}\n", quoted(master)),
        None => text += ALL_MASTERS,
    }
    text += "    addresses:\n";
    for sentinel in sentinels {
        text += &format!("      - {}\n", quoted(&sentinel.address));
    }
    text +=
        "    #sentinel_auth: {username: monitor, password_file: /run/secrets/sentinel-password}\n";
    text
}

fn server(place: &Place) -> String {
    let address = quoted(&place.address);
    match &place.dc {
        Some(dc) => format!("{{address: {address}, dc: {}}}", quoted(dc)),
        None => format!("{{address: {address}}}"),
    }
}

impl DraftLogin {
    /// The lines of the section `redis`; none where the defaults are meant.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(username) = &self.username {
            lines.push(format!("  username: {}\n", quoted(username)));
        }
        if let Some(file) = &self.password_file {
            lines.push(format!(
                "  password_file: {}\n",
                quoted(&file.to_string_lossy())
            ));
        }
        match &self.ca_file {
            Some(file) => {
                let file = quoted(&file.to_string_lossy());
                lines.push(format!("  tls: {{enabled: true, ca_file: {file}}}\n"));
            }
            None if self.tls => lines.push("  tls: {enabled: true}\n".to_owned()),
            None => {}
        }
        lines
    }
}

impl DraftReceiver {
    fn to_yaml(&self) -> String {
        match self {
            Self::Webhook { url } => {
                let url = quoted(url);
                format!("    - {{name: hook, webhook: {{url: {url}}}}}\n")
            }
            Self::Slack { url_file } => {
                let file = quoted(&url_file.to_string_lossy());
                format!("    - {{name: chat, slack: {{webhook_url_file: {file}}}}}\n")
            }
            Self::PagerDuty { routing_key_file } => {
                let file = quoted(&routing_key_file.to_string_lossy());
                format!(
                    "    - {{name: oncall, min_severity: critical, pagerduty: {{routing_key_file: {file}}}}}\n"
                )
            }
        }
    }
}

/// The text as a double-quoted YAML string (JSON's strings are such strings), in which no variable
/// is expanded.
fn quoted(text: &str) -> String {
    let dollars = text.replace('$', "$$");
    serde_json::Value::String(dollars).to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Environment, Format, Settings, parse};

    fn place(text: &str) -> Place {
        text.parse().unwrap()
    }

    fn read(draft: &Draft) -> Settings {
        let text = draft.to_yaml();
        let parsed = parse(
            &text,
            Format::Yaml,
            Path::new("/etc"),
            &Environment::default(),
        );
        parsed.unwrap_or_else(|errors| panic!("{text}\n{errors}"))
    }

    fn pair() -> Draft {
        Draft {
            name: "orders".to_owned(),
            servers: DraftServers::Pair {
                master: place("dc1=a:1"),
                replicas: vec![place("dc2=b:1"), place("c:1")],
            },
            login: DraftLogin::default(),
            datacenters: Vec::new(),
            local: None,
            receivers: Vec::new(),
        }
    }

    #[test]
    fn the_least_is_a_configuration() {
        let settings = read(&pair());
        let entry = settings.pairs.first().unwrap();
        assert_eq!(entry.master.addr.to_string(), "a:1");
        assert_eq!(entry.master.dc.as_ref().unwrap().as_str(), "dc1");
        assert_eq!(entry.replicas.len(), 2);
        assert_eq!(entry.master.credentials.username, None);
        assert!(settings.notify.receivers.is_empty());
    }

    #[test]
    fn everything_that_was_given_is_in_effect() {
        let mut draft = pair();
        draft.name = "a $name with \"quotes\"".to_owned();
        draft.datacenters = vec!["dc2=10.2.0.0/16,*.dc2.example.com".parse().unwrap()];
        draft.local = Some("dc1".to_owned());
        draft.login = DraftLogin {
            username: Some("monitor".to_owned()),
            password_file: Some("secret/redis".into()),
            tls: true,
            ca_file: Some("ca.pem".into()),
        };
        draft.receivers = vec![
            DraftReceiver::Webhook {
                url: "http://hook.example.com/$x".to_owned(),
            },
            DraftReceiver::Slack {
                url_file: "slack".into(),
            },
            DraftReceiver::PagerDuty {
                routing_key_file: "key".into(),
            },
        ];
        let settings = read(&draft);
        let entry = settings.pairs.first().unwrap();
        assert_eq!(entry.name.as_str(), "a $name with \"quotes\"");
        let tls = entry.master.tls.as_ref().unwrap();
        assert_eq!(tls.ca_file.as_deref(), Some(Path::new("/etc/ca.pem")));
        let credentials = &entry.master.credentials;
        assert_eq!(credentials.username.as_deref(), Some("monitor"));
        assert!(credentials.password.is_some());
        let locals: Vec<_> = settings.datacenters.iter().map(|dc| dc.local).collect();
        assert_eq!(locals, [false, true]);
        let names: Vec<_> = settings.notify.receivers.iter().map(|r| &r.name).collect();
        assert_eq!(names, ["hook", "chat", "oncall"]);
    }

    #[test]
    fn sentinels_find_all_masters_or_the_one_that_is_named() {
        let mut draft = pair();
        draft.servers = DraftServers::Sentinels {
            sentinels: vec![place("s1:26379"), place("s2:26379")],
            master_name: None,
        };
        let settings = read(&draft);
        let entry = settings.sentinels.first().unwrap();
        assert_eq!(entry.sentinels.len(), 2);
        assert_eq!(entry.masters, crate::config::MasterSelector::All);
        draft.servers = DraftServers::Sentinels {
            sentinels: vec![place("s1:26379")],
            master_name: Some("mymaster".to_owned()),
        };
        let named = crate::config::MasterSelector::Exact("mymaster".to_owned());
        assert_eq!(read(&draft).sentinels.first().unwrap().masters, named);
    }
}
