//! Servers: addresses, credentials, and that one server is described in one way.

use std::collections::HashMap;

use super::datacenters::datacenter;
use crate::config::cursor::{Cursor, Section};
use crate::config::error::quoted;
use crate::config::schema::SERVER;
use crate::config::{Credentials, PairSettings, SecretSource, ServerSettings};
use crate::model::{Datacenter, ServerAddr};

/// A server of a pair and the key path of its address.
pub(super) struct PlacedServer {
    pub(super) path: String,
    pub(super) settings: ServerSettings,
}

/// Credentials as far as one level of the configuration gives them.
#[derive(Clone, Default)]
pub(super) struct CredentialKeys {
    username: Option<String>,
    password: Option<SecretSource>,
    /// Whether a password is given at all, although perhaps a refused one.
    has_password: bool,
}

impl CredentialKeys {
    /// Reads `username`, `password` and `password_file`; what is missing comes from `outer`.
    pub(super) fn read(section: &Section<'_>, outer: &Self) -> Self {
        let username = section.get("username").and_then(|cursor| cursor.name().map(ToOwned::to_owned));
        let password = section.secret("password", |_| Ok(()));
        Self {
            username: username.or_else(|| outer.username.clone()),
            password: password.or_else(|| outer.password.clone()),
            has_password: outer.has_password || section.has("password") || section.has("password_file"),
        }
    }

    /// Notes a username that no password goes with: without a password no AUTH is sent, and the name has no effect.
    fn check(&self, section: &Section<'_>) {
        if let Self { username: Some(username), has_password: false, .. } = self {
            let username = quoted(username);
            section.refuse(format!("the username {username} has no password: give password or password_file with it"));
        }
    }
}

impl From<CredentialKeys> for Credentials {
    fn from(keys: CredentialKeys) -> Self {
        Self { username: keys.username, password: keys.password }
    }
}

/// Reads one server.
pub(super) fn server(cursor: &Cursor<'_>, outer: &CredentialKeys) -> Option<PlacedServer> {
    let section = cursor.section(&SERVER)?;
    let credentials = CredentialKeys::read(&section, outer);
    credentials.check(&section);
    let dc = section.get("dc").and_then(|cursor| datacenter(&cursor));
    let addr = address(&section.required("address", "host:port")?)?;
    Some(PlacedServer {
        path: section.path().to_owned(),
        settings: ServerSettings { addr, dc, credentials: credentials.into() },
    })
}

fn address(cursor: &Cursor<'_>) -> Option<ServerAddr> {
    let text = cursor.text()?;
    if text.contains('@') {
        cursor.refuse_hidden("has credentials in it; use username and password_file instead, and write only host:port");
        return None;
    }
    if text.starts_with("rediss://") {
        cursor.refuse("asks for TLS, which is not in this version; write host:port");
        return None;
    }
    if text.starts_with('/') || text.starts_with("unix:") || text.starts_with("redis+unix:") {
        cursor.refuse("is a Unix socket, which is not in this version; write host:port");
        return None;
    }
    cursor.checked(ServerAddr::parse(text).map_err(|error| format!("is not a server's address: {error}")))
}

/// Checks that every mention of a server gives it the same credentials and datacenter; a datacenter that only some
/// mentions give goes for all.
#[derive(Default)]
pub(super) struct Fleet(HashMap<ServerAddr, Known>);

/// What earlier mentions say of a server.
struct Known {
    first: String,
    credentials: Credentials,
    dc: Option<(String, Datacenter)>,
}

impl Fleet {
    /// Compares `server` with its earlier mentions; an error is a sentence.
    pub(super) fn admit(&mut self, server: &PlacedServer) -> Result<(), String> {
        let PlacedServer { path, settings: ServerSettings { addr, dc, credentials } } = server;
        let placed = dc.clone().map(|dc| (path.clone(), dc));
        let Some(known) = self.0.get_mut(addr) else {
            let known = Known { first: path.clone(), credentials: credentials.clone(), dc: placed };
            self.0.insert(addr.clone(), known);
            return Ok(());
        };
        if known.credentials != *credentials {
            let first = &known.first;
            return Err(format!(
                "{addr} is {first} as well, with other credentials; a server is polled once, so give it the same \
                 credentials everywhere"
            ));
        }
        match (&known.dc, placed) {
            (Some((first, known)), Some((_, dc))) if *known != dc => {
                Err(format!("{addr} stands in {dc} here and in {known} at {first}; a server has one datacenter"))
            }
            (None, Some(placed)) => {
                known.dc = Some(placed);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Gives every mention of a server the datacenter that any mention names.
    pub(super) fn complete(&self, pair: &mut PairSettings) {
        for server in std::iter::once(&mut pair.master).chain(&mut pair.replicas) {
            let dc = self.0.get(&server.addr).and_then(|known| known.dc.as_ref());
            server.dc = dc.map(|(_, dc)| dc.clone());
        }
    }
}
