//! `tls` of `redis`, pairs and servers: each key comes from the nearest level that has it.

use crate::config::cursor::Section;
use crate::config::fields;
use crate::config::inherited::TlsKeys;
use crate::config::{ClientCertificate, TlsSettings};

/// The scheme of a server's address, which may decide about TLS.
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
    /// Reads the `tls` of `section`; missing keys come from `outer`. A `tls` that is given turns TLS
    /// on, unless it has `enabled: false`.
    pub(super) fn read(section: &Section<'_>, outer: &Self) -> Self {
        if !section.has("tls") {
            return outer.clone();
        }
        let mut keys = outer.clone();
        keys.enabled = true;
        fields::read_over(&section.section("tls"), keys)
    }

    /// The settings of a server, `self` being read from its own section `server`.
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

    /// The settings of servers that are only addresses in a list, `self` being read from the section
    /// `level` around it.
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
