//! The web configuration: who may ask this exporter, and over what. The format is that of
//! Prometheus'
//! [exporter-toolkit](https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md),
//! so that a file that other exporters use works here, or is refused with a sentence.
//!
//! Pure: text in, [`WebSettings`] out. Nothing is expanded from the environment, as in the toolkit:
//! a bcrypt hash is full of `$`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::cursor::{Context, Cursor, Section};
use super::error::{ConfigErrors, Problems};
use super::files::FileCollector;
use super::format::{self, Format};
use super::node::{Node, Table, key_path};
use super::schema::Keys;
use super::small_file::{MAX_PEM_BYTES, read_small_file};
use crate::model::Secret;

/// The dearest hash that is accepted, as bcrypt's cost: twice the work for each step. At 16 one
/// check takes some seconds; above it, a check takes longer than a request may.
const MAX_COST: u32 = 16;

/// bcrypt's own smallest cost.
const MIN_COST: u32 = 4;

/// The longest value of a header: a content security policy is the longest and has some hundred
/// bytes.
const MAX_HEADER_BYTES: usize = 4096;

const ROOT: Keys = Keys {
    scalars: &[],
    composites: &[
        "tls_server_config",
        "basic_auth_users",
        "http_server_config",
    ],
    later: &[],
};
const TLS: Keys = Keys {
    scalars: &[
        "cert_file",
        "key_file",
        "client_auth_type",
        "client_ca_file",
        "min_version",
        "max_version",
    ],
    composites: &[],
    later: &[],
};
const HTTP: Keys = Keys {
    scalars: &["http2"],
    composites: &["headers"],
    later: &[],
};

const OWN_SUITES: &str = "not supported: rustls' defaults are used, which are all safe; remove it";
const FILES_ONLY: &str = "not supported: put it into a file and name that";

/// Keys of the toolkit that are refused, each with its reason: to ignore one could leave a door
/// open.
const UNSUPPORTED: &[(&str, &[(&str, &str)])] = &[
    (
        "tls_server_config",
        &[
            ("cipher_suites", OWN_SUITES),
            ("curve_preferences", OWN_SUITES),
            ("prefer_server_cipher_suites", OWN_SUITES),
            ("cert", FILES_ONLY),
            ("key", FILES_ONLY),
            ("client_ca", FILES_ONLY),
            (
                "client_allowed_sans",
                "not supported: let an authority of its own sign those clients' certificates",
            ),
        ],
    ),
    (
        "",
        &[(
            "rate_limit",
            "not supported: connections and the work for each are limited already; remove it",
        )],
    ),
];

/// Who may ask this exporter, and over what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebSettings {
    /// HTTPS; absent means plain HTTP.
    pub tls: Option<WebTlsSettings>,
    /// The users and their passwords' hashes; empty means that everybody may read.
    pub users: BTreeMap<String, PasswordHash>,
    /// Headers of every response.
    pub headers: BTreeMap<WebHeader, String>,
}

/// How HTTPS is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebTlsSettings {
    /// The certificate and what connects it to its authority, as PEM.
    pub cert_file: PathBuf,
    /// The certificate's private key, as PEM.
    pub key_file: PathBuf,
    /// What clients have to show.
    pub client_auth: ClientAuth,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// The newest version that is spoken; not before `min_version`.
    pub max_version: TlsVersion,
}

/// What clients have to show. `RequestClientCert` and `RequireAnyClientCert` are not here: they
/// take a certificate that nobody has verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// `NoClientCert`: nothing.
    None,
    /// `VerifyClientCertIfGiven`: nothing, but a certificate that is shown must be signed by one of
    /// this file.
    IfGiven(PathBuf),
    /// `RequireAndVerifyClientCert`: a certificate that is signed by one of this file.
    Required(PathBuf),
}

/// A version of TLS that is safe to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2, RFC 5246.
    Tls12,
    /// TLS 1.3, RFC 8446.
    Tls13,
}

/// A header that the web configuration may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WebHeader {
    /// `Content-Security-Policy`
    ContentSecurityPolicy,
    /// `X-Frame-Options`: `deny` or `sameorigin`
    XFrameOptions,
    /// `X-Content-Type-Options`: `nosniff`
    XContentTypeOptions,
    /// `X-XSS-Protection`
    XXssProtection,
    /// `Strict-Transport-Security`
    StrictTransportSecurity,
}

/// A bcrypt hash of a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordHash {
    text: Secret,
    cost: u32,
}

impl PasswordHash {
    /// Reads `$2a$`, `$2b$` or `$2y$` with a cost of 4 to 16.
    ///
    /// # Errors
    /// A sentence's end, without anything of the hash.
    pub fn parse(text: &str) -> Result<Self, String> {
        let known = ["$2a$", "$2b$", "$2y$"]
            .iter()
            .any(|version| text.starts_with(version));
        // The parts are private, but this is the reader that a check of a password begins with.
        if !known || text.parse::<bcrypt::HashParts>().is_err() {
            return Err("is not a bcrypt hash, which begins with $2y$ and has 60 characters; make one with \
                        htpasswd -nBC 10 NAME"
                .to_owned());
        }
        let cost = text[4..6]
            .parse()
            .ok()
            .filter(|cost| (MIN_COST..=MAX_COST).contains(cost));
        let cost = cost.ok_or(format!(
            "is a bcrypt hash of another cost than {MIN_COST} to {MAX_COST}"
        ))?;
        Ok(Self {
            text: Secret::new(text),
            cost,
        })
    }

    /// The hash, for the one place that compares a password with it.
    pub fn reveal(&self) -> &str {
        self.text.reveal()
    }

    /// The work of one check, as bcrypt's cost: 4 to 16.
    pub const fn cost(&self) -> u32 {
        self.cost
    }
}

impl WebHeader {
    /// Every header that may be set.
    pub const ALL: [Self; 5] = [
        Self::ContentSecurityPolicy,
        Self::XFrameOptions,
        Self::XContentTypeOptions,
        Self::XXssProtection,
        Self::StrictTransportSecurity,
    ];

    /// The name, as the toolkit spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ContentSecurityPolicy => "Content-Security-Policy",
            Self::XFrameOptions => "X-Frame-Options",
            Self::XContentTypeOptions => "X-Content-Type-Options",
            Self::XXssProtection => "X-XSS-Protection",
            Self::StrictTransportSecurity => "Strict-Transport-Security",
        }
    }

    /// The values that are allowed; empty means any.
    const fn allowed(self) -> &'static [&'static str] {
        match self {
            Self::XFrameOptions => &["deny", "sameorigin"],
            Self::XContentTypeOptions => &["nosniff"],
            Self::ContentSecurityPolicy | Self::XXssProtection | Self::StrictTransportSecurity => {
                &[]
            }
        }
    }
}

/// Reads and checks the web configuration file at `path`. Reads nothing else: certificates and keys
/// are only named.
///
/// # Errors
/// The file cannot be read, or as [`parse_web`].
pub fn load_web(path: &Path) -> Result<WebSettings, ConfigErrors> {
    let problem = |sentence: String| ConfigErrors::one(path.display().to_string(), sentence);
    let bytes = read_small_file(path, MAX_PEM_BYTES).map_err(|error| problem(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| problem("is not UTF-8 text".to_owned()))?;
    parse_web(&text, path.parent().unwrap_or_else(|| Path::new("")))
}

/// Reads the web configuration `text`, which is YAML whatever its file is called; relative paths in
/// it start from `folder`, which is the file's own. Reads nothing else.
///
/// # Errors
/// At a syntax error only that one, otherwise every problem.
pub fn parse_web(text: &str, folder: &Path) -> Result<WebSettings, ConfigErrors> {
    if text.trim().is_empty() {
        return Err(ConfigErrors::one(
            "web configuration",
            "is empty; write {} to switch everything off",
        ));
    }
    let mut root = if says_nothing(text) {
        Table::new()
    } else {
        format::read(text, Format::Yaml)
            .map_err(|sentence| ConfigErrors::one("web configuration", sentence))?
    };
    let problems = Problems::default();
    refuse_unsupported(&mut root, &problems);
    // The server reads these files itself, before the configuration is in force.
    let files = FileCollector::default();
    let context = Context {
        problems: &problems,
        files: &files,
        folder,
    };
    let root = Section::root(&root, context, &ROOT);
    let settings = WebSettings {
        tls: tls(&root),
        users: users(&root),
        headers: headers(&root),
    };
    problems.or(settings)
}

/// A file of nothing but comments configures nothing, which is how people switch everything off. An
/// empty one is more likely one that was to be written.
fn says_nothing(text: &str) -> bool {
    text.lines()
        .map(str::trim)
        .all(|line| line.is_empty() || line.starts_with('#') || line == "---")
}

/// Takes the keys out that are refused with a reason of their own.
fn refuse_unsupported(root: &mut Table, problems: &Problems) {
    for (section, keys) in UNSUPPORTED {
        let table = match (*section, root.get_mut(*section)) {
            ("", _) => &mut *root,
            (_, Some(Node::Table(table))) => table,
            _ => continue,
        };
        for (key, reason) in *keys {
            if table.remove(*key).is_some() {
                problems.add(&key_path(section, key), *reason);
            }
        }
    }
}

fn tls(root: &Section<'_>) -> Option<WebTlsSettings> {
    let given = root.get("tls_server_config")?;
    if given.is_null() || (given.is_mapping() && given.entries().is_empty()) {
        return None;
    }
    let section = given.section(&TLS)?;
    let version = |key, default| {
        section
            .get(key)
            .map_or(Some(default), |cursor| tls_version(&cursor))
    };
    let (min, max) = (
        version("min_version", TlsVersion::Tls12),
        version("max_version", TlsVersion::Tls13),
    );
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        section.refuse_at("tls_server_config.max_version", "is below min_version");
    }
    let cert_file = section
        .required("cert_file", "the file of the certificate (PEM)")
        .and_then(|c| c.file_path());
    let key_file = section
        .required("key_file", "the file of the private key (PEM)")
        .and_then(|c| c.file_path());
    let client_auth = client_auth(&section);
    Some(WebTlsSettings {
        cert_file: cert_file?,
        key_file: key_file?,
        client_auth: client_auth?,
        min_version: min?,
        max_version: max?,
    })
}

fn tls_version(cursor: &Cursor<'_>) -> Option<TlsVersion> {
    cursor.checked(match cursor.text()? {
        "TLS12" => Ok(TlsVersion::Tls12),
        "TLS13" => Ok(TlsVersion::Tls13),
        _ => Err("is not a version that is supported; allowed: TLS12, TLS13"),
    })
}

fn client_auth(section: &Section<'_>) -> Option<ClientAuth> {
    let ca_file = section
        .get("client_ca_file")
        .and_then(|cursor| cursor.file_path());
    let Some(cursor) = section.get("client_auth_type") else {
        return no_client_auth(section);
    };
    let kind = match cursor.text()? {
        "" | "NoClientCert" => return no_client_auth(section),
        "VerifyClientCertIfGiven" => ClientAuth::IfGiven,
        "RequireAndVerifyClientCert" => ClientAuth::Required,
        "RequestClientCert" | "RequireAnyClientCert" | "RequireClientCert" => {
            cursor
                .refuse("is not supported: it takes certificates that nobody verified; use RequireAndVerifyClientCert");
            return None;
        }
        _ => {
            cursor.refuse(
                "is not a policy for clients; allowed: NoClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert",
            );
            return None;
        }
    };
    if !section.has("client_ca_file") {
        let _ = section.required(
            "client_ca_file",
            "the file of the authorities that sign clients' certificates (PEM)",
        );
    }
    ca_file.map(kind)
}

fn no_client_auth(section: &Section<'_>) -> Option<ClientAuth> {
    if section.has("client_ca_file") {
        let sentence = "asks no client for a certificate without client_auth_type: set it to RequireAndVerifyClientCert";
        section.refuse_at("tls_server_config.client_ca_file", sentence);
        return None;
    }
    Some(ClientAuth::None)
}

fn users(root: &Section<'_>) -> BTreeMap<String, PasswordHash> {
    let entries = root
        .get("basic_auth_users")
        .map_or_else(Vec::new, |cursor| cursor.entries());
    let user = |(name, cursor): &(&str, Cursor<'_>)| {
        // RFC 7617, section 2: a user's name ends at the first colon.
        if name.is_empty()
            || name.len() > 128
            || name.contains(':')
            || name.chars().any(char::is_control)
        {
            cursor.note(
                "is not a user's name; allowed: 1 to 128 bytes, no colon, no control characters",
            );
        }
        let hash = PasswordHash::parse(cursor.inline_secret()?);
        hash.map_err(|reason| cursor.refuse_hidden(reason))
            .ok()
            .map(|hash| ((*name).to_owned(), hash))
    };
    entries.iter().filter_map(user).collect()
}

fn headers(root: &Section<'_>) -> BTreeMap<WebHeader, String> {
    let section = root.section("http_server_config", &HTTP);
    // HTTP/1.1 is served either way, which every client of HTTP/2 speaks, too; a file for all
    // exporters may say it.
    let _ = section.get("http2").and_then(|cursor| cursor.flag());
    let entries = section
        .get("headers")
        .map_or_else(Vec::new, |cursor| cursor.entries());
    entries
        .iter()
        .filter_map(|(name, cursor)| header(name, cursor))
        .collect()
}

/// A header and its value; a blank value sets nothing, as in the toolkit.
fn header(name: &str, cursor: &Cursor<'_>) -> Option<(WebHeader, String)> {
    let Some(header) = WebHeader::ALL
        .into_iter()
        .find(|header| header.name() == name)
    else {
        let names = WebHeader::ALL.map(WebHeader::name).join(", ");
        cursor.note(format!("is not a header that can be set; allowed: {names}"));
        return None;
    };
    let value = cursor.text()?.trim();
    if value.is_empty() {
        return None;
    }
    if value.len() > MAX_HEADER_BYTES || !value.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        cursor.refuse(format_args!(
            "is not a header's value; allowed: up to {MAX_HEADER_BYTES} printable ASCII characters"
        ));
        return None;
    }
    let allowed = header.allowed();
    if !allowed.is_empty() && !allowed.contains(&value) {
        cursor.refuse(format_args!(
            "is not allowed here; allowed: {}",
            allowed.join(", ")
        ));
        return None;
    }
    Some((header, value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Of the password `hunter2`.
    const HASH: &str = "$2b$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm";

    fn read(yaml: &str) -> Result<WebSettings, String> {
        parse_web(yaml, Path::new("/etc/exporter")).map_err(|errors| errors.to_string())
    }

    fn tls_of(keys: &str) -> WebTlsSettings {
        let yaml = format!("tls_server_config: {{cert_file: a.crt, key_file: /k/a.key, {keys}}}");
        read(&yaml)
            .unwrap_or_else(|errors| panic!("{errors}"))
            .tls
            .unwrap()
    }

    #[test]
    fn nothing_is_switched_on_by_nothing() {
        for yaml in [
            "# nothing\n---\n",
            "tls_server_config:\nbasic_auth_users:\n",
            "tls_server_config: {}",
            "{}",
        ] {
            assert_eq!(read(yaml), Ok(WebSettings::default()), "{yaml:?}");
        }
    }

    #[test]
    fn tls_starts_from_the_files_folder_with_the_toolkits_defaults() {
        let tls = tls_of("");
        assert_eq!(tls.cert_file, Path::new("/etc/exporter/a.crt"));
        assert_eq!(tls.key_file, Path::new("/k/a.key"));
        assert_eq!(tls.client_auth, ClientAuth::None);
        assert_eq!(
            (tls.min_version, tls.max_version),
            (TlsVersion::Tls12, TlsVersion::Tls13)
        );
        let ca = PathBuf::from("/etc/exporter/ca.pem");
        let cases = [
            ("VerifyClientCertIfGiven", ClientAuth::IfGiven(ca.clone())),
            ("RequireAndVerifyClientCert", ClientAuth::Required(ca)),
        ];
        for (kind, client_auth) in cases {
            assert_eq!(
                tls_of(&format!("client_auth_type: {kind}, client_ca_file: ca.pem")).client_auth,
                client_auth
            );
        }
        assert_eq!(
            tls_of("client_auth_type: NoClientCert, max_version: TLS12").max_version,
            TlsVersion::Tls12
        );
    }

    #[test]
    fn users_and_headers_are_read_and_blank_headers_set_nothing() {
        let yaml = format!(
            "basic_auth_users: {{alice: '{HASH}'}}\nhttp_server_config: {{http2: true, headers: {{X-Frame-Options: deny, \
             Strict-Transport-Security: max-age=60, X-XSS-Protection: ''}}}}"
        );
        let settings = read(&yaml).unwrap();
        let hash = &settings.users["alice"];
        assert_eq!((hash.reveal(), hash.cost()), (HASH, 4));
        let headers: Vec<_> = settings
            .headers
            .iter()
            .map(|(h, v)| (h.name(), v.as_str()))
            .collect();
        assert_eq!(
            headers,
            [
                ("X-Frame-Options", "deny"),
                ("Strict-Transport-Security", "max-age=60")
            ]
        );
        assert!(!format!("{settings:?}").contains(&HASH[7..]));
    }

    #[test]
    fn what_is_refused_says_where_and_what_is_allowed() {
        let tls = |keys: &str| format!("tls_server_config: {{cert_file: a, key_file: b, {keys}}}");
        let header = |line: &str| format!("http_server_config: {{headers: {{{line}}}}}");
        let cases = [
            (
                "tls_server: {}".to_owned(),
                "tls_server: is not a known key; allowed here: tls_server_config, ",
            ),
            (
                tls("certfile: x"),
                "tls_server_config.certfile: is not a known key (did you mean cert_file?); allowed here",
            ),
            (
                tls("cipher_suites: [A]"),
                "tls_server_config.cipher_suites: not supported: rustls' defaults are used",
            ),
            (
                tls("curve_preferences: [A]"),
                "tls_server_config.curve_preferences: not supported: rustls' defaults",
            ),
            (
                tls("prefer_server_cipher_suites: true"),
                "tls_server_config.prefer_server_cipher_suites: not supported: ",
            ),
            (
                tls("client_allowed_sans: [a]"),
                "tls_server_config.client_allowed_sans: not supported: ",
            ),
            (
                tls("key: hunter2"),
                "tls_server_config.key: not supported: put it into a file",
            ),
            (
                "rate_limit: {burst: 1}".to_owned(),
                "rate_limit: not supported: ",
            ),
            (
                "tls_server_config: {cert_file: a}".to_owned(),
                "tls_server_config.key_file: is missing: give the file of",
            ),
            (
                tls("min_version: TLS10"),
                "tls_server_config.min_version: \"TLS10\" is not a version that is supported; allowed: TLS12, TLS13",
            ),
            (
                tls("min_version: TLS13, max_version: TLS12"),
                "tls_server_config.max_version: is below min_version",
            ),
            (
                tls("client_auth_type: RequireAnyClientCert"),
                "tls_server_config.client_auth_type: \"RequireAnyClientCert\" is not supported: it takes certificates that nobody verified",
            ),
            (
                tls("client_auth_type: Maybe"),
                "tls_server_config.client_auth_type: \"Maybe\" is not a policy for clients; allowed: NoClientCert, ",
            ),
            (
                tls("client_auth_type: RequireAndVerifyClientCert"),
                "tls_server_config.client_ca_file: is missing: ",
            ),
            (
                tls("client_ca_file: ca"),
                "tls_server_config.client_ca_file: asks no client for a certificate",
            ),
            (
                "basic_auth_users: {alice: hunter2}".to_owned(),
                "basic_auth_users.alice: the value is not a bcrypt hash",
            ),
            (
                format!(
                    "basic_auth_users: {{alice: '{}'}}",
                    HASH.replace("$04$", "$17$")
                ),
                "basic_auth_users.alice: the value is a bcrypt hash of another cost than 4 to 16",
            ),
            (
                format!("basic_auth_users: {{'a:b': '{HASH}'}}"),
                "basic_auth_users[\"a:b\"]: is not a user's name; allowed: ",
            ),
            (
                "http_server_config: {http2: maybe}".to_owned(),
                "http_server_config.http2: \"maybe\" is not true or false",
            ),
            (
                header("Server: x"),
                "http_server_config.headers.Server: is not a header that can be set; allowed: Content-Security-Policy, ",
            ),
            (
                header("X-Frame-Options: DENY"),
                "http_server_config.headers.X-Frame-Options: \"DENY\" is not allowed here; allowed: deny, sameorigin",
            ),
            (
                header("Content-Security-Policy: \"a\\nb\""),
                "http_server_config.headers.Content-Security-Policy: \"a\\nb\" is not a header's value",
            ),
            (
                " \n".to_owned(),
                "web configuration: is empty; write {} to switch everything off",
            ),
            (
                "[]".to_owned(),
                "web configuration: is not a valid YAML configuration: it must be a mapping of sections",
            ),
        ];
        for (yaml, sentence) in cases {
            let errors = read(&yaml).unwrap_err();
            assert!(
                errors.starts_with(sentence),
                "{yaml}\n{errors}\nwanted: {sentence}"
            );
            assert_eq!(errors.lines().count(), 1, "{yaml}\n{errors}");
            assert!(!errors.contains("hunter2"), "{errors}");
        }
        let policy = |length| {
            format!(
                "http_server_config: {{headers: {{Content-Security-Policy: {}}}}}",
                "x".repeat(length)
            )
        };
        assert!(read(&policy(4096)).is_ok());
        assert!(
            read(&policy(4097))
                .unwrap_err()
                .contains("allowed: up to 4096 printable ASCII characters")
        );
    }

    #[test]
    fn the_documentation_has_every_key_and_an_example_that_reads() {
        let text = include_str!("../../docs/web.md");
        let rows = text
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let documented: BTreeSet<_> = rows
            .map(|(key, _)| key.to_owned())
            .filter(|key| !key.starts_with("--"))
            .collect();
        let of = |path: &str, keys: &Keys| {
            keys.known()
                .map(|key| format!("{path}{key}"))
                .collect::<Vec<_>>()
        };
        let mut keys = of("tls_server_config.", &TLS);
        keys.extend(of("http_server_config.", &HTTP));
        keys.push("basic_auth_users".to_owned());
        assert_eq!(documented, keys.into_iter().collect());
        for (_, keys) in UNSUPPORTED {
            for (key, _) in *keys {
                assert!(text.contains(&format!("`{key}`")), "{key}");
            }
        }
        let (_, example) = text.split_once("```yaml web-config.yml\n").unwrap();
        let settings = read(example.split_once("```").unwrap().0).unwrap();
        assert!(
            settings.tls.is_some() && settings.users.len() == 1 && !settings.headers.is_empty()
        );
    }
}
