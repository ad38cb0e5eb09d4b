//! What the webhook receiver was sent.

use std::time::Duration;

use redis_cross_dc_exporter::lab::Received;
use redis_cross_dc_exporter::model::Timestamp;

use crate::receiver::Receiver;

pub(super) const LAG_HIGH: &str = "RedisCrossDcLagHigh";
pub(super) const LINK_DOWN: &str = "RedisCrossDcLinkDown";
pub(super) const UNREACHABLE: &str = "RedisCrossDcServerUnreachable";

/// Whether according to the request all alerts called `alertname` are `status` (`firing` or
/// `resolved`).
fn says(request: &Received, alertname: &str, status: &str) -> bool {
    let body = request.json().unwrap();
    body["status"] == status && body["groupLabels"]["alertname"] == alertname
}

/// Waits for the first such webhook; returns when it came.
pub(super) async fn told(receiver: &Receiver, alertname: &str, status: &str) -> Timestamp {
    let what = format!("a webhook of {alertname} {status}");
    let webhook = receiver.wait_for(&what, Duration::from_secs(30), |request| {
        says(request, alertname, status)
    });
    webhook.await.unwrap_or_else(|error| panic!("{error}")).at
}

/// When such webhooks came.
pub(super) fn times(receiver: &Receiver, alertname: &str, status: &str) -> Vec<Timestamp> {
    receiver
        .requests()
        .iter()
        .filter(|request| says(request, alertname, status))
        .map(|request| request.at)
        .collect()
}
