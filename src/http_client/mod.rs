//! Outgoing HTTP: to receivers of notifications, and to a running exporter.
//!
//! **Invariant:** the only room that knows `reqwest`. None of its types leaves, because its errors
//! hold URLs, and a receiver's URL is a secret.

mod access;
mod error;
mod routes;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

pub use access::{AccessError, ExporterAccess, ServerTrust};
pub use error::{GetError, HttpError};
pub use routes::HttpRoute;

use crate::model::Secret;

/// What is kept of a receiver's answer. Real ones have a few words; this is room for an error page.
const MAX_RECEIVER_BODY: usize = 64 * 1024;

/// What is read of a running exporter's answer: 10,000 pairs at some 1 KiB each, with room to
/// spare.
const MAX_EXPORTER_BODY: usize = 32 * 1024 * 1024;

/// What the far side sees of us.
const USER_AGENT: &str = concat!("redis-cross-dc-exporter/", env!("CARGO_PKG_VERSION"));

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpTimeouts {
    /// Name resolution, TCP and TLS together.
    pub connect: Duration,
    /// The whole request, from its start to the last byte of the answer.
    pub total: Duration,
}

/// What a server answered, whatever its status: a redirect is an answer, it is never followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The text of the header `Retry-After`.
    pub retry_after: Option<String>,
    /// The text of the header `Date`.
    pub date: Option<String>,
    /// The body, as far as it was read; what is no UTF-8 is replaced.
    pub body: String,
    /// Whether the body was read to its end: not when it was too large or broke off.
    pub complete: bool,
}

/// An HTTP client. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpClient {
    inner: reqwest::Client,
    login: Option<(String, Secret)>,
    /// The routes that lead elsewhere; only of a client for receivers.
    routes: Option<Arc<routes::RouteClients>>,
}

impl HttpClient {
    /// A client for receivers: honours the system's proxy variables (`HTTPS_PROXY`, `NO_PROXY` and
    /// the like) and trusts the system's certificate authorities.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn for_receivers(timeouts: HttpTimeouts) -> Result<Self, HttpError> {
        let builder = || base(timeouts).pool_max_idle_per_host(0);
        // A system without any certificate authority must not take the plain HTTP receivers down
        // with it: without roots every https receiver fails with a sentence of its own.
        let inner = builder()
            .build()
            .or_else(|_| builder().tls_certs_only([]).build());
        let inner = inner.map_err(|_| HttpError::Setup)?;
        Ok(Self {
            inner,
            login: None,
            routes: Some(routes::RouteClients::new(timeouts)),
        })
    }

    /// This client where `route` is the system's, otherwise one that goes that route. Of a client for
    /// receivers only.
    ///
    /// # Errors
    /// The authorities or the proxy's URL cannot be read, or the TLS library cannot be set up.
    pub fn via(&self, route: &HttpRoute) -> Result<Self, AccessError> {
        match &self.routes {
            Some(routes) if *route != HttpRoute::default() => routes.client(route),
            _ => Ok(self.clone()),
        }
    }

    /// A client for a running exporter that speaks plain HTTP and that everybody may read.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn for_exporter(timeouts: HttpTimeouts) -> Result<Self, HttpError> {
        Self::for_exporter_with(timeouts, &ExporterAccess::default()).map_err(|_| HttpError::Setup)
    }

    /// Posts a JSON `body`, with `headers` (name, value) beside the usual ones. A `content-type` among
    /// them takes the place of `application/json`.
    ///
    /// # Errors
    /// When no status line came back; every status is an answer, not an error.
    pub async fn post_json(
        &self,
        url: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> Result<HttpResponse, HttpError> {
        let mut map = header_map(headers)?;
        let json = reqwest::header::HeaderValue::from_static("application/json");
        map.entry(reqwest::header::CONTENT_TYPE).or_insert(json);
        let request = self.inner.post(url).headers(map).body(body);
        read_answer(self.logged_in(request), MAX_RECEIVER_BODY).await
    }

    /// Gets `url` of a receiver, with `headers` beside the usual ones.
    ///
    /// # Errors
    /// When no status line came back; every status is an answer, not an error.
    pub async fn get_with(
        &self,
        url: &str,
        headers: &[(String, String)],
    ) -> Result<HttpResponse, HttpError> {
        let request = self.inner.get(url).headers(header_map(headers)?);
        read_answer(request, MAX_RECEIVER_BODY).await
    }

    /// Gets `url`.
    ///
    /// # Errors
    /// When no status line came back; every status is an answer, not an error.
    pub async fn get(&self, url: &str) -> Result<HttpResponse, HttpError> {
        read_answer(self.logged_in(self.inner.get(url)), MAX_EXPORTER_BODY).await
    }

    /// Deletes what `url` names. A running exporter wants to be told of JSON, although there is no
    /// body.
    ///
    /// # Errors
    /// When no status line came back; every status is an answer, not an error.
    pub async fn delete_json(&self, url: &str) -> Result<HttpResponse, HttpError> {
        let request = self
            .inner
            .delete(url)
            .header(reqwest::header::CONTENT_TYPE, "application/json");
        read_answer(self.logged_in(request), MAX_RECEIVER_BODY).await
    }

    fn logged_in(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.login {
            Some((user, password)) => request.basic_auth(user, Some(password.reveal())),
            None => request,
        }
    }

    /// Gets `url` and reads its body as JSON.
    ///
    /// # Errors
    /// When there is no answer, its status is not 2xx, it is larger than 32 MiB or breaks off, or
    /// its body is not what was asked for.
    pub async fn get_json<T: DeserializeOwned>(&self, url: &str) -> Result<T, GetError> {
        let response = self.get(url).await?;
        if !(200..300).contains(&response.status) {
            return Err(GetError::Status(response.status));
        }
        if !response.complete {
            return Err(GetError::Incomplete);
        }
        serde_json::from_str(&response.body).map_err(|error| GetError::Json(error.to_string()))
    }
}

/// What all clients have in common.
fn base(timeouts: HttpTimeouts) -> reqwest::ClientBuilder {
    // Fails only when a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(timeouts.connect)
        .timeout(timeouts.total)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
}

/// The headers as the library has them; their values may be secrets.
fn header_map(headers: &[(String, String)]) -> Result<reqwest::header::HeaderMap, HttpError> {
    let mut map = reqwest::header::HeaderMap::new();
    for (name, value) in headers {
        let name = reqwest::header::HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| HttpError::Invalid)?;
        let mut value =
            reqwest::header::HeaderValue::from_str(value).map_err(|_| HttpError::Invalid)?;
        value.set_sensitive(true);
        map.insert(name, value);
    }
    Ok(map)
}

/// Sends `request` and reads at most `limit` bytes of the answer's body.
async fn read_answer(
    request: reqwest::RequestBuilder,
    limit: usize,
) -> Result<HttpResponse, HttpError> {
    let mut response = request
        .send()
        .await
        .map_err(|error| error::classify(&error))?;
    let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    let (retry_after, date) = (header("retry-after"), header("date"));
    let status = response.status().as_u16();
    let (body, complete) = read_body(&mut response, limit).await;
    Ok(HttpResponse {
        status,
        retry_after,
        date,
        body: String::from_utf8_lossy(&body).into_owned(),
        complete,
    })
}

/// The body's first `limit` bytes, and whether that is all of it. A body that breaks off is not an
/// error: the status that came before it stands.
async fn read_body(response: &mut reqwest::Response, limit: usize) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= limit => body.extend_from_slice(&chunk),
            Ok(Some(chunk)) => {
                body.extend_from_slice(&chunk[..limit - body.len()]);
                return (body, false);
            }
            Ok(None) => return (body, true),
            Err(_) => return (body, false),
        }
    }
}

#[cfg(test)]
mod tests;
