//! The effective configuration as it is printed.

use super::*;

#[test]
fn the_printed_configuration_reads_back() {
    let settings = read(FULL).unwrap();
    let printed = settings.to_yaml_redacted();
    let again = read(&printed).unwrap_or_else(|errors| panic!("{printed}\n{errors}"));
    assert_eq!(settings, again, "{printed}");
    assert_eq!(printed, again.to_yaml_redacted());
    for line in [
        "password_file: /etc/exporter/pass word",
        "warning: null",
        "username: \"null\"",
        "path: /var/lib/$$x",
    ] {
        assert!(printed.contains(line), "{line}\n{printed}");
    }
}

#[test]
fn the_printed_configuration_and_debug_hold_no_secret() {
    let yaml = "
redis: {username: u, password: hunter2}
pairs: [{name: p, master: {address: 'a:1', password: hunter2b}, replicas: [{address: 'b:1'}]}]
sentinels: [{name: s, addresses: ['s:1'], sentinel_auth: {password: hunter2c}, password: hunter2d}]
notify:
  receivers:
    - {name: s, slack: {webhook_url: 'https://hooks.example/hunter2'}}
    - {name: p, pagerduty: {routing_key: hunter2}}
    - {name: w, webhook: {url: 'https://w.example/hunter2', headers: {Authorization: hunter2}}}
";
    let settings = read(yaml).unwrap();
    let printed = settings.to_yaml_redacted();
    assert!(
        !printed.contains("hunter2") && !format!("{settings:?}").contains("hunter2"),
        "{printed}"
    );
    assert_eq!(printed.matches("***").count(), 8, "{printed}");
    let restored = printed.replace("***", "https://restored.example/");
    let again = read(&restored).unwrap_or_else(|errors| panic!("{restored}\n{errors}"));
    assert_eq!(again.to_yaml_redacted(), printed);
}
