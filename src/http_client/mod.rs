//! Outgoing HTTP: to receivers of notifications, and to a running exporter.
//!
//! **Invariant:** this is the only room that uses `reqwest`, and none of its types leaves: its
//! errors contain URLs, and a receiver's URL is a secret.

mod access;
mod error;
mod routes;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::de::DeserializeOwned;

pub use access::{AccessError, ExporterAccess, ServerTrust};
pub use error::{GetError, HttpError};
pub use routes::HttpRoute;

use crate::config::WebhookMethod;
use crate::model::Secret;

/// The longest body that is kept of a receiver's answer: real ones have a few words, and an error
/// page fits.
const MAX_RECEIVER_BODY: usize = 64 * 1024;

/// The longest body that is read of a running exporter's answer: 10,000 pairs at about 1 KiB each
/// fit three times.
const MAX_EXPORTER_BODY: usize = 32 * 1024 * 1024;

/// The `User-Agent` of every request.
const USER_AGENT: &str = concat!("redis-cross-dc-exporter/", env!("CARGO_PKG_VERSION"));

/// Time limits of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpTimeouts {
    /// Name resolution, TCP and TLS together.
    pub connect: Duration,
    /// The whole request, from its start to the last byte of the answer.
    pub total: Duration,
}

/// A server's answer, whatever its status: a redirect is an answer too and never followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The text of the header `Retry-After`.
    pub retry_after: Option<String>,
    /// The text of the header `Date`.
    pub date: Option<String>,
    /// The body as far as it was read; bytes that are not UTF-8 are replaced.
    pub body: String,
    /// Whether the body was read to its end; `false` when it was too large or the connection broke.
    pub complete: bool,
}

/// An HTTP client. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpClient {
    inner: reqwest::Client,
    login: Option<(String, Secret)>,
    /// Clients for receivers with their own routes; only in a client for receivers.
    routes: Option<Arc<routes::RouteClients>>,
}

impl HttpClient {
    /// A client for receivers: honours the proxy variables of the environment (`HTTPS_PROXY`,
    /// `NO_PROXY` and the like) and trusts the system's certificate authorities.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn for_receivers(timeouts: HttpTimeouts) -> Result<Self, HttpError> {
        let builder = || base(timeouts).pool_max_idle_per_host(0);
        let inner = match builder().build() {
            Ok(inner) => inner,
            // On a system without certificate authorities plain HTTP must still work: without roots
            // only HTTPS requests fail, each with its reason.
            Err(_) => builder()
                .tls_certs_only([])
                .build()
                .map_err(|_| HttpError::Setup)?,
        };
        Ok(Self {
            inner,
            login: None,
            routes: Some(routes::RouteClients::new(timeouts)),
        })
    }

    /// A client that uses `route`: this one where the route is the system's. Call it on a client
    /// for receivers; another has no routes and returns itself.
    ///
    /// # Errors
    /// The authorities or the proxy's URL cannot be read, or the TLS library cannot be set up.
    pub fn via(&self, route: &HttpRoute) -> Result<Self, AccessError> {
        match &self.routes {
            Some(routes) if *route != HttpRoute::default() => routes.client(route),
            _ => Ok(self.clone()),
        }
    }

    /// A client for a running exporter with plain HTTP and without authentication.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn for_exporter(timeouts: HttpTimeouts) -> Result<Self, HttpError> {
        Self::for_exporter_with(timeouts, &ExporterAccess::default()).map_err(|_| HttpError::Setup)
    }

    /// Posts a JSON `body` with additional `headers` (name, value). A `content-type` among them
    /// replaces `application/json`.
    ///
    /// # Errors
    /// When no status line came back; every status is an answer, not an error.
    pub async fn post_json(
        &self,
        url: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> Result<HttpResponse, HttpError> {
        self.send_body(WebhookMethod::Post, url, headers, body)
            .await
    }

    /// Sends `body` with `method`. A `content-type` among the `headers` (name, value) replaces
    /// `application/json`.
    ///
    /// # Errors
    /// When no status line came back; every status is an answer, not an error.
    pub async fn send_body(
        &self,
        method: WebhookMethod,
        url: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> Result<HttpResponse, HttpError> {
        let mut map = header_map(headers)?;
        let json = HeaderValue::from_static("application/json");
        map.entry(CONTENT_TYPE).or_insert(json);
        let request = self.inner.request(method_of(method), url);
        let request = request.headers(map).body(body);
        read_answer(self.logged_in(request), MAX_RECEIVER_BODY).await
    }

    /// Gets `url` of a receiver, with additional `headers`.
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

    /// Gets `url` of a running exporter.
    ///
    /// # Errors
    /// When no status line came back; every status is an answer, not an error.
    pub async fn get(&self, url: &str) -> Result<HttpResponse, HttpError> {
        read_answer(self.logged_in(self.inner.get(url)), MAX_EXPORTER_BODY).await
    }

    /// Deletes the resource at `url` of a running exporter, which requires the content type JSON
    /// although there is no body.
    ///
    /// # Errors
    /// When no status line came back; every status is an answer, not an error.
    pub async fn delete_json(&self, url: &str) -> Result<HttpResponse, HttpError> {
        let request = self
            .inner
            .delete(url)
            .header(CONTENT_TYPE, "application/json");
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
    /// When there is no answer, its status is not 2xx, its body is larger than 32 MiB or
    /// incomplete, or is not the expected JSON.
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

/// The library's method.
const fn method_of(method: WebhookMethod) -> Method {
    match method {
        WebhookMethod::Post => Method::POST,
        WebhookMethod::Put => Method::PUT,
        WebhookMethod::Patch => Method::PATCH,
    }
}

/// The settings that all clients share.
fn base(timeouts: HttpTimeouts) -> reqwest::ClientBuilder {
    // Fails only when a provider is installed already: ring, the only one in this program.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(timeouts.connect)
        .timeout(timeouts.total)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
}

/// `headers` for the library, marked as sensitive: their values may be secrets.
fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, HttpError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            return Err(HttpError::Invalid);
        };
        let Ok(mut value) = HeaderValue::from_str(value) else {
            return Err(HttpError::Invalid);
        };
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
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Err(error::classify(&error)),
    };
    let retry_after = header_text(&response, "retry-after");
    let date = header_text(&response, "date");
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

fn header_text(response: &reqwest::Response, name: &str) -> Option<String> {
    let value = response.headers().get(name)?;
    Some(value.to_str().ok()?.to_owned())
}

/// The first `limit` bytes of the body, and whether that is all of it. A body that ends early is no
/// error, because the status was received before it.
async fn read_body(response: &mut reqwest::Response, limit: usize) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return (body, true),
            Err(_) => return (body, false),
        };
        let room = limit - body.len();
        if let Some(fitting) = chunk.get(..room)
            && room < chunk.len()
        {
            body.extend_from_slice(fitting);
            return (body, false);
        }
        body.extend_from_slice(&chunk);
    }
}

#[cfg(test)]
mod tests;
