//! Write access: whether a request may change something.
//!
//! The browser of an authorised person must not be usable for it: neither by a page of another site
//! (CSRF), nor by a host name of that site which resolves to this exporter (DNS rebinding).

use std::net::{IpAddr, Ipv6Addr};

use axum::http::header::{CONTENT_TYPE, FORWARDED, HOST, HeaderName, ORIGIN, VIA};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri};

use super::{ActiveConfig, Authenticated, Peer};

/// Whether clients on this machine have write access without a password
/// (`--web.enable-admin-api`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::web) struct WritePolicy {
    pub(in crate::web) local_clients: bool,
}

/// Headers that proxies add: every client of a proxy on this machine seems to be on this machine.
const PROXIED: [HeaderName; 5] = [
    FORWARDED,
    VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-real-ip"),
];

const NOT_ENABLED: &str = "not enabled: configure basic_auth_users or clients' certificates in --web.config.file, or give \
    --web.enable-admin-api, which lets clients on this machine do it (to reload, SIGHUP will do as well)";
const NOT_LOCAL: &str = "not from here: --web.enable-admin-api lets only clients on this machine do it, and not through a \
    proxy; configure basic_auth_users or clients' certificates in --web.config.file for others";
const NO_PROOF: &str = "not without a certificate: show one that client_ca_file has signed";
const OTHER_HOST: &str = "not under this name: the header Host must be an IP address, localhost or a name of the served \
    certificate";
const OTHER_ORIGIN: &str =
    "not from a page of another site: the header Origin must fit the header Host";
const NOT_JSON: &str = "the header Content-Type must be application/json";

/// Why a request has no write access; `None` when it has.
pub(in crate::web) fn refuse_write(
    policy: WritePolicy,
    active: &ActiveConfig,
    (peer, authenticated): (Peer, Authenticated),
    uri: &Uri,
    headers: &HeaderMap,
) -> Option<(StatusCode, &'static str)> {
    if let Some(sentence) = not_permitted(policy, active, peer, authenticated, headers) {
        return Some((StatusCode::FORBIDDEN, sentence));
    }
    let host = the_only(headers, &HOST);
    let Some(host) = host.filter(|host| is_ours(host, uri, active, peer)) else {
        return Some((StatusCode::MISDIRECTED_REQUEST, OTHER_HOST));
    };
    if headers.contains_key(ORIGIN) && !is_same_origin(the_only(headers, &ORIGIN), host, peer) {
        return Some((StatusCode::FORBIDDEN, OTHER_ORIGIN));
    }
    // A form of another site cannot send this type without being asked for leave first (CORS),
    // which is never given.
    if !is_json(headers) {
        return Some((StatusCode::UNSUPPORTED_MEDIA_TYPE, NOT_JSON));
    }
    None
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = the_only(headers, &CONTENT_TYPE) else {
        return false;
    };
    let (kind, _) = kind.split_once(';').unwrap_or((kind, ""));
    kind.trim().eq_ignore_ascii_case("application/json")
}

fn not_permitted(
    policy: WritePolicy,
    active: &ActiveConfig,
    peer: Peer,
    authenticated: Authenticated,
    headers: &HeaderMap,
) -> Option<&'static str> {
    match (authenticated.0, policy.local_clients) {
        (true, _) => None,
        (false, true) if is_on_this_machine(peer, headers) => None,
        (false, true) => Some(NOT_LOCAL),
        (false, false) if active.trusts_certificates() => Some(NO_PROOF),
        (false, false) => Some(NOT_ENABLED),
    }
}

/// Whether a request comes from this machine, and through no proxy that shows itself.
pub(super) fn is_on_this_machine(peer: Peer, headers: &HeaderMap) -> bool {
    let proxied = PROXIED.iter().any(|name| headers.contains_key(name));
    peer.is_local() && !proxied
}

/// The text of a header that is there exactly once.
fn the_only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    value.to_str().ok()
}

/// Whether `host` is a name that no other site can have pointed at this exporter: an address,
/// `localhost`, or a name that the certificate of this connection proves.
fn is_ours(host: &str, uri: &Uri, active: &ActiveConfig, peer: Peer) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    // An absolute URL in the request line would count instead of Host (RFC 9112, section 3.2.2).
    if host.contains('@') || uri.authority().is_some_and(|named| *named != authority) {
        return false;
    }
    let name = authority.host();
    if is_address(name) || name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    match &active.tls {
        Some(tls) => peer.https && tls.is_for(name),
        None => false,
    }
}

/// Whether a host is an IP address; one of version 6 is in brackets.
fn is_address(host: &str) -> bool {
    let in_brackets = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match in_brackets {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<IpAddr>().is_ok(),
    }
}

/// Whether a page of the origin may have been served by this exporter under the name `host` (RFC
/// 6454, section 7). Browsers leave a scheme's usual port out of both headers.
fn is_same_origin(origin: Option<&str>, host: &str, peer: Peer) -> bool {
    let scheme = if peer.https { "https" } else { "http" };
    let own = format!("{scheme}://{host}");
    origin.is_some_and(|origin| origin.eq_ignore_ascii_case(&own))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn status(policy: bool, ip: &str, authenticated: bool) -> Option<u16> {
        let policy = WritePolicy {
            local_clients: policy,
        };
        let peer = Peer {
            ip: ip.parse().unwrap(),
            https: false,
            certified: false,
        };
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("127.0.0.1:1"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let sender = (peer, Authenticated(authenticated));
        let refused = refuse_write(
            policy,
            &ActiveConfig::default(),
            sender,
            &Uri::from_static("/-/reload"),
            &headers,
        );
        refused.map(|(status, _)| status.as_u16())
    }

    #[test]
    fn the_flag_lets_only_loopback_in_and_proof_lets_everybody_in() {
        for ip in ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(status(true, ip, false), None, "{ip}");
            assert_eq!(status(false, ip, false), Some(403), "{ip}");
        }
        for ip in [
            "192.0.2.1",
            "10.0.0.1",
            "2001:db8::1",
            "::ffff:10.0.0.1",
            "0.0.0.0",
            "fe80::1",
        ] {
            assert_eq!(status(true, ip, false), Some(403), "{ip}");
            assert_eq!(status(false, ip, true), None, "{ip}");
        }
    }
}
