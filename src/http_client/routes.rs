//! Clients for receivers with their own route: through a proxy, or with certificate authorities
//! that the system lacks.

use std::sync::{Arc, Mutex, PoisonError};

use super::access::{AccessError, authorities};
use super::{HttpClient, HttpTimeouts, base};
use crate::model::Secret;

/// Routes whose clients are kept. A receiver has one at most; beyond this number the oldest client
/// is created again when it is needed.
const MAX_ROUTES: usize = 64;

/// How to reach one receiver, where that differs from the system's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRoute {
    /// The only certificate authorities that are trusted (PEM); absent means the system's.
    pub authorities: Option<Vec<u8>>,
    /// The proxy's URL, which may contain a user and a password; absent means the environment's.
    pub proxy: Option<Secret>,
}

/// Creates clients for routes and keeps them.
#[derive(Debug)]
pub(super) struct RouteClients {
    timeouts: HttpTimeouts,
    clients: Mutex<Vec<(HttpRoute, HttpClient)>>,
}

impl RouteClients {
    pub(super) fn new(timeouts: HttpTimeouts) -> Arc<Self> {
        Arc::new(Self {
            timeouts,
            clients: Mutex::default(),
        })
    }

    /// The client for `route`. Kept, because parsing authorities takes milliseconds.
    pub(super) fn client(&self, route: &HttpRoute) -> Result<HttpClient, AccessError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = clients.iter().find(|(known, _)| known == route) {
            return Ok(client.clone());
        }
        let client = client_for(self.timeouts, route)?;
        if clients.len() == MAX_ROUTES {
            clients.remove(0);
        }
        clients.push((route.clone(), client.clone()));
        Ok(client)
    }
}

fn client_for(timeouts: HttpTimeouts, route: &HttpRoute) -> Result<HttpClient, AccessError> {
    let mut builder = base(timeouts).pool_max_idle_per_host(0);
    if let Some(pem) = &route.authorities {
        builder = builder.tls_certs_only(authorities(pem)?);
    }
    if let Some(proxy) = &route.proxy {
        let proxy = reqwest::Proxy::all(proxy.reveal()).map_err(|_| AccessError::Proxy)?;
        builder = builder.no_proxy().proxy(proxy);
    }
    let inner = builder.build().map_err(|_| AccessError::Setup)?;
    Ok(HttpClient {
        inner,
        login: None,
        routes: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_route_has_one_client() {
        let routes = RouteClients::new(HttpTimeouts {
            connect: Duration::from_secs(1),
            total: Duration::from_secs(1),
        });
        let proxy = |n: usize| HttpRoute {
            proxy: Some(Secret::new(format!("http://p{n}:1"))),
            authorities: None,
        };
        let remembered = || routes.clients.lock().unwrap().len();
        routes.client(&proxy(0)).unwrap();
        routes.client(&proxy(0)).unwrap();
        assert_eq!(remembered(), 1);
        for n in 0..MAX_ROUTES + 3 {
            routes.client(&proxy(n)).unwrap();
        }
        assert_eq!(remembered(), MAX_ROUTES);
    }

    #[test]
    fn an_invalid_route_is_refused() {
        let routes = RouteClients::new(HttpTimeouts {
            connect: Duration::from_secs(1),
            total: Duration::from_secs(1),
        });
        let client = |route: HttpRoute| routes.client(&route).map(|_| ());
        let authorities = HttpRoute {
            authorities: Some(b"no PEM".to_vec()),
            proxy: None,
        };
        assert_eq!(client(authorities), Err(AccessError::Authorities));
        assert_eq!(
            client(HttpRoute {
                proxy: Some(Secret::new("no URL")),
                authorities: None
            }),
            Err(AccessError::Proxy)
        );
    }
}
