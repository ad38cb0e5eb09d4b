//! Who is who: servers, datacenters, pairs.

use std::fmt;
use std::sync::Arc;

/// Where a Redis server listens.
///
/// Cheap to clone. Equality is by spelling: `10.0.0.1:6379` and `redis.example.com:6379` are two addresses, even when
/// they lead to one server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerAddr {
    host: Arc<str>,
    port: u16,
}

/// Why a text is not a server's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddrError {
    /// There is no `:port` at the end.
    #[error("it has no port: write host:port, such as redis.example.com:6379 or [2001:db8::1]:6379")]
    NoPort,
    /// What stands behind the last colon is not a port.
    #[error("its port is not a number from 1 to 65535")]
    BadPort,
    /// The host is empty, too long or holds characters that no host name or address has.
    #[error("its host is empty, longer than 253 characters, or holds characters that no host name has")]
    BadHost,
}

impl ServerAddr {
    /// The address of `host` (a name, an IPv4 or an IPv6 address without brackets) and `port`.
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Reads `host:port` or `[v6]:port`, with or without `redis://` before it.
    pub fn parse(text: &str) -> Result<Self, AddrError> {
        let text = text.strip_prefix("redis://").unwrap_or(text);
        let (host, port) = text.rsplit_once(':').ok_or(AddrError::NoPort)?;
        let port: u16 = port.parse().ok().filter(|p| *p > 0).ok_or(AddrError::BadPort)?;
        let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().map(|_| v6).map_err(|_| AddrError::BadHost)?,
            None if host.contains(':') => return Err(AddrError::NoPort),
            None => host,
        };
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
        if host.is_empty() || host.len() > 253 || !host.bytes().all(legal) {
            return Err(AddrError::BadHost);
        }
        Ok(Self::new(host, port))
    }

    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for ServerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A datacenter's name, as the configuration gives it; `unknown` when nothing says where a server stands.
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

/// One master/replica pair: the name of its entry and the replica that it means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PairKey {
    /// The entry's name.
    pub name: PairName,
    /// The replica's address.
    pub replica: ServerAddr,
}

impl fmt::Display for PairKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.replica)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_and_print_alike() {
        for text in ["redis.example.com:6379", "10.0.0.1:1", "[2001:db8::1]:65535"] {
            assert_eq!(ServerAddr::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(ServerAddr::parse("redis://a:6379").unwrap().to_string(), "a:6379");
    }

    #[test]
    fn a_bad_address_says_what_is_wrong() {
        let cases = [
            ("redis.example.com", AddrError::NoPort),
            ("2001:db8::1", AddrError::NoPort),
            ("a:0", AddrError::BadPort),
            ("a:70000", AddrError::BadPort),
            (":6379", AddrError::BadHost),
            ("a b:6379", AddrError::BadHost),
            ("[zz]:6379", AddrError::BadHost),
        ];
        for (text, error) in cases {
            assert_eq!(ServerAddr::parse(text), Err(error), "{text}");
        }
    }
}
