//! The running exporter that commands query: its address, and the credentials for it.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::args::{ExporterArgs, Global};
use crate::config::{Environment, ListenAddress, PemSource, SecretSource, load_web};
use crate::http_client::{ExporterAccess, GetError, HttpClient, HttpTimeouts, ServerTrust};
use crate::model::Secret;

/// Why a query failed with status 401, and what the user has to do.
pub(super) const LOGIN_REQUIRED: &str =
    "it asks for a user and a password: give --exporter.username and --exporter.password-file";

/// A running exporter and how to query it.
pub(super) struct Exporter {
    /// Its base URL, without a slash at the end.
    pub(super) url: String,
    /// Has the login and the trusted certificates.
    pub(super) client: HttpClient,
}

impl Exporter {
    /// The exporter that the command line names.
    ///
    /// # Errors
    /// A sentence for the user.
    pub(super) fn new(
        global: &Global,
        args: &ExporterArgs,
        timeouts: HttpTimeouts,
    ) -> Result<Self, String> {
        let url = exporter_url(global, args)?;
        let access = access(&url, args)?;
        let client = HttpClient::for_exporter_with(timeouts, &access)
            .map_err(|error| format!("The exporter at {url} cannot be asked: {error}."))?;
        Ok(Self { url, client })
    }

    /// The exporter of this command line, over HTTPS. On this machine any certificate of it is
    /// believed, since it is for another name; and the exporter takes its own certificate for that
    /// of a client, where it asks for one, so that the web configuration is all that is needed.
    ///
    /// # Errors
    /// A sentence for the user.
    pub(super) fn over_https(
        global: &Global,
        args: &ExporterArgs,
        timeouts: HttpTimeouts,
    ) -> Result<Self, String> {
        let address = listen_address(global).reachable();
        let url = format!("https://{address}");
        let is_near = address
            .parse::<ListenAddress>()
            .is_ok_and(|address| address.is_loopback());
        let mut access = access(&url, args)?;
        if is_near && args.ca_file.is_none() {
            access.trust = ServerTrust::Anybody;
        }
        if access.identity.is_none() {
            access.identity = own_identity(global);
        }
        let client = HttpClient::for_exporter_with(timeouts, &access)
            .map_err(|error| format!("The exporter at {url} cannot be asked: {error}."))?;
        Ok(Self { url, client })
    }

    /// The exporter's report at `path` of its API.
    ///
    /// # Errors
    /// The end of a sentence: why there is none.
    pub(super) async fn report<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let url = format!("{}{path}", self.url);
        match self.client.get_json(&url).await {
            Ok(report) => Ok(report),
            Err(GetError::Status(401)) => Err(LOGIN_REQUIRED.to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The credentials for the exporter, and the authorities that it is trusted by.
fn access(url: &str, args: &ExporterArgs) -> Result<ExporterAccess, String> {
    Ok(ExporterAccess {
        trust: trust(url, args)?,
        login: login(args)?,
        identity: identity(args)?,
    })
}

fn trust(url: &str, args: &ExporterArgs) -> Result<ServerTrust, String> {
    if args.insecure_skip_verify {
        return Ok(ServerTrust::Anybody);
    }
    if let Some(path) = &args.ca_file {
        let authorities = read(path)?.reveal().as_bytes().to_vec();
        return Ok(ServerTrust::Authorities(authorities));
    }
    let scheme = url.get(..8).unwrap_or_default();
    if scheme.eq_ignore_ascii_case("https://") {
        Ok(ServerTrust::System)
    } else {
        Ok(ServerTrust::Nobody)
    }
}

fn login(args: &ExporterArgs) -> Result<Option<(String, Secret)>, String> {
    let (Some(user), Some(path)) = (&args.username, &args.password_file) else {
        return Ok(None);
    };
    Ok(Some((user.clone(), read(path)?)))
}

/// This client's certificate and its key, as one PEM text.
fn identity(args: &ExporterArgs) -> Result<Option<Secret>, String> {
    let (Some(cert_file), Some(key_file)) = (&args.cert_file, &args.key_file) else {
        return Ok(None);
    };
    let cert = read(cert_file)?;
    let key = read(key_file)?;
    let pem = format!("{}\n{}\n", cert.reveal(), key.reveal());
    Ok(Some(Secret::new(pem)))
}

/// The certificate and key of the web configuration, as one PEM text. `None` where there are none
/// or they cannot be read: the exporter may ask for no certificate, and says so where it does.
fn own_identity(global: &Global) -> Option<Secret> {
    let tls = load_web(global.web_config_file.as_ref()?).ok()?.tls?;
    let cert = pem(&tls.cert)?;
    let key = pem(&tls.key)?;
    let pem = format!("{}\n{}\n", cert.reveal(), key.reveal());
    Some(Secret::new(pem))
}

fn pem(source: &PemSource) -> Option<Secret> {
    match source {
        PemSource::Inline(text) => Some(text.clone()),
        PemSource::File(path) => read(path).ok(),
    }
}

/// A small text file, without the white space around it.
fn read(path: &Path) -> Result<Secret, String> {
    let text = SecretSource::File(path.to_owned()).read();
    text.map_err(|error| format!("A file of the command line cannot be used: {error}."))
}

/// The exporter's base URL, without a slash at the end.
fn exporter_url(global: &Global, args: &ExporterArgs) -> Result<String, String> {
    let Some(url) = &args.url else {
        return Ok(format!("http://{}", listen_address(global).reachable()));
    };
    if has_user(url) {
        return Err(
            "The user and password do not belong in --exporter.url, where every process of this machine can \
                    read them: give --exporter.username and --exporter.password-file."
                .to_owned(),
        );
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// Whether the URL has a user or a password before its host.
fn has_user(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next();
    authority.is_some_and(|authority| authority.contains('@'))
}

/// Where an exporter with this command line listens: the flag overrides the file. Without a file
/// that can be read it is the default.
fn listen_address(global: &Global) -> ListenAddress {
    if let Some(flag) = global.listen_addresses.first() {
        return flag.clone();
    }
    let environment = Environment::from_os(std::env::vars_os());
    crate::config::listen_address(&global.config_file, &environment).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command};
    use clap::Parser as _;

    fn exporter(flags: &[&str]) -> Result<Exporter, String> {
        let cli = Cli::try_parse_from([&["x", "healthcheck"], flags].concat())
            .map_err(|error| error.to_string())?;
        let Some(Command::Healthcheck(args)) = cli.command else {
            panic!("another command")
        };
        let second = std::time::Duration::from_secs(1);
        Exporter::new(
            &cli.global,
            &args,
            HttpTimeouts {
                connect: second,
                total: second,
            },
        )
    }

    #[test]
    fn the_url_follows_the_listen_address_or_the_flag() {
        assert_eq!(
            exporter(&["--web.listen-address", "0.0.0.0:7"])
                .unwrap()
                .url,
            "http://127.0.0.1:7"
        );
        assert_eq!(
            exporter(&["--exporter.url", "https://x:1/"]).unwrap().url,
            "https://x:1"
        );
    }

    #[test]
    fn the_url_follows_the_file_where_no_flag_says_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yml");
        let asked = |text: &str, more: &[&str]| {
            std::fs::write(&path, text).unwrap();
            let file = ["--config.file", path.to_str().unwrap()];
            exporter(&[&file, more].concat()).unwrap().url
        };
        let given = "web: {listen_address: ':7'}\nnonsense: 1\npairs: [{name: '${NOT_SET}'}]";
        assert_eq!(
            asked(given, &[]),
            "http://127.0.0.1:7",
            "whatever else is wrong"
        );
        let flag = ["--web.listen-address", "localhost:8"];
        assert_eq!(asked(given, &flag), "http://localhost:8");
        assert_eq!(asked("pairs: []", &[]), "http://127.0.0.1:10121");
        assert_eq!(asked("pairs: [", &[]), "http://127.0.0.1:10121");
    }

    #[test]
    fn unusable_credentials_are_refused_before_any_query() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "hunter2").unwrap();
        let path = path.to_str().unwrap();
        let cases: &[(&[&str], &str)] = &[
            (
                &["--exporter.url", "http://me:hunter2@x"],
                "The user and password do not belong in --exporter.url",
            ),
            (
                &["--exporter.username", "me"],
                "required arguments were not provided",
            ),
            (
                &["--exporter.cert-file", path],
                "required arguments were not provided",
            ),
            (
                &["--exporter.ca-file", path],
                "cannot be asked: the authorities' file holds no certificate",
            ),
            (
                &["--exporter.ca-file", "/nowhere"],
                "cannot read the secret file /nowhere",
            ),
            (
                &["--exporter.cert-file", path, "--exporter.key-file", path],
                "private key cannot be read",
            ),
            (
                &[
                    "--exporter.ca-file",
                    path,
                    "--exporter.insecure-skip-verify",
                ],
                "cannot be used with",
            ),
        ];
        for (flags, part) in cases {
            let Err(sentence) = exporter(flags) else {
                panic!("{flags:?} is accepted")
            };
            assert!(
                sentence.contains(part) && !sentence.contains("hunter2"),
                "{flags:?}: {sentence}"
            );
        }
    }
}
