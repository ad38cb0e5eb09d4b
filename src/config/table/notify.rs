//! The keys of `notify`.

use super::{days, hours, mins, ms, secs};
use crate::config::fields::{Fields, Visitor};
use crate::config::schema::{Key, Keys};
use crate::config::value::{any_secret, check_proxy_url, check_secret_url, check_signing_key};
use crate::config::{FlappingRule, HttpSettings, NotifySettings, TemplateSettings};

keys! {
    NOTIFY for NotifySettings {
        /// part of every dedup key; equal on exporters that replace each other, otherwise
        /// different
        key identity = Key::optional_name("identity").kind("text")
            .default("`\"\"`")
            .range("up to 128 characters");
        /// what alerts of one message have in common ([alerting.md](alerting.md#groups))
        key _ = Key::collection("group_by", "list of text")
            .default("`[alertname, source_dc, target_dc, dc]`")
            .range(
                "up to 32 names of labels, also configured ones, not `severity`; empty is one group \
                 of everything"
            );
        /// how long a new group waits for more alerts
        key group_wait = Key::duration("group_wait", secs(0)..=mins(10)).default_span(secs(5));
        /// how long a changed group waits for its next message
        key group_interval = Key::duration("group_interval", ms(100)..=days(30)).default_span(mins(1));
        /// how often a group that keeps firing is notified again
        key repeat_interval = Key::duration("repeat_interval", ms(100)..=days(30))
            .default_span(hours(4));
        /// when short outages of an alert are no longer notified, until it is stable
        /// ([alerting.md](alerting.md#flapping))
        key _ = Key::section("flapping", &FLAPPING).kind("mapping or null").range("null: never");
        /// recurring windows in which alerts are muted ([alerting.md](alerting.md#maintenance))
        key _ = Key::list("maintenance", &MAINTENANCE).default("empty").range("up to 64");
        /// where people reach this exporter: the base of links to runbooks and to the page
        key external_url = Key::url("external_url")
            .default(
                "`http://<host name>:<port>`; none where it listens on loopback only or has a web \
                 configuration"
            )
            .range("http or https, no credentials");
        /// the dashboard that messages link to; `from`, `to` and `var-pair`, `var-source_dc`,
        /// `var-target_dc`, `var-replica` are added, as Grafana takes them
        key dashboard_url = Key::url("dashboard_url")
            .default("the exporter's own page")
            .range("http or https, no credentials");
        /// the receivers, each with exactly one of `slack`, `pagerduty`, `msteams`, `email`,
        /// `webhook`, `alertmanager` and `heartbeat` ([receivers.md](receivers.md))
        key _ = Key::list("receivers", &RECEIVER).default("empty");
    }
}

keys! {
    FLAPPING for FlappingRule {
        /// so many outages within the window make an alert flap; an outage is one alert from
        /// `fired` to `resolved`, escalations do not count
        key changes = Key::number("changes", 2..=100).default_number(3);
        /// outages that ended longer ago no longer count
        key window = Key::duration("window", ms(100)..=days(1)).default_span(mins(10));
        /// a flapping alert is stable once it has been clear, or has fired, for this long
        key stable_for = Key::duration("stable_for", ms(100)..=days(1)).default_span(mins(5));
    }
}

keys! {
    MAINTENANCE {
        /// the window's name
        key Key::name("name").required().range("unique");
        /// labels that an alert must have to be muted
        key Key::collection("match", "mapping of globs")
            .default("empty: every alert")
            .range("as a receiver's");
        /// the days on which it begins
        key Key::collection("every", "list of text")
            .required()
            .range("`monday` to `sunday`, at least one");
        /// the local time at which it begins
        key Key::text("start").required().range("`\"00:00\"` to `\"23:59\"`, in quotes");
        /// how long it lasts, in real time, even when the clocks change
        key Key::duration("duration", mins(1)..=days(7)).required();
        /// the zone of `start`
        key Key::text("timezone").required().range("an IANA name, such as `Europe/Berlin`");
    }
}

keys! {
    RECEIVER {
        /// the receiver's name
        key Key::name("name").required().range("unique");
        /// gets what this one rejects permanently, and what fires while this one answers 410
        /// (gone); see [alerting.md](alerting.md#retries)
        key Key::text("fallback").default("none").range("the name of another receiver");
        /// alerts below it are not sent
        key Key::text("min_severity").default("`warning`").range("`warning`, `critical`");
        /// labels that an alert must have, all of them
        key Key::collection("match", "mapping of globs")
            .default("empty: every alert")
            .range("label names; globs (`*`, `?`) of 1 to 1024 characters");
        /// another grouping for this receiver
        key Key::collection("group_by", "list of text")
            .default("`notify.group_by`")
            .range("as that one");
        /// what is a new page rather than an update of the open incident: PagerDuty gets a new
        /// incident, and the older one is resolved
        key Key::collection("repage_on", "list of text")
            .default("`[new_critical]`")
            .range("`escalated`, `new_in_group`, `new_critical`; empty: never");
        /// the proxy and the trusted authorities of its requests
        key Key::section("http", &HTTP).default("the system's authorities and proxy variables");
        /// replaces the title and the summary of its messages
        /// ([receivers.md](receivers.md#templates))
        key Key::section("template", &TEMPLATE)
            .default("the built-in text")
            .range("not of `alertmanager` and `heartbeat`");
        /// Slack: an incoming webhook, or a bot
        key Key::section("slack", &SLACK);
        /// PagerDuty, Events API v2
        key Key::section("pagerduty", &PAGERDUTY);
        /// Microsoft Teams: the webhook of a workflow
        key Key::section("msteams", &MSTEAMS);
        /// e-mail, through a mail server
        key Key::section("email", &EMAIL);
        /// any HTTP endpoint: with Alertmanager's webhook body, version 4, or with a body of your
        /// own ([recipes](receivers.md#recipes))
        key Key::section("webhook", &WEBHOOK);
        /// Alertmanager, API v2
        key Key::section("alertmanager", &ALERTMANAGER);
        /// a dead man's switch
        key Key::section("heartbeat", &HEARTBEAT_RECEIVER);
    }
}

keys! {
    HTTP for HttpSettings {
        /// the authorities that are trusted, and no others; read at each request
        key ca_file = Key::pem_file("ca_file").range("PEM");
        /// the proxy of every request
        key proxy = Key::secret("proxy_url", check_proxy_url)
            .range("http or https; may hold a user and a password");
        /// a file that holds the proxy's URL
        key _ = Key::secret_file("proxy_url_file");
    }
}

keys! {
    TEMPLATE for TemplateSettings {
        /// the title
        key title = Key::text("title").default("built in").range("up to 8 KiB, a template");
        /// the summary
        key summary = Key::text("summary").default("built in").range("up to 8 KiB, a template");
    }
}

keys! {
    SLACK {
        /// the webhook's URL
        key Key::secret("webhook_url", check_secret_url)
            .default("*required* of a webhook, or its file")
            .range("http or https");
        /// a file that holds the URL
        key Key::secret_file("webhook_url_file");
        /// the bot's token, with the scope `chat:write`
        key Key::secret("bot_token", any_secret).default("*required* of a bot, or its file");
        /// a file that holds the token
        key Key::secret_file("bot_token_file");
        /// the channel's name or ID
        key Key::text("channel").default("*required* of a bot").range("up to 81 characters");
        /// where the Web API is
        key Key::url("api_url")
            .default("`https://slack.com/api`")
            .range("http or https, no credentials");
        /// who is mentioned while an alert is critical
        key Key::collection("mention", "list of text")
            .default("empty: nobody")
            .range(
                "up to 16 of `here`, `channel`, `everyone`, IDs of members (`U...`, `W...`) and of \
                 user groups (`S...`)"
            );
    }
}

keys! {
    PAGERDUTY {
        /// the integration's routing key
        key Key::secret("routing_key", any_secret).default("*required*, or its file");
        /// a file that holds the key
        key Key::secret_file("routing_key_file");
        /// where events go
        key Key::url("url")
            .default("`https://events.pagerduty.com/v2/enqueue`")
            .range("http or https, no credentials");
    }
}

keys! {
    MSTEAMS {
        /// the URL of the workflow's webhook
        key Key::secret("webhook_url", check_secret_url)
            .default("*required*, or its file")
            .range("http or https");
        /// a file that holds the URL
        key Key::secret_file("webhook_url_file");
    }
}

keys! {
    EMAIL {
        /// the mail server
        key Key::text("smarthost").required().range("`host:port`, such as `smtp.example.com:587`");
        /// how the connection is encrypted: after a plain greeting, from the first byte, or not at
        /// all
        key Key::text("security").default("`starttls`").range("`starttls`, `tls`, `none`");
        /// the authorities that the server's certificate is verified with, and no others; read at
        /// each mail
        key Key::pem_file("ca_file").default("the system's").range("PEM");
        /// the user that logs in
        key Key::text("username")
            .default("none: no login")
            .range("up to 320 characters; needs a password and an encrypted connection");
        /// the password
        key Key::secret("password", any_secret);
        /// a file that holds the password
        key Key::secret_file("password_file");
        /// the sender's address
        key Key::text("from").required().range("a mail address, without a name");
        /// the recipients' addresses
        key Key::collection("to", "list of text")
            .required()
            .range("1 to 50 mail addresses, without names");
    }
}

keys! {
    WEBHOOK {
        /// the endpoint
        key Key::secret("url", check_secret_url)
            .default("*required*, or its file")
            .range("http or https, no credentials");
        /// a file that holds the URL
        key Key::secret_file("url_file");
        /// signs requests as in Standard Webhooks 1.0.0
        key Key::secret("secret", check_signing_key)
            .default("none: not signed")
            .range("`whsec_` and the base64 of 24 to 64 bytes");
        /// a file that holds the secret
        key Key::secret_file("secret_file");
        /// headers to add; `Name_file: path` takes the value of `Name` from a file
        key Key::collection("headers", "mapping of secrets")
            .default("empty")
            .range(
                "names of HTTP headers, but `Connection`, `Content-Length`, `Content-Type`, `Host`, \
                 `Transfer-Encoding`"
            );
        /// the method
        key Key::text("method").default("`POST`").range("`POST`, `PUT`, `PATCH`");
        /// the header `Content-Type`; a body of JSON is checked to be JSON
        key Key::text("content_type")
            .default("`application/json`")
            .range("a media type of up to 128 characters");
        /// what is appended to the URL ([receivers.md](receivers.md#a-body-of-your-own))
        key Key::text("path")
            .default("nothing")
            .range("up to 8 KiB, a template; its output begins with `/`, `?` or `&`");
        /// the body ([receivers.md](receivers.md#a-body-of-your-own))
        key Key::text("body")
            .default("Alertmanager's, version 4")
            .range("up to 8 KiB, a template");
    }
}

keys! {
    ALERTMANAGER {
        /// every member of the cluster, never a load balancer in front of them
        key Key::collection("urls", "list of text")
            .required()
            .range("1 to 16, http or https, no credentials");
        /// how often firing alerts are sent again; Alertmanager resolves them by itself after four
        /// intervals without one
        key Key::duration("interval", ms(100)..=hours(1)).default_span(mins(1));
        /// headers to add
        key Key::collection("headers", "mapping of secrets").default("empty").range("as of a webhook");
    }
}

keys! {
    HEARTBEAT_RECEIVER {
        /// what is requested (GET)
        key Key::secret("url", check_secret_url)
            .default("*required*, or its file")
            .range("http or https, no credentials");
        /// a file that holds the URL
        key Key::secret_file("url_file");
        /// how often, while the exporter is healthy
        key Key::duration("interval", ms(100)..=hours(1)).default_span(mins(1));
        /// headers to add
        key Key::collection("headers", "mapping of secrets").default("empty").range("as of a webhook");
    }
}
