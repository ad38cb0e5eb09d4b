//! The identities of servers, datacenters and pairs.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::Path;
use std::sync::Arc;

use super::text::shell_quote;

/// Where a Redis server listens: a TCP port or a Unix socket.
///
/// Cheap to clone. Equality is by spelling: `10.0.0.1:6379` and `redis.example.com:6379` are two
/// addresses, even when they lead to one server. Whether the server speaks TLS there is not part of
/// its address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerAddr(Place);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Place {
    Tcp { host: Arc<str>, port: u16 },
    Unix(Arc<str>),
}

/// The longest path of a Unix socket: `sun_path` of Linux has 108 bytes and ends with a zero
/// (unix(7)).
const MAX_SOCKET_PATH: usize = 107;

/// What the address of a Unix socket begins with.
const UNIX: &str = "unix://";

/// Why a text is not a server's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddrError {
    /// There is no `:port` at the end.
    #[error(
        "it has no port: write host:port, such as redis.example.com:6379 or [2001:db8::1]:6379"
    )]
    NoPort,
    /// The text after the last colon is not a port.
    #[error("its port is not a number from 1 to 65535")]
    BadPort,
    /// The host is empty, too long or holds characters that no host name or address has.
    #[error(
        "its host is empty, longer than 253 characters, or holds characters that no host name has"
    )]
    BadHost,
    /// The path of a Unix socket is relative, too long or holds control characters.
    #[error(
        "its path is not absolute, longer than 107 bytes, or holds control characters: write unix:///run/redis.sock"
    )]
    BadPath,
}

impl ServerAddr {
    /// The address of `host` (a name, an IPv4 or an IPv6 address without brackets) and `port`.
    pub fn new(host: &str, port: u16) -> Self {
        Self(Place::Tcp {
            host: host.into(),
            port,
        })
    }

    /// Reads `host:port` or `[v6]:port`, with or without `redis://` before it, or `unix:///path`.
    pub fn parse(text: &str) -> Result<Self, AddrError> {
        match text.strip_prefix(UNIX) {
            Some(path) => parse_unix(path),
            None => parse_tcp(text.strip_prefix("redis://").unwrap_or(text)),
        }
    }

    /// The host, without brackets; `None` for a Unix socket.
    pub fn host(&self) -> Option<&str> {
        self.tcp().map(|(host, _)| host)
    }

    /// The TCP port; `None` for a Unix socket.
    pub fn port(&self) -> Option<u16> {
        self.tcp().map(|(_, port)| port)
    }

    /// Host (without brackets) and TCP port; `None` for a Unix socket.
    pub fn tcp(&self) -> Option<(&str, u16)> {
        match &self.0 {
            Place::Tcp { host, port } => Some((host, *port)),
            Place::Unix(_) => None,
        }
    }

    /// The absolute path of a Unix socket; `None` for a TCP port.
    pub fn unix_path(&self) -> Option<&Path> {
        match &self.0 {
            Place::Tcp { .. } => None,
            Place::Unix(path) => Some(Path::new(&**path)),
        }
    }

    /// The command line that asks this server, for a person to complete: `redis-cli -h 10.0.0.1 -p
    /// 6379`.
    pub fn redis_cli(&self) -> String {
        match &self.0 {
            Place::Tcp { host, port } => format!("redis-cli -h {} -p {port}", shell_quote(host)),
            Place::Unix(path) => format!("redis-cli -s {}", shell_quote(path)),
        }
    }
}

fn parse_unix(path: &str) -> Result<ServerAddr, AddrError> {
    if !path.starts_with('/') || path.len() > MAX_SOCKET_PATH || path.chars().any(char::is_control)
    {
        return Err(AddrError::BadPath);
    }
    Ok(ServerAddr(Place::Unix(path.into())))
}

fn parse_tcp(text: &str) -> Result<ServerAddr, AddrError> {
    let (host, port) = text.rsplit_once(':').ok_or(AddrError::NoPort)?;
    let port = match port.parse::<u16>() {
        Ok(port) if port > 0 => port,
        _ => return Err(AddrError::BadPort),
    };
    let host = without_brackets(host)?;
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if host.is_empty() || host.len() > 253 || !host.bytes().all(is_legal) {
        return Err(AddrError::BadHost);
    }
    Ok(ServerAddr::new(host, port))
}

/// The host alone. An IPv6 address needs brackets; without them its last part looks like a port.
fn without_brackets(host: &str) -> Result<&str, AddrError> {
    let in_brackets = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match in_brackets {
        Some(v6) if v6.parse::<Ipv6Addr>().is_ok() => Ok(v6),
        Some(_) => Err(AddrError::BadHost),
        None if host.contains(':') => Err(AddrError::NoPort),
        None => Ok(host),
    }
}

impl fmt::Display for ServerAddr {
    /// As [`ServerAddr::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Place::Tcp { host, port } => write!(f, "{host}:{port}"),
            Place::Unix(path) => write!(f, "{UNIX}{path}"),
        }
    }
}

/// A datacenter's name, as the configuration gives it; `unknown` when no rule places a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Datacenter(Arc<str>);

impl Datacenter {
    /// The datacenter called `name`.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The datacenter of a server that no rule places.
    pub fn unknown() -> Self {
        Self::new("unknown")
    }

    /// Whether no rule places the server.
    pub fn is_unknown(&self) -> bool {
        &*self.0 == "unknown"
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Datacenter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a `pairs:` entry. An entry with three replicas is three pairs of one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PairName(Arc<str>);

impl PairName {
    /// The pair called `name`.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PairName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identifies a master among those of one discovery source for as long as it exists, even if its
/// name or its address changes: the shard ID of a Redis Cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(Arc<str>);

impl ShardId {
    /// The shard with this ID.
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The ID.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One master/replica pair: the entry's name, the master's shard and the replica's address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PairKey {
    /// The entry's name: the value of the label `pair`.
    pub name: PairName,
    /// The master's shard, if the source of the pair has shards. Configured pairs and pairs that
    /// Sentinels report have none: their name identifies the master.
    pub shard: Option<ShardId>,
    /// The replica's address.
    pub replica: ServerAddr,
}

/// Separates the name from the shard in saved keys. No name contains control characters.
const SHARD_SEPARATOR: char = '\u{1f}';

impl PairKey {
    /// The key of a pair whose master is identified by the entry's name alone.
    pub fn new(name: PairName, replica: ServerAddr) -> Self {
        Self {
            name,
            shard: None,
            replica,
        }
    }

    /// Reads what [`PairKey::saved_name`] returned.
    pub fn from_saved(saved_name: &str, replica: ServerAddr) -> Self {
        let (name, shard) = match saved_name.split_once(SHARD_SEPARATOR) {
            Some((name, shard)) => (name, Some(ShardId::new(shard))),
            None => (saved_name, None),
        };
        Self {
            name: PairName::new(name),
            shard,
            replica,
        }
    }

    /// The same for every name that the pair's shard may have; the key itself of a pair whose name
    /// identifies its master.
    #[must_use]
    pub fn without_changing_name(&self) -> Self {
        let mut key = self.clone();
        if key.shard.is_some() {
            key.name = PairName::new("");
        }
        key
    }

    /// Name and shard as one text for the state file: the name alone if there is no shard.
    pub fn saved_name(&self) -> String {
        match &self.shard {
            Some(shard) => format!("{}{SHARD_SEPARATOR}{}", self.name, shard.as_str()),
            None => self.name.to_string(),
        }
    }
}

impl fmt::Display for PairKey {
    /// Name and replica; for people, the name identifies the master.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.replica)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_reaches_every_kind_of_address() {
        for (addr, line) in [
            ("10.0.0.1:6379", "redis-cli -h 10.0.0.1 -p 6379"),
            ("[2001:db8::1]:6380", "redis-cli -h 2001:db8::1 -p 6380"),
            ("unix:///run/a b.sock", "redis-cli -s '/run/a b.sock'"),
        ] {
            assert_eq!(ServerAddr::parse(addr).unwrap().redis_cli(), line);
        }
    }

    #[test]
    fn a_parsed_address_prints_as_it_was_written() {
        for text in [
            "redis.example.com:6379",
            "10.0.0.1:1",
            "[2001:db8::1]:65535",
            "unix:///run/redis/a b.sock",
        ] {
            assert_eq!(ServerAddr::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            ServerAddr::parse("redis://a:6379").unwrap().to_string(),
            "a:6379"
        );
    }

    #[test]
    fn a_saved_key_is_the_name_alone_without_a_shard() {
        let replica = ServerAddr::new("r", 1);
        let plain = PairKey::new(PairName::new("orders/m"), replica.clone());
        assert_eq!(plain.saved_name(), "orders/m");
        let sharded = PairKey {
            shard: Some(ShardId::new("07c37d")),
            ..plain.clone()
        };
        assert_ne!(plain, sharded);
        for key in [plain, sharded] {
            assert_eq!(PairKey::from_saved(&key.saved_name(), replica.clone()), key);
            assert_eq!(key.to_string(), "orders/m/r:1");
        }
    }

    #[test]
    fn an_address_is_a_port_or_a_path() {
        let tcp = ServerAddr::parse("[::1]:6379").unwrap();
        assert_eq!(
            (tcp.tcp(), tcp.host(), tcp.port()),
            (Some(("::1", 6379)), Some("::1"), Some(6379))
        );
        assert_eq!(tcp.unix_path(), None);
        let unix = ServerAddr::parse("unix:///run/redis.sock").unwrap();
        assert_eq!(
            (unix.tcp(), unix.unix_path()),
            (None, Some(Path::new("/run/redis.sock")))
        );
    }

    #[test]
    fn the_error_about_an_address_names_what_is_wrong() {
        let cases = [
            ("redis.example.com", AddrError::NoPort),
            ("2001:db8::1", AddrError::NoPort),
            ("a:0", AddrError::BadPort),
            ("a:70000", AddrError::BadPort),
            (":6379", AddrError::BadHost),
            ("a b:6379", AddrError::BadHost),
            ("[zz]:6379", AddrError::BadHost),
            ("unix://redis.sock", AddrError::BadPath),
            ("unix://", AddrError::BadPath),
            ("unix:///a\n", AddrError::BadPath),
            (
                concat!(
                    "unix:///12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                    "123456789012345678901234567"
                ),
                AddrError::BadPath,
            ),
            ("unix:/run/redis.sock", AddrError::BadPort),
        ];
        for (text, error) in cases {
            assert_eq!(ServerAddr::parse(text), Err(error), "{text}");
        }
    }
}
