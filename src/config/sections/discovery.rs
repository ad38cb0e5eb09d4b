//! `discovery`: files that list pairs, and DNS names of their servers; and the pairs in such a
//! file.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::pairs::{Inherited, labels, name, non_empty, placed};
use super::servers::ConnectionKeys;
use super::{UniqueNames, heartbeat};
use crate::config::cursor::{Context, Cursor, Section};
use crate::config::error::Problems;
use crate::config::files::FileCollector;
use crate::config::format::{self, Format};
use crate::config::node::{Node, Origin, Table, index_path, key_path};
use crate::config::table::DNS;
use crate::config::{
    ConfigErrors, ConnectionSettings, DiscoverySettings, DnsRecord, DnsSettings, Environment,
    FilePair, FilePattern, PairFileReader, ParsePairFile,
};
use crate::model::Span;

/// The most paths and globs of pair files. Each is listed every second.
const MAX_PATTERNS: usize = 64;

/// The most DNS names of an entry. Each is a query of its own.
const MAX_NAMES: usize = 16;

/// The most name servers of an entry.
const MAX_NAMESERVERS: usize = 8;

/// The port where neither the entry nor an SRV record has one.
const DEFAULT_PORT: u16 = 6379;

pub(super) fn read(
    root: &Section<'_>,
    outer: &Inherited,
    environment: &Environment,
    names: &mut UniqueNames,
) -> DiscoverySettings {
    let section = root.section("discovery");
    let files = files(&section);
    let items = section.items("dns");
    let entry = |item: &Cursor<'_>| dns(&item.section(&DNS)?, outer, names);
    let dns = items.iter().filter_map(entry).collect();
    // What is wrong with the login is named once, and only if a pair file may need it.
    let servers = if files.is_empty() {
        ConnectionSettings::default()
    } else {
        outer.connection.clone().for_discovered(&section)
    };
    let parser = PairFileParser {
        outer: outer.clone(),
        environment: environment.clone(),
    };
    DiscoverySettings {
        files,
        dns,
        servers,
        reader: PairFileReader(Arc::new(parser)),
    }
}

fn files(section: &Section<'_>) -> Vec<FilePattern> {
    let items = section.items("files");
    if items.len() > MAX_PATTERNS {
        let count = items.len();
        section.refuse_at(
            "discovery.files",
            format!("it has {count} paths; at most {MAX_PATTERNS} are watched: use globs"),
        );
        return Vec::new();
    }
    items.iter().filter_map(pattern).collect()
}

fn pattern(item: &Cursor<'_>) -> Option<FilePattern> {
    let text = item.text()?;
    let path = item.in_folder(text);
    let name = path.file_name().and_then(|name| name.to_str());
    let folder = path.parent();
    let (Some(name), Some(folder)) = (name, folder) else {
        item.refuse("is no path of a file");
        return None;
    };
    let is_listed = matches!(Format::from_path(&path), Some(Format::Yaml | Format::Json));
    if !is_listed {
        item.refuse("must end in .yml, .yaml or .json, which tells the language of the file");
        return None;
    }
    if folder.to_string_lossy().contains('*') {
        item.refuse("has a * in the name of a folder; only the last part of the path may have one");
        return None;
    }
    Some(FilePattern {
        folder: folder.to_owned(),
        name: name.to_owned(),
    })
}

fn dns(section: &Section<'_>, outer: &Inherited, names: &mut UniqueNames) -> Option<DnsSettings> {
    let connection = ConnectionKeys::read(section, &outer.connection);
    let servers = connection.for_discovered(section);
    let name = name(section, names, "the pair's name");
    let labels = labels(section);
    let alerts = outer.alerts.for_pair(section);
    let heartbeat = heartbeat::read(section, outer.heartbeat);
    let record = section.read("record", record).unwrap_or(DnsRecord::Address);
    let port = section.read("port", |port| port.whole_number(&(1..=65535)));
    let port = port.and_then(|port| u16::try_from(port).ok());
    let interval: Span = section.span_or_default("interval");
    let timeout: Span = section.span_or_default("timeout");
    let hosts = host_names(section);
    let nameservers = nameservers(section);
    Some(DnsSettings {
        name: name?,
        names: hosts,
        record,
        port: port.unwrap_or(DEFAULT_PORT),
        interval,
        timeout,
        nameservers,
        servers,
        labels,
        alerts,
        heartbeat,
    })
}

fn record(cursor: &Cursor<'_>) -> Option<DnsRecord> {
    let record = DnsRecord::parse(cursor.text()?);
    cursor.checked(record.ok_or("is no kind of record; allowed: address, srv"))
}

fn host_names(section: &Section<'_>) -> Vec<String> {
    let meaning = "the DNS names of the servers, such as [\"redis.orders.svc.cluster.local\"]";
    let items = non_empty(section, "names", meaning);
    if items.len() > MAX_NAMES {
        let count = items.len();
        section.refuse(format!(
            "it has {count} names; at most {MAX_NAMES} are resolved"
        ));
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let mut names = Vec::new();
    for item in &items {
        let Some(text) = item.text().filter(|text| is_host_name(text, item)) else {
            continue;
        };
        if seen.insert(text) {
            names.push(text.to_owned());
        } else {
            item.refuse("is given twice among the names of the entry");
        }
    }
    names
}

fn is_host_name(text: &str, item: &Cursor<'_>) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let is_legal = (1..=253).contains(&text.len()) && text.bytes().all(legal);
    if !is_legal {
        item.refuse("is no DNS name; write it without a port, like redis.orders.svc.cluster.local");
    }
    is_legal
}

fn nameservers(section: &Section<'_>) -> Vec<SocketAddr> {
    let items = section.items("nameservers");
    if items.len() > MAX_NAMESERVERS {
        section.refuse(format!("it has more than {MAX_NAMESERVERS} name servers"));
        return Vec::new();
    }
    let mut servers = Vec::new();
    for item in &items {
        let Some(text) = item.text() else { continue };
        let address: Result<SocketAddr, _> = text.parse();
        let problem = "is no address of a name server; write it like 10.0.0.2:53 or [fd00::2]:53";
        servers.extend(item.checked(address.map_err(|_| problem)));
    }
    servers
}

/// Parses pair files, with what their pairs inherit from the configuration.
struct PairFileParser {
    outer: Inherited,
    environment: Environment,
}

impl ParsePairFile for PairFileParser {
    fn parse(
        &self,
        text: &str,
        format: Format,
        folder: &Path,
    ) -> Result<Vec<FilePair>, ConfigErrors> {
        let mut items = format::read_list(text, format)
            .map_err(|sentence| ConfigErrors::one("the file", sentence))?;
        let problems = Problems::default();
        let files = FileCollector::default();
        refuse_plain_passwords(&mut items, &problems);
        self.environment.expand_items(&mut items, &problems);
        let context = Context {
            problems: &problems,
            files: &files,
            folder,
        };
        let entries = Cursor::items_of(&items, context);
        let pairs = placed(&entries, &self.outer, &mut UniqueNames::default());
        let pairs = pairs.into_iter().map(|pair| FilePair {
            place: pair.path,
            settings: pair.settings,
        });
        problems.or(pairs.collect())
    }
}

/// Refuses passwords in plain text: pair files are written by programs and travel through places
/// that keep no secrets.
fn refuse_plain_passwords(items: &mut [Node], problems: &Problems) {
    for (index, item) in items.iter_mut().enumerate() {
        let path = index_path("", index);
        let Node::Table(pair) = item else { continue };
        refuse_plain_password(pair, &path, problems);
        if let Some(Node::Table(master)) = pair.get_mut("master") {
            refuse_plain_password(master, &key_path(&path, "master"), problems);
        }
        if let Some(Node::List(replicas)) = pair.get_mut("replicas") {
            let path = key_path(&path, "replicas");
            for (index, replica) in replicas.iter_mut().enumerate() {
                if let Node::Table(replica) = replica {
                    refuse_plain_password(replica, &index_path(&path, index), problems);
                }
            }
        }
    }
}

fn refuse_plain_password(table: &mut Table, path: &str, problems: &Problems) {
    let Some(password) = table.get_mut("password") else {
        return;
    };
    let names_variable = matches!(
        password,
        Node::Text(text) if matches!(text.origin, Origin::File) && text.value.starts_with("${")
    );
    if !names_variable {
        problems.add(
            &key_path(path, "password"),
            "a pair file contains no password: use password_file, or name an environment variable \
             like ${REDIS_PASSWORD}",
        );
        *password = Node::Refused;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse as parse_config;
    use crate::config::testing::parsed;

    fn parse(text: &str) -> Result<Vec<FilePair>, String> {
        let settings = parsed(
            "redis: {username: monitor, password_file: /run/secret}\n\
             alerts: {lag_seconds: {warning: 7s}}\n\
             discovery: {files: ['pairs.d/*.yml']}",
        );
        let reader = settings.discovery.reader;
        let pairs = reader.parse(text, Format::Yaml, Path::new("/etc/pairs.d"));
        pairs.map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_pair_file_has_the_keys_of_pairs_and_inherits_the_rest() {
        let pairs = parse(
            "- name: orders\n  master: {address: 'a:1', dc: dc1}\n  replicas: [{address: 'b:1'}]\n  \
             labels: {team: payments}\n- {name: carts, master: {address: 'c:1'}, \
             replicas: [{address: 'd:1', password_file: own}]}",
        );
        let pairs = pairs.unwrap();
        let places: Vec<_> = pairs.iter().map(|pair| pair.place.as_str()).collect();
        assert_eq!(places, ["[0]", "[1]"]);
        let orders = &pairs[0].settings;
        assert_eq!(orders.labels["team"], "payments");
        assert_eq!(
            orders.master.credentials.username.as_deref(),
            Some("monitor")
        );
        let warning = orders.alerts.lag_seconds.warning.unwrap();
        assert_eq!(warning.at, Span::from_secs(7));
        let own = pairs[1].settings.replicas[0].credentials.password.as_ref();
        assert!(format!("{own:?}").contains("/etc/pairs.d/own"), "{own:?}");
    }

    #[test]
    fn json_is_read_alike_and_an_empty_list_is_no_mistake() {
        let settings = parsed("discovery: {files: ['a.json']}");
        let reader = settings.discovery.reader;
        let text =
            r#"[{"name": "p", "master": {"address": "a:1"}, "replicas": [{"address": "b:1"}]}]"#;
        let pairs = reader.parse(text, Format::Json, Path::new(""));
        assert_eq!(pairs.unwrap().len(), 1);
        assert_eq!(reader.parse("[]", Format::Json, Path::new("")).unwrap(), []);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let pair = "master: {address: 'a:1'}, replicas: [{address: 'b:1'}]";
        let cases = [
            (String::new(), "is empty"),
            ("pairs: []".to_owned(), "must be a list of pairs"),
            ("- [".to_owned(), "is no valid YAML"),
            ("[a]\n---\n[b]".to_owned(), "several documents"),
            (format!("[{{name: p, {pair}, lables: {{}}}}]"), "[0].lables"),
            (format!("[{{name: p, {pair}}}, {{name: p, {pair}}}]"), "given twice: [0].name"),
            (format!("[{{name: p, {pair}, password: hunter2}}]"), "[0].password: a pair file"),
            ("[{name: p, master: {address: 'a:1', password: hunter2}, replicas: [{address: 'b:1', \
              password: 5}]}]".to_owned(), "[0].replicas[0].password"),
            (format!("[{{name: p, {pair}, password: '${{UNSET}}'}}]"), "UNSET is not set"),
        ];
        for (text, expected) in cases {
            let errors = parse(&text).unwrap_err();
            assert!(errors.contains(expected), "{text}: {errors}");
            assert!(!errors.contains("hunter2"), "{errors}");
        }
    }

    #[test]
    fn patterns_are_files_or_globs_in_the_last_part() {
        let settings = parsed("discovery: {files: ['pairs.d/*.yml', /etc/x.json]}");
        let [glob, file] = settings.discovery.files.as_slice() else {
            panic!("{:?}", settings.discovery.files);
        };
        assert!(glob.is_glob() && !file.is_glob());
        assert!(glob.matches("a.yml") && !glob.matches("a.json") && !glob.matches(".a.yml"));
        assert_eq!(file.path(), Path::new("/etc/x.json"));
    }

    #[test]
    fn discovery_has_limits() {
        let many = |count: usize, text: &str| {
            let items: Vec<_> = (0..count)
                .map(|n| text.replace('#', &n.to_string()))
                .collect();
            items.join(", ")
        };
        let dns = |names: &str, more: &str| {
            format!("discovery: {{dns: [{{name: d, names: [{names}]{more}}}]}}")
        };
        let cases = [
            (
                format!(
                    "discovery: {{files: [{}]}}",
                    many(MAX_PATTERNS + 1, "/#.yml")
                ),
                "discovery.files: it has 65 paths",
            ),
            (dns(&many(MAX_NAMES + 1, "n#"), ""), "it has 17 names"),
            (
                dns(
                    "n",
                    &format!(
                        ", nameservers: [{}]",
                        many(MAX_NAMESERVERS + 1, "'10.0.0.#:53'")
                    ),
                ),
                "more than 8 name servers",
            ),
            (dns("n, n", ""), "is given twice among the names"),
            (dns("'redis:6379'", ""), "is no DNS name"),
            (dns("n", ", record: txt"), "is no kind of record"),
            (
                dns("n", ", nameservers: [dns]"),
                "is no address of a name server",
            ),
            (
                "discovery: {files: ['a.toml']}".to_owned(),
                "must end in .yml",
            ),
            (
                "discovery: {files: ['*/a.yml']}".to_owned(),
                "has a * in the name of a folder",
            ),
        ];
        for (text, expected) in cases {
            let environment = Environment::default();
            let result = parse_config(&text, Format::Yaml, Path::new("/"), &environment);
            let errors = result.unwrap_err().to_string();
            assert!(errors.contains(expected), "{expected}: {errors}");
        }
    }
}
