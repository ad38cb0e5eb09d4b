//! The address to listen on, in the syntax of Prometheus programs.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The default port.
const DEFAULT_PORT: u16 = 10121;

/// The maximum length of a host name in DNS.
const MAX_HOST_CHARS: usize = 253;

/// The end of a sentence that begins with the refused value.
const ALLOWED: &str = "is not an address to listen on; write HOST:PORT, such as 0.0.0.0:10121, [::]:10121 or \
     localhost:10121, or :10121 for every IPv4 address of this machine";

/// An address to listen on: `0.0.0.0:10121`, `[::]:10121`, `localhost:10121`, `:10121`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

impl ListenAddress {
    /// The port; 0 takes any free one.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The address for a client on this machine, as `HOST:PORT`: loopback in place of an address
    /// that means all interfaces.
    pub fn reachable(&self) -> String {
        let ip = match &self.host {
            Host::Name(_) => return self.to_string(),
            Host::Ip(IpAddr::V4(ip)) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            Host::Ip(IpAddr::V6(ip)) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            Host::Ip(ip) => *ip,
        };
        SocketAddr::new(ip, self.port).to_string()
    }

    /// Whether only clients on this machine can connect. Other host names than `localhost` are not
    /// resolved.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Ip(ip) => ip.is_loopback(),
            Host::Name(name) => name.eq_ignore_ascii_case("localhost"),
        }
    }
}

impl Default for ListenAddress {
    fn default() -> Self {
        Self::from(SocketAddr::from((Ipv4Addr::UNSPECIFIED, DEFAULT_PORT)))
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(addr: SocketAddr) -> Self {
        Self {
            host: Host::Ip(addr.ip()),
            port: addr.port(),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(addr) = text.parse::<SocketAddr>() {
            return Ok(addr.into());
        }
        let (host, port) = text.rsplit_once(':').ok_or(ALLOWED)?;
        let port = parse_port(port).ok_or(ALLOWED)?;
        let host = match host {
            "" => Host::Ip(Ipv4Addr::UNSPECIFIED.into()),
            name if is_host_name(name) => Host::Name(name.to_owned()),
            _ => return Err(ALLOWED),
        };
        Ok(Self { host, port })
    }
}

/// A port in digits only: `parse` alone would also take `+1`.
fn parse_port(text: &str) -> Option<u16> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

impl fmt::Display for ListenAddress {
    /// As it is read back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// Whether `text` has only letters, digits, hyphens, dots and underscores, and at least one letter:
/// without one it is a mistyped IP address.
fn is_host_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let has_letter = text.bytes().any(|b| b.is_ascii_alphabetic());
    has_letter && text.len() <= MAX_HOST_CHARS && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_prometheus_programs_read_them() {
        let cases = [
            ("0.0.0.0:10121", "0.0.0.0:10121", "127.0.0.1:10121"),
            (":10121", "0.0.0.0:10121", "127.0.0.1:10121"),
            ("[::]:1", "[::]:1", "[::1]:1"),
            ("10.0.0.1:0", "10.0.0.1:0", "10.0.0.1:0"),
            ("localhost:7", "localhost:7", "localhost:7"),
            (
                "Dc1_a.example.com:7",
                "Dc1_a.example.com:7",
                "Dc1_a.example.com:7",
            ),
        ];
        for (text, shown, reached) in cases {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(address.reachable(), reached);
            assert_eq!(shown.parse(), Ok(address), "it is read back");
        }
    }

    #[test]
    fn a_malformed_address_is_refused_with_what_is_allowed() {
        let long = format!("{}:1", "x".repeat(254));
        let wrong = [
            "",
            ":",
            "everywhere",
            "10121",
            "a:",
            "a:b",
            "a:65536",
            "a:+1",
            "::1:10121",
            "1.2.3:1",
            "a b:1",
            "http://a:1",
            "é:1",
            &long,
        ];
        for text in wrong {
            assert_eq!(text.parse::<ListenAddress>(), Err(ALLOWED), "{text}");
        }
    }

    #[test]
    fn a_loopback_address_is_recognized_by_its_text() {
        let loopback = |text: &str| text.parse::<ListenAddress>().unwrap().is_loopback();
        assert!(loopback("127.0.0.1:1") && loopback("localhost:1") && loopback("[::1]:1"));
        assert!(!loopback(":1") && !loopback("a.example.com:1"));
    }
}
