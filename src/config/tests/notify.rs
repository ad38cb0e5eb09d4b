//! `notify`: receivers, groupings and maintenance windows.

use std::path::PathBuf;

use super::refused::{bad, bad_receiver};
use super::*;

#[test]
fn receivers_read() {
    let settings = good(
        "
notify:
  receivers:
    - {name: a, slack: {webhook_url: 'https://hooks.example/x'}}
    - {name: b, min_severity: critical, fallback: a, pagerduty: {routing_key_file: key}}
    - {name: c, match: {pair: 'ord*'}, webhook: {url: 'http://h/', headers: {X-Token: t, Authorization_file: f}}}
",
    );
    let [a, b, c] = settings.notify.receivers.as_slice() else {
        panic!("three receivers")
    };
    assert!(matches!(
        &a.kind,
        ReceiverKind::Group(GroupReceiver::SlackWebhook(SlackWebhookSettings {
            url: SecretSource::Inline(_),
            ..
        }))
    ));
    assert_eq!(
        (a.min_severity, b.min_severity),
        (Severity::Warning, Severity::Critical)
    );
    assert_eq!((&a.fallback, b.fallback.as_deref()), (&None, Some("a")));
    let routing_key = SecretSource::File(PathBuf::from("/etc/exporter/key"));
    let url = "https://events.pagerduty.com/v2/enqueue".to_owned();
    assert_eq!(b.kind, PagerDutySettings { routing_key, url }.into());
    assert!(c.matchers["pair"].matches("orders") && !c.matchers["pair"].matches("sessions"));
    let ReceiverKind::Group(GroupReceiver::Webhook(WebhookSettings { headers, .. })) = &c.kind
    else {
        panic!("a webhook")
    };
    assert_eq!(
        headers.keys().collect::<Vec<_>>(),
        ["Authorization", "X-Token"]
    );
    assert_eq!(
        headers["Authorization"],
        SecretSource::File(PathBuf::from("/etc/exporter/f"))
    );
}

#[test]
fn groupings_and_pages_read() {
    let settings = good(
        "
notify:
  group_by: []
  flapping: null
  receivers:
    - {name: a, group_by: [pair, team], repage_on: [escalated, new_in_group], slack: {webhook_url_file: f}}
    - {name: b, slack: {webhook_url_file: f}}
",
    );
    let NotifySettings {
        group_by,
        flapping,
        receivers,
        ..
    } = &settings.notify;
    assert_eq!((group_by.as_slice(), flapping), ([].as_slice(), &None));
    assert_eq!(
        receivers[0].group_by,
        Some(vec!["pair".to_owned(), "team".to_owned()])
    );
    assert_eq!(
        receivers[0].repage_on,
        RepageOn {
            escalated: true,
            new_in_group: true,
            new_critical: false
        }
    );
    assert_eq!(
        (&receivers[1].group_by, receivers[1].repage_on),
        (&None, RepageOn::default())
    );
    let defaults = good("").notify.flapping.unwrap();
    assert_eq!(
        (defaults.changes, defaults.window, defaults.stable_for),
        (3, secs(600), secs(300))
    );
}

#[test]
fn a_maintenance_window_reads() {
    let window = "{name: w, match: {pair: 'a*'}, every: [sunday, monday, sunday], start: '02:05', duration: 90m, \
                  timezone: Europe/Berlin}";
    let settings = good(&format!("notify: {{maintenance: [{window}]}}"));
    let [window] = settings.notify.maintenance.as_slice() else {
        panic!("one window")
    };
    assert_eq!(
        window.every,
        [jiff::civil::Weekday::Monday, jiff::civil::Weekday::Sunday]
    );
    assert_eq!(
        (window.start.hour(), window.start.minute(), window.duration),
        (2, 5, secs(5400))
    );
    assert_eq!(window.timezone.iana_name(), Some("Europe/Berlin"));
    assert!(window.matchers["pair"].matches("ab"));
}

#[test]
fn unknown_words_in_groupings_and_pages_are_refused() {
    let severity = "alerts cannot be grouped by severity: a group would end whenever it escalates";
    bad(
        "notify: {group_by: [severity]}",
        &format!("notify.group_by[0]: {severity}"),
    );
    let twice = "notify.group_by[1]: \"pair\" is given twice: notify.group_by[0] has it already";
    bad("notify: {group_by: [pair, pair]}", twice);
    let name = "notify.group_by[0]: \"a-b\" is not a label's name; allowed: letters, digits and _, not beginning with a digit \
                or __";
    bad("notify: {group_by: [a-b]}", name);
    let many = (0..33)
        .map(|n| format!("l{n}"))
        .collect::<Vec<_>>()
        .join(", ");
    bad(
        &format!("notify: {{group_by: [{many}]}}"),
        "notify.group_by: has 33 labels; allowed: at most 32",
    );
    let receiver = |keys: &str| {
        format!("notify: {{receivers: [{{name: r, {keys}, slack: {{webhook_url_file: f}}}}]}}")
    };
    let page = "notify.receivers[0].repage_on[0]: \"always\" is no reason to page again; allowed: escalated, new_in_group, new_critical";
    bad(&receiver("repage_on: [always]"), page);
    bad(
        &receiver("group_by: [severity]"),
        &format!("notify.receivers[0].group_by[0]: {severity}"),
    );
    let changes = "notify.flapping.changes: 1 is out of range; allowed: 2 to 100";
    bad("notify: {flapping: {changes: 1}}", changes);
}

#[test]
fn a_maintenance_window_that_would_never_begin_is_refused() {
    let many =
        |n| format!("{{name: w{n}, every: [sunday], start: '02:00', duration: 2h, timezone: UTC}}");
    let many = (0..65).map(many).collect::<Vec<_>>().join(", ");
    let sentence = "notify.maintenance: has 65 windows; allowed: at most 64";
    bad(&format!("notify: {{maintenance: [{many}]}}"), sentence);
    let window = |keys: &str| format!("notify: {{maintenance: [{{name: w, {keys}}}]}}");
    let rest = "duration: 2h, timezone: UTC";
    let days = "allowed: monday, tuesday, wednesday, thursday, friday, saturday, sunday";
    let cases = [
        (format!("every: [Sun], start: '02:00', {rest}"), format!("every[0]: \"Sun\" is not a day; {days}")),
        (
            format!("every: [], start: '02:00', {rest}"),
            "every: names no day: write one at least, such as [sunday]".into(),
        ),
        (
            format!("every: [sunday], start: '24:00', {rest}"),
            "start: \"24:00\" is not a time of the day; write it like \"02:00\" or \"14:30\", in quotes".into(),
        ),
        (
            format!("every: [sunday], start: '2:00', {rest}"),
            "start: \"2:00\" is not a time of the day; write it like \"02:00\" or \"14:30\", in quotes".into(),
        ),
        (
            "every: [sunday], start: '02:00', duration: 8d, timezone: UTC".into(),
            "duration: \"8d\" is out of range; allowed: 1m to 7d".into(),
        ),
        (
            "every: [sunday], start: '02:00', duration: 2h, timezone: Berlin".into(),
            "timezone: \"Berlin\" is not a known IANA time zone; write it like Europe/Berlin, America/New_York or UTC"
                .into(),
        ),
        (
            "every: [sunday], duration: 2h, timezone: UTC".into(),
            "start: is missing: give a time of the day, such as \"02:00\"".to_owned(),
        ),
    ];
    for (keys, sentence) in cases {
        bad(&window(&keys), &format!("notify.maintenance[0].{sentence}"));
    }
}

#[test]
fn receivers_are_checked() {
    let path = "notify.receivers[0]";
    bad_receiver(
        "min_severity: critical",
        &format!(
            "{path}: the receiver sends to nothing: give one of slack, pagerduty, msteams, email, webhook, alertmanager, heartbeat"
        ),
    );
    bad_receiver(
        "slack: {webhook_url_file: f}, webhook: {url_file: f}",
        &format!(
            "{path}: the receiver has slack, webhook: give one of them, and a receiver for each"
        ),
    );
    bad_receiver(
        "slack: {}",
        &format!("{path}.slack.webhook_url: is missing: give it or webhook_url_file"),
    );
    bad_receiver(
        "slack: {webhook_url: hunter2}",
        &format!(
            "{path}.slack.webhook_url: the value is not a URL that begins with http:// or https:// and a host"
        ),
    );
    bad_receiver(
        "pagerduty: {routing_key: k, url: 'https://u:hunter2@h/'}",
        &format!(
            "{path}.pagerduty.url: the value has a user or password before its host, which is not supported"
        ),
    );
    bad_receiver(
        "min_severity: high, slack: {webhook_url_file: f}",
        &format!("{path}.min_severity: \"high\" is not a severity; allowed: warning, critical"),
    );
    let header = |headers: &str| format!("webhook: {{url_file: f, headers: {{{headers}}}}}");
    bad_receiver(
        &header("content-TYPE: x"),
        &format!("{path}.webhook.headers.content-TYPE: the exporter sets this header itself"),
    );
    let no_header =
        "has an entry that is no header with a value (is there a space behind every colon?)";
    bad_receiver(
        &header("'a b': x"),
        &format!("{path}.webhook.headers: {no_header}"),
    );
    bad_receiver(
        &header("hunter2"),
        &format!("{path}.webhook.headers: {no_header}"),
    );
    bad_receiver(
        &header("a: x, A_file: f"),
        &format!(
            "{path}.webhook.headers.a: the header is given twice (upper and lower case are alike, and Name_file gives Name)"
        ),
    );
    bad_receiver(
        &header("a: \"hunter2\\r\\nb: c\""),
        &format!(
            "{path}.webhook.headers.a: the value has control characters, such as a line break, in it"
        ),
    );
    bad(
        "notify: {receivers: [{name: r, slack: {webhook_url_file: f}}, {name: r, slack: {webhook_url_file: f}}]}",
        "notify.receivers[1].name: \"r\" is given twice: notify.receivers[0].name has it already",
    );
}

#[test]
fn the_new_kinds_of_receivers_are_checked() {
    let path = "notify.receivers[0]";
    let url = "is not a URL that begins with http:// or https:// and a host";
    let urls = |urls: &str| format!("alertmanager: {{urls: [{urls}]}}");
    let many: Vec<_> = (0..17).map(|n| format!("'http://am{n}:9093'")).collect();
    let secret = |secret: &str| format!("webhook: {{url_file: f, secret: {secret}}}");
    let cases = [
        (
            "slack: {bot_token_file: f}".to_owned(),
            "slack.channel: is missing: give the channel's name or ID".to_owned(),
        ),
        ("slack: {channel: c}".to_owned(), "slack.bot_token: is missing: give it or bot_token_file".to_owned()),
        (
            "slack: {bot_token_file: f, channel: c, webhook_url_file: f}".to_owned(),
            "slack: a webhook and a bot are two receivers: give webhook_url, or bot_token with channel".to_owned(),
        ),
        (
            "slack: {bot_token_file: f, channel: 'a b'}".to_owned(),
            "slack.channel: \"a b\" is not a channel; allowed: its name or ID, up to 81 characters, no spaces"
                .to_owned(),
        ),
        (
            "alertmanager: {}".to_owned(),
            "alertmanager.urls: is missing: give the URL of every member of the cluster".to_owned(),
        ),
        (urls(""), "alertmanager.urls: has 0 URLs; allowed: 1 to 16".to_owned()),
        (urls(&many.join(", ")), "alertmanager.urls: has 17 URLs; allowed: 1 to 16".to_owned()),
        (urls("am:9093"), format!("alertmanager.urls[0]: the value {url}")),
        (
            urls("'http://a/?x=1'"),
            "alertmanager.urls[0]: the value has a query or a fragment, but something is appended to it".to_owned(),
        ),
        (urls("'http://a', 'http://a/'"), "alertmanager.urls[1]: the URL is given twice".to_owned()),
        (
            "alertmanager: {urls: ['http://a'], interval: 2h}".to_owned(),
            "alertmanager.interval: \"2h\" is out of range; allowed: 100ms to 1h".to_owned(),
        ),
        (
            "msteams: {}".to_owned(),
            "msteams.webhook_url: is missing: give it or webhook_url_file".to_owned(),
        ),
        ("heartbeat: {}".to_owned(), "heartbeat.url: is missing: give it or url_file".to_owned()),
        (
            "heartbeat: {url_file: f}, http: {proxy_url: 'socks5://p:1'}".to_owned(),
            format!("http.proxy_url: the value {url}"),
        ),
    ];
    for (keys, sentence) in cases {
        bad_receiver(&keys, &format!("{path}.{sentence}"));
    }
    bad_receiver(
        "heartbeat: {url_file: f}, template: {title: x}",
        &format!(
            "{path}: a template is for messages, and this receiver gets none: remove template"
        ),
    );
    bad_receiver(
        "slack: {webhook_url_file: f}, template: {title: '{% if x'}",
        &format!(
            "{path}.template.title: the text is no template: syntax error: unexpected end of input, expected end of \
             block (in template:1)"
        ),
    );
    for wrong in ["hunter2", "whsec_hunter2"] {
        let errors = read(&format!(
            "{PAIR}\nnotify: {{receivers: [{{name: r, {}}}]}}",
            secret(wrong)
        ))
        .unwrap_err();
        let text = errors.to_string();
        let begin =
            format!("{path}.webhook.secret: the value is no signing secret of Standard Webhooks;");
        assert!(
            text.starts_with(&begin) && !text.contains("hunter2"),
            "{text}"
        );
    }
}

#[test]
fn a_fallback_must_be_another_receiver_that_is_notified_of_groups() {
    let chat = "{name: chat, slack: {webhook_url_file: f}}";
    let with = |fallback: &str, other: &str| {
        format!(
            "notify: {{receivers: [{{name: r, fallback: {fallback}, slack: {{webhook_url_file: f}}}}, {other}]}}"
        )
    };
    let path = "notify.receivers[0].fallback";
    bad(
        &with("r", chat),
        &format!("{path}: is the receiver itself: give another one"),
    );
    bad(
        &with("nobody", chat),
        &format!("{path}: is not the name of a receiver of this file"),
    );
    let heartbeat = "{name: beats, heartbeat: {url_file: f}}";
    bad(
        &with("beats", heartbeat),
        &format!(
            "{path}: is for receivers that are notified of groups on both sides, and alertmanager and heartbeat are not"
        ),
    );
}

#[test]
fn a_webhooks_own_body_reads_and_prints() {
    let settings = good(
        "
notify:
  receivers:
    - name: a
      webhook:
        url_file: f
        method: PATCH
        content_type: application/vnd.api+json; charset=utf-8
        path: '/{{ key | percent_encode }}'
        body: '{\"t\": {{ title | json }}}'
    - {name: b, webhook: {url_file: f}}
",
    );
    let webhook = |n: usize| match &settings.notify.receivers[n].kind {
        ReceiverKind::Group(GroupReceiver::Webhook(webhook)) => webhook.clone(),
        other => panic!("{other:?}"),
    };
    let own = webhook(0);
    assert_eq!(own.method, WebhookMethod::Patch);
    assert!(own.is_json(), "{}", own.content_type);
    assert_eq!(own.body.unwrap().source(), "{\"t\": {{ title | json }}}");
    assert_eq!(own.path.unwrap().source(), "/{{ key | percent_encode }}");
    let file = SecretSource::File(PathBuf::from("/etc/exporter/f"));
    assert_eq!(webhook(1), WebhookSettings::to(file));
    for (media_type, is_json) in [
        ("application/json", true),
        ("Application/JSON;charset=utf-8", true),
        ("text/plain", false),
        ("application/x-www-form-urlencoded", false),
    ] {
        let webhook = WebhookSettings {
            content_type: media_type.to_owned(),
            ..webhook(1)
        };
        assert_eq!(webhook.is_json(), is_json, "{media_type}");
    }
}

/// Checks that a webhook with these keys has one problem, with a sentence that begins and goes on
/// like this.
fn bad_webhook(keys: &str, begin: &str, part: &str) {
    let yaml =
        format!("{PAIR}\nnotify: {{receivers: [{{name: r, webhook: {{url_file: f, {keys}}}}}]}}");
    let text = read(&yaml).unwrap_err().to_string();
    let begin = format!("notify.receivers[0].webhook{begin}");
    assert!(
        text.starts_with(&begin) && text.contains(part),
        "{keys}: {text}"
    );
    assert_eq!(text.trim_end().lines().count(), 1, "{text}");
}

#[test]
fn the_mistakes_of_a_webhooks_templates_are_found_with_their_key() {
    bad_webhook(
        "method: GET",
        ".method: \"GET\" is not allowed; allowed: POST, PUT, PATCH",
        "",
    );
    for media_type in [
        "json",
        "'/json'",
        "'text/pl\u{e4}in'",
        &format!("a/{}", "x".repeat(127)),
    ] {
        bad_webhook(
            &format!("body: x, content_type: {media_type}"),
            ".content_type: ",
            "is not a media type",
        );
    }
    bad_webhook(
        "content_type: text/plain",
        ": Alertmanager's body is JSON: give a body",
        "",
    );
    let body = |body: &str| format!("body: '{body}'");
    bad_webhook(&body("{% if x"), ".body: the text is no template: ", "");
    bad_webhook(
        &body("{\"t\": {{ titel | json }}}"),
        ".body: the template fails: ",
        "undefined",
    );
    bad_webhook(
        &body("{\"t\": {{ alerts[0].facts.nope | json }}}"),
        ".body: the template fails: ",
        "undefined",
    );
    bad_webhook(
        &body("{\"t\": {{ affected.of }}}"),
        ".body: the template fails: ",
        "undefined",
    );
    bad_webhook(
        &body("{\"t\": \"{{ title }}\"}"),
        ".body: the template fails: it gives no JSON: ",
        "write texts without quotation marks as {{ title | json }}",
    );
    bad_webhook(
        &body("{{ (\"x\" * 300000) | json }}"),
        ".body: the template fails: it gives more than 262144 bytes",
        "",
    );
    let path = |path: &str| format!("path: '{path}'");
    bad_webhook(
        &path(".evil.example"),
        ".path: the template fails: what is appended",
        "",
    );
    bad_webhook(
        &path("/{{ key }}"),
        ".path: the template fails: ",
        "percent_encode",
    );
    bad_webhook(
        &path("/{{ kex }}"),
        ".path: the template fails: ",
        "undefined",
    );
}

#[test]
fn people_to_mention_in_slack_read_and_are_checked() {
    let slack = |mention: &str| format!("slack: {{webhook_url_file: f, mention: [{mention}]}}");
    let settings = good(&format!(
        "notify: {{receivers: [{{name: r, {}}}]}}",
        slack("here, channel, everyone, U012AB3CD, W1, S0614TZR7")
    ));
    let ReceiverKind::Group(GroupReceiver::SlackWebhook(webhook)) =
        &settings.notify.receivers[0].kind
    else {
        panic!("a webhook of Slack")
    };
    let texts: Vec<_> = webhook.mention.iter().map(SlackMention::text).collect();
    assert_eq!(
        texts,
        [
            "here",
            "channel",
            "everyone",
            "U012AB3CD",
            "W1",
            "S0614TZR7"
        ]
    );
    let path = "notify.receivers[0].slack.mention";
    let nobody = "is nobody in Slack; allowed: here, channel, everyone, the ID of a member (U... or W...) or of a user group (S...)";
    for wrong in [
        "'@here'",
        "'<!here>'",
        "C012AB3CD",
        "U",
        "alice",
        &format!("U{}", "1".repeat(32)),
    ] {
        let shown = wrong.trim_matches('\'');
        bad_receiver(&slack(wrong), &format!("{path}[0]: \"{shown}\" {nobody}"));
    }
    let many = vec!["here"; 17].join(", ");
    bad_receiver(
        &slack(&many),
        &format!("{path}: has 17 mentions; allowed: at most 16"),
    );
}

#[test]
fn mail_receivers_read_and_are_checked() {
    let rest = "from: a@example.com, to: [b@example.com, c@example.com]";
    let email = |keys: &str| format!("email: {{{keys}}}");
    let settings = good(&format!(
        "notify: {{receivers: [{{name: a, {}}}, {{name: b, {}}}]}}",
        email(&format!(
            "smarthost: 'mx:587', username: u, password_file: p, {rest}"
        )),
        email(&format!("smarthost: '[::1]:25', security: none, {rest}"))
    ));
    let mail = |n: usize| match &settings.notify.receivers[n].kind {
        ReceiverKind::Group(GroupReceiver::Email(mail)) => mail.clone(),
        other => panic!("{other:?}"),
    };
    let password = SecretSource::File(PathBuf::from("/etc/exporter/p"));
    assert_eq!(mail(0).login, Some(("u".to_owned(), password)));
    assert_eq!(
        (mail(0).security, mail(1).security),
        (MailSecurity::StartTls, MailSecurity::None)
    );
    assert_eq!((mail(1).smarthost.port(), mail(1).login), (Some(25), None));
    assert_eq!(mail(0).to, ["b@example.com", "c@example.com"]);

    let path = "notify.receivers[0].email";
    let server = "smarthost: 'mx:587'";
    let address = "is not a mail address; write it like oncall@example.com, without a name";
    let many: Vec<_> = (0..51).map(|n| format!("u{n}@b")).collect();
    let many = many.join(", ");
    let user = "u".repeat(321);
    let cases = [
        (rest.to_owned(), ".smarthost: is missing: give the mail server's host:port".to_owned()),
        (
            format!("smarthost: mx, {rest}"),
            ".smarthost: \"mx\" is not host:port of a mail server; write it like smtp.example.com:587".to_owned(),
        ),
        (
            format!("smarthost: 'redis://mx:587', {rest}"),
            ".smarthost: \"redis://mx:587\" is not host:port of a mail server; write it like smtp.example.com:587"
                .to_owned(),
        ),
        (
            format!("{server}, security: ssl, {rest}"),
            ".security: \"ssl\" is not allowed; allowed: starttls, tls, none".to_owned(),
        ),
        (
            format!("{server}, username: u, {rest}"),
            ".password: is missing: give it or password_file, or remove username".to_owned(),
        ),
        (
            format!("{server}, password_file: p, {rest}"),
            ".username: is missing: give the user of the password".to_owned(),
        ),
        (
            format!("{server}, security: none, username: u, password_file: p, {rest}"),
            ": a password would cross the network in plain text: set security to starttls or tls, or remove username and password".to_owned(),
        ),
        (
            format!("{server}, username: {user}, password_file: p, {rest}"),
            format!(".username: \"{}\"... is not a user's name; allowed: 1 to 320 characters, no control characters", "u".repeat(80)),
        ),
        (
            format!("{server}, from: 'A <a@b>', to: [b@c]"),
            format!(".from: \"A <a@b>\" {address}"),
        ),
        (format!("{server}, from: a@b, to: ['x y@b']"), format!(".to[0]: \"x y@b\" {address}")),
        (format!("{server}, from: a@b, to: []"), ".to: has 0 addresses; allowed: 1 to 50".to_owned()),
        (format!("{server}, from: a@b, to: [{many}]"), ".to: has 51 addresses; allowed: 1 to 50".to_owned()),
        (format!("{server}, from: a@b, to: [b@c, b@c]"), ".to[1]: the address is given twice".to_owned()),
    ];
    for (keys, sentence) in cases {
        bad_receiver(&email(&keys), &format!("{path}{sentence}"));
    }
    bad_receiver(
        &format!(
            "{}, http: {{ca_file: f}}",
            email(&format!("{server}, {rest}"))
        ),
        "notify.receivers[0]: mail goes over no HTTP: remove http (email has a key ca_file)",
    );
}
