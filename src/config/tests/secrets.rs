//! However a configuration is mistyped, no message shows a secret in it.

use std::collections::BTreeSet;

use super::*;

/// What every secret below begins with. It has no character that a message could escape or a
/// language could split.
const MARK: &str = "plantedsecret";

const YAML: &str = "\
redis: {username: monitor, password: plantedsecret1}
pairs:
  - name: p
    password: \"plantedsecret2\"
    master:
      address: 'a:1'
      password: plantedsecret3
    replicas: [{address: 'b:1', password: '${TOKEN}'}]
notify:
  receivers:
    - name: s
      slack:
        webhook_url: https://hooks.example/plantedsecret4
    - {name: p, pagerduty: {routing_key: plantedsecret5}}
    - {name: w, webhook: {url: 'https://u.example/?t=plantedsecret6', headers: {Authorization: Bearer plantedsecret7}}}
    - {name: b, slack: {bot_token: plantedsecret9, channel: c}, http: {proxy_url: 'http://u:plantedsecret9@p.example:1'}}
    - {name: h, heartbeat: {url: 'https://h.example/plantedsecret9'}}
    - {name: a, alertmanager: {urls: ['http://a:1'], headers: {X-Token: plantedsecret9}}}
";

const TOML: &str = "\
[redis]
username = \"monitor\"
password = \"plantedsecret1\"
[[pairs]]
name = \"p\"
master = { address = \"a:1\", password = 'plantedsecret2' }
replicas = [{ address = \"b:1\", password = \"${TOKEN}\" }]
[[notify.receivers]]
name = \"w\"
webhook.url = \"https://u.example/plantedsecret3\"
webhook.headers.Authorization = \"Bearer plantedsecret4\"
";

const JSON: &str = r#"{"redis": {"username": "monitor", "password": "plantedsecret1"},
"pairs": [{"name": "p", "master": {"address": "a:1", "password": "plantedsecret2"},
  "replicas": [{"address": "b:1", "password": "${TOKEN}"}]}],
"notify": {"receivers": [
  {"name": "s", "slack": {"webhook_url": "https://hooks.example/plantedsecret3"}},
  {"name": "p", "pagerduty": {"routing_key": "plantedsecret4"}}]}}"#;

/// What is said or printed of `text`, and whether it is refused.
fn shown(text: &str, format: Format) -> (String, bool) {
    let variables = environment(&[("TOKEN", "plantedsecret8")]);
    match parse(text, format, Path::new(""), &variables) {
        Ok(settings) => (
            format!("{}{settings:?}", settings.to_yaml_redacted()),
            false,
        ),
        Err(errors) => (errors.to_string(), true),
    }
}

/// Whether the text is refused; panics when a secret is shown.
fn is_refused(text: &str, format: Format) -> bool {
    let (shown, refused) = shown(text, format);
    assert!(!shown.contains(MARK), "{format:?}: {text}\n{shown}");
    refused
}

/// `text` broken off or without a character at each place, and with a third of the characters that
/// could be typed there by mistake, of which each has its turn at every third place.
fn mistyped(text: &str) -> impl Iterator<Item = String> + '_ {
    const TYPED: [&str; 14] = [
        " ", "\n", ":", ",", "'", "\"", "{", "}", "[", "]", "#", "$", "=", "\t",
    ];
    (0..text.len()).flat_map(move |at| {
        let (before, after) = text.split_at(at);
        let typed = || TYPED.into_iter().skip(at % 3).step_by(3);
        let inserted = typed().map(move |typed| format!("{before}{typed}{after}"));
        let replaced = typed().map(move |typed| format!("{before}{typed}{}", &after[1..]));
        inserted
            .chain(replaced)
            .chain([before.to_owned(), format!("{before}{}", &after[1..])])
    })
}

/// As it is it is accepted, and most of the mistypings are not.
fn check(text: &str, format: Format) {
    assert!(!is_refused(text, format));
    let (mut refused, mut leaks) = (0, BTreeSet::new());
    for mistyped in mistyped(text) {
        let (shown, is_refused) = shown(&mistyped, format);
        refused += usize::from(is_refused);
        leaks.extend(
            shown
                .lines()
                .filter(|line| line.contains(MARK))
                .map(ToOwned::to_owned),
        );
    }
    assert!(leaks.is_empty(), "{leaks:#?}");
    assert!(
        refused > 2 * text.len(),
        "only {refused} mistypings are refused"
    );
}

#[test]
fn no_mistyped_yaml_shows_a_secret() {
    check(YAML, Format::Yaml);
}

#[test]
fn no_mistyped_toml_shows_a_secret() {
    check(TOML, Format::Toml);
}

#[test]
fn no_mistyped_json_shows_a_secret() {
    check(JSON, Format::Json);
}

#[test]
fn no_mistyped_web_configuration_shows_a_password() {
    // What stands where the hash belongs is taken for the password itself.
    let text = "tls_server_config: {cert_file: a, key_file: b}\nbasic_auth_users:\n  alice: plantedsecret1\n  bob: 'plantedsecret2'\n";
    let mut leaks = BTreeSet::new();
    for mistyped in mistyped(text) {
        if let Err(errors) = parse_web(&mistyped, Path::new("")) {
            leaks.extend(
                errors
                    .to_string()
                    .lines()
                    .filter(|line| line.contains(MARK))
                    .map(ToOwned::to_owned),
            );
        }
    }
    assert!(leaks.is_empty(), "{leaks:#?}");
}

#[test]
fn a_secret_in_the_wrong_place_is_not_shown() {
    let sections = [
        "redis: plantedsecret",
        "redis: [plantedsecret]",
        "redis: {password: [plantedsecret]}",
        "redis: {password: {plantedsecret: x}}",
        "redis: {password plantedsecret}",
        "redis: {password:plantedsecret}",
        "redis: {tls: plantedsecret}",
        "notify: plantedsecret",
        "notify: {receivers: plantedsecret}",
        "notify: {receivers: [plantedsecret]}",
        "notify: {receivers: [{name: r, slack: 'https://hooks.example/plantedsecret'}]}",
        "notify: {receivers: [{name: r, slack: {'https://hooks.example/plantedsecret'}}]}",
        "notify: {receivers: [{name: r, slack: {webhook_url: 'ftp://hooks.example/plantedsecret'}}]}",
        "notify: {receivers: [{name: r, slack: ['https://hooks.example/plantedsecret']}]}",
        "notify: {receivers: [{name: r, pagerduty: plantedsecret}]}",
        "notify: {receivers: [{name: r, pagerduty: {routing_key: k, url: 'https://u:plantedsecret@x.example/'}}]}",
        "notify: {receivers: [{name: r, webhook: 'https://x.example/plantedsecret'}]}",
        "notify: {receivers: [{name: r, webhook: {url: 'https://u:plantedsecret@x.example/'}}]}",
        "notify: {receivers: [{name: r, webhook: {url: 'https://x.example/', headers: plantedsecret}}]}",
        "notify: {receivers: [{name: r, webhook: {url: 'https://x.example/', headers: ['X: plantedsecret']}}]}",
        "notify: {receivers: [{name: r, webhook: {url: 'https://x.example/', headers: {'X: plantedsecret': y}}}]}",
    ];
    for section in sections {
        assert!(
            is_refused(&format!("{PAIR}\n{section}"), Format::Yaml),
            "{section}"
        );
    }
    for address in [
        "redis://u:plantedsecret@a:1",
        "rediss://:plantedsecret@a:1",
        "u:plantedsecret@a:1",
    ] {
        let pair = PAIR.replace("a:1", address);
        assert!(is_refused(&pair, Format::Yaml), "{address}");
    }
}
