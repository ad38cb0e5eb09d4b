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
    /// The scheme of `text`, and what is left for `ServerAddr::parse`.
    pub(super) fn split(text: &str) -> (Self, &str) {
        if text.starts_with("unix://") {
            return (Self::Unix, text);
        }
        match text.split_once("://") {
            // A second scheme behind the first must not be read as another address.
            Some(("rediss", rest)) if !rest.contains("://") => (Self::Rediss, rest),
            Some(("redis", rest)) if !rest.contains("://") => (Self::Redis, rest),
            _ => (Self::None, text),
        }
    }
}

impl TlsKeys {
    /// Reads the `tls` of `section`; missing keys come from `outer`. A `tls` that is given turns
    /// TLS on, unless it has `enabled: false`.
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
        let has_own = server.has("tls");
        match (scheme, self.enabled, has_own) {
            (AddressScheme::Redis, true, _) => server.refuse(
                "its address says redis://, which is plain text, but tls is on: write host:port or \
                 rediss://host:port",
            ),
            (AddressScheme::Rediss, false, true) => server.refuse(
                "its address says rediss://, which is TLS, but its tls is not enabled: remove one \
                 of the two",
            ),
            (AddressScheme::Unix, true, true) => {
                server.refuse("it is a Unix socket, on which Redis speaks no TLS: remove its tls");
            }
            _ => {}
        }
        if self.is_on(scheme) {
            Some(self.settings(server))
        } else {
            None
        }
    }

    /// Whether a server with this scheme in its address is connected to by TLS.
    const fn is_on(&self, scheme: AddressScheme) -> bool {
        match scheme {
            AddressScheme::Unix => false,
            AddressScheme::Rediss => true,
            AddressScheme::None | AddressScheme::Redis => self.enabled,
        }
    }

    /// The settings of servers that are only addresses in a list, `self` being read from the
    /// section `level` around it.
    pub(super) fn resolve_each(
        self,
        level: &Section<'_>,
        schemes: &[AddressScheme],
    ) -> Vec<Option<TlsSettings>> {
        if self.enabled && schemes.contains(&AddressScheme::Redis) {
            level.refuse(
                "an address says redis://, which is plain text, but tls is on: write host:port or \
                 rediss://host:port",
            );
        }
        let on: Vec<bool> = schemes.iter().map(|scheme| self.is_on(*scheme)).collect();
        if !on.contains(&true) {
            return vec![None; on.len()];
        }
        let settings = self.settings(level);
        let each = |is_on| if is_on { Some(settings.clone()) } else { None };
        on.into_iter().map(each).collect()
    }

    fn settings(self, server: &Section<'_>) -> TlsSettings {
        let client_certificate = match (self.cert_file, self.key_file) {
            (Some(cert_file), Some(key_file)) => Some(ClientCertificate {
                cert_file,
                key_file,
            }),
            (None, None) => None,
            (Some(_), None) => {
                server.refuse_as_incomplete(incomplete("cert_file", "key_file"));
                None
            }
            (None, Some(_)) => {
                server.refuse_as_incomplete(incomplete("key_file", "cert_file"));
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

fn incomplete(given: &str, missing: &str) -> String {
    format!("tls has a {given} but no {missing}: they go together")
}
