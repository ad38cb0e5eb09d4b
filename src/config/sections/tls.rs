//! `tls` on `redis`, pairs and servers: key by key the nearest one counts.

use std::path::PathBuf;

use crate::config::cursor::{Cursor, Section};
use crate::config::files::FileKind;
use crate::config::schema::TLS;
use crate::config::{ClientCertificate, TlsSettings};
use crate::model::ServerAddr;

/// TLS as far as one level of the configuration and those around it say.
#[derive(Clone, Default)]
pub(super) struct TlsKeys {
    enabled: bool,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    server_name: Option<String>,
    insecure_skip_verify: bool,
}

/// What the spelling of a server's address says of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressScheme {
    /// `host:port`: nothing.
    None,
    /// `redis://host:port`: plain text.
    Redis,
    /// `rediss://host:port`: TLS.
    Rediss,
    /// `unix:///path`: a file of this machine, on which Redis speaks no TLS.
    Unix,
}

impl AddressScheme {
    /// The scheme of `text`, and what is left for [`ServerAddr::parse`].
    pub(super) fn split(text: &str) -> (Self, &str) {
        if text.starts_with("unix://") {
            return (Self::Unix, text);
        }
        match text.split_once("://") {
            // A second scheme behind the first must not be read as an address of its own.
            Some(("rediss", rest)) if !rest.contains("://") => (Self::Rediss, rest),
            Some(("redis", rest)) if !rest.contains("://") => (Self::Redis, rest),
            _ => (Self::None, text),
        }
    }
}

impl TlsKeys {
    /// Reads the `tls` of `section`; what is missing comes from `outer`. A `tls` that is there
    /// turns TLS on, unless it says `enabled: false`.
    pub(super) fn read(section: &Section<'_>, outer: &Self) -> Self {
        if !section.has("tls") {
            return outer.clone();
        }
        let tls = section.section("tls", &TLS);
        // What is refused counts as given, so that it is one problem only.
        let path = |key: &str| {
            tls.get(key)
                .map(|cursor| cursor.named_file(FileKind::Pem).unwrap_or_default())
        };
        let flag = |key: &str| tls.get(key).and_then(|cursor| cursor.flag());
        Self {
            enabled: flag("enabled").unwrap_or(true),
            ca_file: path("ca_file").or_else(|| outer.ca_file.clone()),
            cert_file: path("cert_file").or_else(|| outer.cert_file.clone()),
            key_file: path("key_file").or_else(|| outer.key_file.clone()),
            server_name: server_name(&tls).or_else(|| outer.server_name.clone()),
            insecure_skip_verify: flag("insecure_skip_verify")
                .unwrap_or(outer.insecure_skip_verify),
        }
    }

    /// What is in force for a server whose own section is `server`, `self` being read from it.
    pub(super) fn resolve(
        self,
        server: &Section<'_>,
        scheme: AddressScheme,
    ) -> Option<TlsSettings> {
        let own = server.has("tls");
        match (scheme, self.enabled, own) {
            (AddressScheme::Redis, true, _) => {
                server.refuse("its address says redis://, which is plain text, but tls is on: write host:port or rediss://host:port");
            }
            (AddressScheme::Rediss, false, true) => {
                server.refuse(
                    "its address says rediss://, which is TLS, but its tls is not enabled: remove one of the two",
                );
            }
            (AddressScheme::Unix, true, true) => {
                server.refuse("it is a Unix socket, on which Redis speaks no TLS: remove its tls");
            }
            _ => {}
        }
        let on = match scheme {
            AddressScheme::Unix => false,
            AddressScheme::Rediss => true,
            AddressScheme::None | AddressScheme::Redis => self.enabled,
        };
        on.then(|| self.settings(server))
    }

    /// What is in force for servers that are only addresses of a list, `self` being read from
    /// `level` around them.
    pub(super) fn resolve_each(
        self,
        level: &Section<'_>,
        schemes: &[AddressScheme],
    ) -> Vec<Option<TlsSettings>> {
        if self.enabled && schemes.contains(&AddressScheme::Redis) {
            level.refuse(
                "an address says redis://, which is plain text, but tls is on: write host:port or rediss://host:port",
            );
        }
        let on = |scheme: &AddressScheme| match scheme {
            AddressScheme::Unix => false,
            AddressScheme::Rediss => true,
            AddressScheme::None | AddressScheme::Redis => self.enabled,
        };
        let on: Vec<bool> = schemes.iter().map(on).collect();
        let settings = on.contains(&true).then(|| self.settings(level));
        on.into_iter()
            .map(|on| settings.clone().filter(|_| on))
            .collect()
    }

    fn settings(self, server: &Section<'_>) -> TlsSettings {
        let client_certificate = match (self.cert_file, self.key_file) {
            (Some(cert_file), Some(key_file)) => Some(ClientCertificate {
                cert_file,
                key_file,
            }),
            (None, None) => None,
            (cert, _) => {
                let (given, missing) = if cert.is_some() {
                    ("cert_file", "key_file")
                } else {
                    ("key_file", "cert_file")
                };
                server.refuse_as_incomplete(format!(
                    "tls has a {given} but no {missing}: they go together"
                ));
                None
            }
        };
        TlsSettings {
            ca_file: self.ca_file,
            client_certificate,
            server_name: self.server_name,
            insecure_skip_verify: self.insecure_skip_verify,
        }
    }
}

fn server_name(tls: &Section<'_>) -> Option<String> {
    let cursor: Cursor<'_> = tls.get("server_name")?;
    let text = cursor.text()?;
    // A name is what a host of an address may be; the port is only there to ask.
    let address = if text.contains(':') {
        format!("[{text}]:1")
    } else {
        format!("{text}:1")
    };
    if ServerAddr::parse(&address).is_err() {
        cursor.refuse(
            "is not a host name or an IP address; write it like redis.example.com, without a port",
        );
        return None;
    }
    Some(text.to_owned())
}
