//! `tls_server_config`: how HTTPS is served, and what clients have to show.

use std::path::PathBuf;

use crate::config::cursor::{Cursor, Section};
use crate::config::schema::{Key, Keys};
use crate::model::{Secret, closed_set};

pub(super) static TLS: Keys = Keys::new(&[
    Key::text("cert_file"),
    Key::text("cert"),
    Key::text("key_file"),
    Key::text("key"),
    Key::text("client_auth_type"),
    Key::text("client_ca_file"),
    Key::text("client_ca"),
    Key::collection("client_allowed_sans", "list"),
    Key::text("min_version"),
    Key::text("max_version"),
    Key::collection("cipher_suites", "list"),
    Key::collection("curve_preferences", "list"),
    Key::flag("prefer_server_cipher_suites"),
]);

/// How HTTPS is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebTlsSettings {
    /// The certificate and what connects it to its authority, as PEM.
    pub cert: PemSource,
    /// The certificate's private key, as PEM.
    pub key: PemSource,
    /// What clients have to show.
    pub client_auth: ClientAuth,
    /// The authorities that sign clients' certificates; without them the system's.
    pub client_ca: Option<PemSource>,
    /// Names of which a client's certificate must have one; absent: any will do. An empty list
    /// refuses every certificate.
    pub client_allowed_sans: Option<Vec<String>>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// The newest version that is spoken; not before `min_version`.
    pub max_version: TlsVersion,
    /// The suites of TLS 1.2 that may be spoken, best first; empty: the library's. Those of TLS 1.3
    /// are never restricted, as in Go.
    pub cipher_suites: Vec<CipherSuite>,
    /// Whether the server's order of suites counts, and not the client's.
    pub prefer_server_order: bool,
    /// The curves of the key exchange, best first; empty: the library's.
    pub curves: Vec<Curve>,
}

/// Where certificates or a key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PemSource {
    /// In this file.
    File(PathBuf),
    /// In the web configuration itself.
    Inline(Secret),
}

closed_set! {
    /// What clients have to show, as Go's `tls.ClientAuthType`.
    pub enum ClientAuth {
        /// Nothing; none is asked for a certificate.
        None => "NoClientCert",
        /// Nothing; a certificate that is shown is not verified.
        Request => "RequestClientCert",
        /// A certificate, which is not verified.
        RequireAny => "RequireAnyClientCert",
        /// Nothing, but a certificate that is shown is verified.
        VerifyIfGiven => "VerifyClientCertIfGiven",
        /// A certificate, which is verified.
        RequireAndVerify => "RequireAndVerifyClientCert",
    }
}

impl ClientAuth {
    /// The toolkit's older name of [`Self::RequireAny`].
    const OLD_REQUIRE_ANY: &str = "RequireClientCert";

    /// Whether clients' certificates are verified against authorities.
    pub const fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }

    /// Whether a client without a certificate is refused.
    pub const fn requires_one(self) -> bool {
        matches!(self, Self::RequireAny | Self::RequireAndVerify)
    }

    fn from_name(name: &str) -> Option<Self> {
        if name == Self::OLD_REQUIRE_ANY {
            return Some(Self::RequireAny);
        }
        Self::parse(name)
    }
}

/// A version of TLS that is safe to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2, RFC 5246.
    Tls12,
    /// TLS 1.3, RFC 8446.
    Tls13,
}

closed_set! {
    /// A cipher suite, by the name that Go's `tls.CipherSuites` has for it.
    pub enum CipherSuite {
        /// TLS 1.3
        Aes128GcmSha256 => "TLS_AES_128_GCM_SHA256",
        /// TLS 1.3
        Aes256GcmSha384 => "TLS_AES_256_GCM_SHA384",
        /// TLS 1.3
        Chacha20Poly1305Sha256 => "TLS_CHACHA20_POLY1305_SHA256",
        /// TLS 1.2
        EcdheEcdsaAes128GcmSha256 => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        /// TLS 1.2
        EcdheEcdsaAes256GcmSha384 => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        /// TLS 1.2
        EcdheEcdsaChacha20Poly1305 => "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        /// TLS 1.2
        EcdheRsaAes128GcmSha256 => "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        /// TLS 1.2
        EcdheRsaAes256GcmSha384 => "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        /// TLS 1.2
        EcdheRsaChacha20Poly1305 => "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        /// TLS 1.2, CBC
        EcdheEcdsaAes128CbcSha => "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
        /// TLS 1.2, CBC
        EcdheEcdsaAes256CbcSha => "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
        /// TLS 1.2, CBC
        EcdheRsaAes128CbcSha => "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
        /// TLS 1.2, CBC
        EcdheRsaAes256CbcSha => "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    }
}

closed_set! {
    /// A curve of the key exchange, by the toolkit's name.
    pub enum Curve {
        /// secp256r1
        P256 => "CurveP256",
        /// secp384r1
        P384 => "CurveP384",
        /// secp521r1
        P521 => "CurveP521",
        /// x25519
        X25519 => "X25519",
    }
}

/// The settings of HTTPS; `None` where there are none, or where they are refused.
pub(super) fn read(root: &Section<'_>) -> Option<WebTlsSettings> {
    if root.get("tls_server_config")?.is_null() {
        return None;
    }
    let section = root.given_section("tls_server_config")?;
    // As in the toolkit: a template whose values are all blank asks for plain HTTP.
    if !TLS.names().any(|key| given(&section, key).is_some()) {
        return None;
    }
    let suites = names(&section, "cipher_suites", CipherSuite::parse);
    let cipher_suites = suites.unwrap_or_default();
    let prefer = section.read("prefer_server_cipher_suites", Cursor::flag);
    let cert = required_pem(&section, "cert", "the certificate");
    let key = required_pem(&section, "key", "the private key");
    let versions = versions(&section);
    let clients = clients(&section);
    Some(WebTlsSettings {
        cert: cert?,
        key: key?,
        client_auth: clients?,
        client_ca: pem(&section, "client_ca"),
        client_allowed_sans: allowed_sans(&section),
        min_version: versions?.0,
        max_version: versions?.1,
        prefer_server_order: prefer.unwrap_or(!cipher_suites.is_empty()),
        cipher_suites,
        curves: names(&section, "curve_preferences", Curve::parse).unwrap_or_default(),
    })
}

/// The value of `key`, unless it is blank, which is the toolkit's way to write that it is not
/// given.
fn given<'a>(section: &Section<'a>, key: &str) -> Option<Cursor<'a>> {
    let cursor = section.get(key)?;
    let is_blank = cursor.is_null() || cursor.word() == Some("");
    (!is_blank).then_some(cursor)
}

/// The certificates or the key at `key_file` or, inline, at `key`.
fn pem(section: &Section<'_>, key: &str) -> Option<PemSource> {
    let file_key = format!("{key}_file");
    match (given(section, key), given(section, &file_key)) {
        (Some(_), Some(file)) => {
            file.add_problem(format!(
                "{key} is given as well; give one of {key} and {file_key}"
            ));
            None
        }
        (Some(inline), None) => inline_pem(&inline),
        (None, Some(file)) => file.file_path().map(PemSource::File),
        (None, None) => None,
    }
}

fn inline_pem(cursor: &Cursor<'_>) -> Option<PemSource> {
    let text = cursor.word();
    if text.is_none() {
        cursor.refuse_hidden("is not text (PEM)");
    }
    Some(PemSource::Inline(Secret::new(text?)))
}

fn required_pem(section: &Section<'_>, key: &str, what: &str) -> Option<PemSource> {
    let file_key = format!("{key}_file");
    if given(section, key).is_none() && given(section, &file_key).is_none() {
        let meaning = format!("the file of {what} (PEM), or {what} itself as {key}");
        section.refuse_missing(&file_key, &meaning);
        return None;
    }
    pem(section, key)
}

/// The oldest and the newest version that is spoken.
fn versions(section: &Section<'_>) -> Option<(TlsVersion, TlsVersion)> {
    let min = match given(section, "min_version") {
        None => Some(TlsVersion::Tls12),
        Some(cursor) => match cursor.text()? {
            // Versions before TLS 1.2 must not be spoken (RFC 8996): what is left is spoken.
            "TLS10" | "TLS11" | "TLS12" => Some(TlsVersion::Tls12),
            "TLS13" => Some(TlsVersion::Tls13),
            _ => cursor.checked(Err(
                "is not a version of TLS; allowed: TLS10, TLS11, TLS12, TLS13",
            )),
        },
    };
    let max = match given(section, "max_version") {
        None => Some(TlsVersion::Tls13),
        Some(cursor) => match cursor.text()? {
            "TLS12" => Some(TlsVersion::Tls12),
            "TLS13" => Some(TlsVersion::Tls13),
            _ => cursor.checked(Err(
                "is not a version that can be the newest here; allowed: TLS12, TLS13",
            )),
        },
    };
    let versions = (min?, max?);
    if versions.0 > versions.1 {
        section.refuse_at("tls_server_config.max_version", "is below min_version");
        return None;
    }
    Some(versions)
}

/// What clients have to show. What restricts them without a policy that asks them is refused: it
/// would let everybody in.
fn clients(section: &Section<'_>) -> Option<ClientAuth> {
    let client_auth = match given(section, "client_auth_type") {
        None => ClientAuth::None,
        Some(cursor) => {
            let allowed = ClientAuth::ALL.map(ClientAuth::label).join(", ");
            let refusal = format!("is not a policy for clients; allowed: {allowed}");
            cursor.checked(ClientAuth::from_name(cursor.text()?).ok_or(refusal))?
        }
    };
    if client_auth != ClientAuth::None {
        return Some(client_auth);
    }
    for key in ["client_ca_file", "client_ca", "client_allowed_sans"] {
        if given(section, key).is_some() {
            let sentence = "asks no client for a certificate without client_auth_type: set it to \
                            RequireAndVerifyClientCert";
            section.refuse_at(&format!("tls_server_config.{key}"), sentence);
            return None;
        }
    }
    Some(ClientAuth::None)
}

/// The names of which a client's certificate must have one.
fn allowed_sans(section: &Section<'_>) -> Option<Vec<String>> {
    let list = given(section, "client_allowed_sans")?;
    let mut names = Vec::new();
    for item in list.items() {
        names.extend(item.text().map(str::to_owned));
    }
    Some(names)
}

/// The list of names at `key`, each as `parse` reads it.
fn names<T>(section: &Section<'_>, key: &str, parse: fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let mut names = Vec::new();
    for item in given(section, key)?.items() {
        let Some(text) = item.text() else { continue };
        names.extend(item.checked(parse(text).ok_or("is not known to Prometheus' toolkit")));
    }
    Some(names)
}
