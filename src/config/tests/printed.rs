//! The effective configuration as it is printed.

use yaml_rust2::{Yaml, YamlEmitter, YamlLoader};

use super::*;
use crate::config::schema::{Keys, Kind};
use crate::config::table::ROOT;

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
clusters: [{name: c, addresses: ['c:1'], username: u, password: hunter2e}]
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
    assert_eq!(printed.matches("***").count(), 9, "{printed}");
    let restored = printed.replace("***", "https://restored.example/");
    let again = read(&restored).unwrap_or_else(|errors| panic!("{restored}\n{errors}"));
    assert_eq!(again.to_yaml_redacted(), printed);
}

/// A file that has every key, none with its default.
const EVERYTHING: &str = include_str!("../../../examples/everything.yml");

/// What is put in the place of secrets, so that they read back: most are URLs.
const SECRET: &str = "https://secret.example/x";
const SIGNING_SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Reads `yaml` with a value for every variable of the file, made from its name.
fn read_everything(yaml: &str, secret: impl Fn(&str) -> String) -> Result<Settings, ConfigErrors> {
    let names = EVERYTHING.split("${").skip(1);
    let names = names.filter_map(|rest| Some(rest.split_once('}')?.0));
    let vars: Vec<_> = names
        .map(|name| match name {
            "WEBHOOK_SIGNING_SECRET" => (name, SIGNING_SECRET.to_owned()),
            _ => (name, secret(name)),
        })
        .collect();
    let vars: Vec<_> = vars
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    read_with(yaml, &vars)
}

#[test]
fn every_key_is_printed_and_reads_back() {
    // The one secret that is written out, as nothing about it is one.
    let text = EVERYTHING.replace(
        "X-Source: redis-cross-dc-exporter",
        &format!("X-Source: '{SECRET}'"),
    );
    let settings =
        read_everything(&text, |_| SECRET.to_owned()).unwrap_or_else(|errors| panic!("{errors}"));
    let printed = settings.to_yaml_redacted();
    let restored: Vec<_> = printed
        .lines()
        .map(|line| {
            let is_signing = line.trim_start().starts_with("secret:");
            line.replace("***", if is_signing { SIGNING_SECRET } else { SECRET })
        })
        .collect();
    let again = read(&restored.join("\n")).unwrap_or_else(|errors| panic!("{printed}\n{errors}"));
    assert_eq!(again, settings, "{printed}");
}

/// Where in a tree something is: the indices of its ancestors' children, and the path as the table
/// has it, such as `pairs[].name`.
type Place = (Vec<usize>, String);

fn places(tree: &Yaml, above: &Place, found: &mut Vec<Place>) {
    let (indices, path) = above;
    let deeper = |index: usize| [indices.as_slice(), &[index]].concat();
    match tree {
        Yaml::Hash(map) => {
            for (index, (key, value)) in map.iter().enumerate() {
                let key = key.as_str().unwrap();
                let dot = if path.is_empty() { "" } else { "." };
                let place = (deeper(index), format!("{path}{dot}{key}"));
                found.push(place.clone());
                places(value, &place, found);
            }
        }
        Yaml::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                places(item, &(deeper(index), format!("{path}[]")), found);
            }
        }
        _ => {}
    }
}

/// The tree without what is at `indices`.
fn without(tree: &Yaml, indices: &[usize]) -> Yaml {
    let (first, rest) = indices.split_first().unwrap();
    match tree {
        Yaml::Hash(map) => {
            let entries = map.iter().enumerate();
            let kept = entries.filter(|(index, _)| index != first || !rest.is_empty());
            let kept = kept.map(|(index, (key, value))| {
                let changed = index == *first;
                let value = if changed {
                    without(value, rest)
                } else {
                    value.clone()
                };
                (key.clone(), value)
            });
            Yaml::Hash(kept.collect())
        }
        Yaml::Array(items) => {
            let mut items = items.clone();
            items[*first] = without(&items[*first], rest);
            Yaml::Array(items)
        }
        other => other.clone(),
    }
}

/// The paths of all keys, those of a mapping that is documented elsewhere only there.
fn paths(above: &str, keys: &'static Keys, found: &mut Vec<String>) {
    for key in keys.rows() {
        let dot = if above.is_empty() { "" } else { "." };
        let path = format!("{above}{dot}{}", key.name);
        match key.kind {
            Kind::List(below) => paths(&format!("{path}[]"), below, found),
            Kind::Section(below) | Kind::ScalarOrSection(below) => paths(&path, below, found),
            Kind::SameSection(below) if above == "alerts" => paths(&path, below, found),
            _ => {}
        }
        found.push(path);
    }
}

#[test]
fn the_everything_example_sets_each_key_to_a_value_other_than_its_default() {
    let tree = YamlLoader::load_from_str(EVERYTHING).unwrap().remove(0);
    // Each secret is another one, so that one that is not used is noticed.
    let read = |text: &str| read_everything(text, |name| format!("{SECRET}/{name}"));
    let settings = read(EVERYTHING).unwrap();
    let mut found = Vec::new();
    places(&tree, &(Vec::new(), String::new()), &mut found);
    let mut wanted = Vec::new();
    paths("", &ROOT, &mut wanted);
    // Without the key, the file means something else or is refused.
    let counts = |indices: &[usize]| {
        let mut text = String::new();
        YamlEmitter::new(&mut text)
            .dump(&without(&tree, indices))
            .unwrap();
        read(&text).ok().as_ref() != Some(&settings)
    };
    // There is one version, and one of password and password_file in a section.
    let absent = ["version", "redis.password_file", "operator.password"];
    for path in wanted
        .iter()
        .filter(|path| !absent.contains(&path.as_str()))
    {
        let mut occurrences = found.iter().filter(|(_, place)| place == path);
        assert!(
            occurrences.any(|(indices, _)| counts(indices)),
            "{path} is missing in examples/everything.yml, or has its default there"
        );
    }
}
