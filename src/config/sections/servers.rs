//! Servers: addresses and credentials, and the check that all mentions of a server agree.

use std::collections::HashMap;

use super::datacenters::datacenter;
use super::tls::AddressScheme;
use crate::config::cursor::{Cursor, Section};
use crate::config::error::quoted;
use crate::config::inherited::TlsKeys;
use crate::config::table::SERVER;
use crate::config::{
    ConnectionSettings, Credentials, PairSettings, SecretSource, ServerSettings, TlsSettings,
};
use crate::model::{Datacenter, ServerAddr};

/// A server of a pair and its key path.
pub(super) struct PlacedServer {
    pub(super) path: String,
    pub(super) settings: ServerSettings,
}

impl PlacedServer {
    /// The datacenter that this mention names, after its key path.
    fn datacenter(&self) -> Option<(String, Datacenter)> {
        let dc = self.settings.dc.clone()?;
        Some((self.path.clone(), dc))
    }
}

/// How to connect, merged from one level of the configuration and those around it.
#[derive(Clone, Default, PartialEq)]
pub(super) struct ConnectionKeys {
    credentials: CredentialKeys,
    tls: TlsKeys,
}

impl ConnectionKeys {
    /// Reads the keys of `section`; what is missing comes from `outer`.
    pub(super) fn read(section: &Section<'_>, outer: &Self) -> Self {
        Self {
            credentials: CredentialKeys::read(section, &outer.credentials),
            tls: TlsKeys::read(section, &outer.tls),
        }
    }

    /// The login alone, with nothing from outside.
    pub(super) fn login_of(section: &Section<'_>) -> Self {
        Self {
            credentials: CredentialKeys::read(section, &CredentialKeys::default()),
            tls: TlsKeys::default(),
        }
    }

    /// The same without a login.
    pub(super) fn without_login(&self) -> Self {
        Self {
            credentials: CredentialKeys::default(),
            tls: self.tls.clone(),
        }
    }

    /// What is in force for servers that are found later; `section` is where these keys were read.
    pub(super) fn for_discovered(self, section: &Section<'_>) -> ConnectionSettings {
        self.credentials.check(section);
        let tls = self.tls.resolve(section, AddressScheme::None);
        ConnectionSettings {
            credentials: self.credentials.into(),
            tls,
        }
    }

    /// The servers at these addresses, which all have these keys; `section` is where the keys were
    /// read.
    pub(super) fn servers_at(
        self,
        section: &Section<'_>,
        addresses: Vec<(AddressScheme, ServerAddr)>,
    ) -> Vec<ServerSettings> {
        self.credentials.check(section);
        let credentials = Credentials::from(self.credentials);
        let schemes: Vec<_> = addresses.iter().map(|(scheme, _)| *scheme).collect();
        let tls = self.tls.resolve_each(section, &schemes);
        let mut servers = Vec::with_capacity(addresses.len());
        for ((_, addr), tls) in addresses.into_iter().zip(tls) {
            servers.push(ServerSettings {
                addr,
                dc: None,
                credentials: credentials.clone(),
                tls,
            });
        }
        servers
    }
}

/// Credentials, merged in the same way.
#[derive(Clone, Default, PartialEq)]
struct CredentialKeys {
    username: Option<String>,
    password: Option<SecretSource>,
    /// Whether a password is given, even if it was refused.
    has_password: bool,
}

impl CredentialKeys {
    /// Reads `username`, `password` and `password_file`; what is missing comes from `outer`.
    fn read(section: &Section<'_>, outer: &Self) -> Self {
        let username = section.read("username", |cursor| cursor.name().map(str::to_owned));
        let password = section.secret("password");
        Self {
            username: username.or_else(|| outer.username.clone()),
            password: password.or_else(|| outer.password.clone()),
            has_password: outer.has_password
                || section.has("password")
                || section.has("password_file"),
        }
    }

    /// Refuses a username without a password: no AUTH would be sent, so it would have no effect.
    fn check(&self, section: &Section<'_>) {
        if let Self {
            username: Some(username),
            has_password: false,
            ..
        } = self
        {
            let username = quoted(username);
            section.refuse(format!(
                "the username {username} has no password: give password or password_file with it"
            ));
        }
    }
}

impl From<CredentialKeys> for Credentials {
    fn from(keys: CredentialKeys) -> Self {
        Self {
            username: keys.username,
            password: keys.password,
        }
    }
}

/// Reads one server.
pub(super) fn server(cursor: &Cursor<'_>, outer: &ConnectionKeys) -> Option<PlacedServer> {
    let section = cursor.section(&SERVER)?;
    let ConnectionKeys { credentials, tls } = ConnectionKeys::read(&section, outer);
    credentials.check(&section);
    let dc = section.read("dc", datacenter);
    let (scheme, addr) = section.read_required("address", "host:port", address)?;
    let tls = tls.resolve(&section, scheme);
    Some(PlacedServer {
        path: section.path().to_owned(),
        settings: ServerSettings {
            addr,
            dc,
            credentials: credentials.into(),
            tls,
        },
    })
}

/// Reads a server's address, with the scheme that it begins with.
pub(super) fn address(cursor: &Cursor<'_>) -> Option<(AddressScheme, ServerAddr)> {
    let text = cursor.text()?;
    // The path of a socket may contain an @; in any other address it ends credentials.
    if text.contains('@') && !text.starts_with("unix:///") {
        cursor.refuse_hidden("has credentials in it; use username and password_file instead, and write only host:port");
        return None;
    }
    if text.starts_with('/') || text.starts_with("redis+unix:") {
        cursor.refuse("is the path of a Unix socket; write it like unix:///run/redis.sock");
        return None;
    }
    let (scheme, rest) = AddressScheme::split(text);
    let addr =
        ServerAddr::parse(rest).map_err(|error| format!("is not a server's address: {error}"));
    Some((scheme, cursor.checked(addr)?))
}

/// Checks that all mentions of a server agree on its credentials, TLS and datacenter. A datacenter
/// that only some of them name applies to all.
#[derive(Default)]
pub(super) struct ServerMentions(HashMap<ServerAddr, AgreedSettings>);

/// What earlier mentions of a server agree on.
struct AgreedSettings {
    /// The key path of the first of them.
    first: String,
    credentials: Credentials,
    tls: Option<TlsSettings>,
    /// The datacenter, and the key path of the mention that names it.
    dc: Option<(String, Datacenter)>,
}

impl ServerMentions {
    /// Compares `server` with its earlier mentions.
    ///
    /// # Errors
    /// A sentence about the contradiction.
    pub(super) fn add(&mut self, server: &PlacedServer) -> Result<(), String> {
        let addr = &server.settings.addr;
        if let Some(known) = self.0.get_mut(addr) {
            return known.agree(server);
        }
        self.0.insert(addr.clone(), AgreedSettings::new(server));
        Ok(())
    }

    /// Gives every mention of a server the datacenter that any mention names.
    pub(super) fn complete(&self, pair: &mut PairSettings) {
        self.place(&mut pair.master);
        for replica in &mut pair.replicas {
            self.place(replica);
        }
    }

    fn place(&self, server: &mut ServerSettings) {
        if let Some(known) = self.0.get(&server.addr) {
            server.dc = known.dc.as_ref().map(|(_, dc)| dc.clone());
        }
    }
}

impl AgreedSettings {
    fn new(server: &PlacedServer) -> Self {
        let settings = &server.settings;
        Self {
            first: server.path.clone(),
            credentials: settings.credentials.clone(),
            tls: settings.tls.clone(),
            dc: server.datacenter(),
        }
    }

    /// Refuses another mention that contradicts the earlier ones; keeps the datacenter if it is the
    /// first to name one.
    fn agree(&mut self, server: &PlacedServer) -> Result<(), String> {
        let ServerSettings {
            addr,
            credentials,
            tls,
            ..
        } = &server.settings;
        let first = &self.first;
        if self.credentials != *credentials {
            return Err(format!(
                "{addr} is {first} as well, with other credentials; a server is polled once, so \
                 give it the same credentials everywhere"
            ));
        }
        if self.tls != *tls {
            return Err(format!(
                "{addr} is {first} as well, with other TLS settings; a server is polled once, so \
                 give it the same tls everywhere"
            ));
        }
        match (&self.dc, server.datacenter()) {
            (Some((first, known)), Some((_, dc))) if *known != dc => Err(format!(
                "{addr} is in {dc} here and in {known} at {first}; a server has one datacenter"
            )),
            (None, placed) => {
                self.dc = placed;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
