//! For tests of servers with a web configuration.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;

use crate::model::Timestamp;
use crate::web::testing::{METRICS_TEXT, PATIENCE, Running, small_limits};
use crate::web::{Limits, Server, WebConfig};

/// The header of every body in JSON.
pub(super) const JSON: &str = "content-type: application/json\r\n";

/// Short enough to wait for in a test.
pub(super) const SHORT: Duration = Duration::from_millis(100);

pub(super) fn limits() -> Limits {
    Limits {
        handshake: PATIENCE,
        reread: Duration::from_millis(10),
        ..small_limits()
    }
}

pub(super) async fn serve(server: Server) -> Running {
    Running::serving(
        server,
        Arc::new(|_, _| Ok(METRICS_TEXT.into())),
        Timestamp::default,
    )
    .await
}

pub(super) async fn serve_with(limits: Limits, config: WebConfig) -> Running {
    serve(Server::new(limits).with_config(Some(config))).await
}

pub(super) fn users(names: &[(&str, &str)]) -> String {
    let line = |(name, password): &(&str, &str)| {
        format!("{name}: '{}'", bcrypt::hash(password, 4).unwrap())
    };
    format!(
        "basic_auth_users: {{{}}}\n",
        names.iter().map(line).collect::<Vec<_>>().join(", ")
    )
}

pub(super) fn login(user: &str, password: &str) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("authorization: Basic {text}\r\n")
}

/// Waits until `is_so`.
pub(super) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
