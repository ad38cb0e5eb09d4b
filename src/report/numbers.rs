//! Numbers of a report: seconds with a fraction, whole bytes.

use crate::model::{Bytes, Span};

pub(super) fn seconds(span: Option<Span>) -> Option<f64> {
    span.map(Span::as_secs_f64)
}

pub(super) fn bytes(count: Option<Bytes>) -> Option<u64> {
    count.map(Bytes::get)
}
