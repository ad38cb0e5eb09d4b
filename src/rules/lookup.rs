//! Values that an annotation looks up when its alert is sent, such as what would be lost: the
//! rule's own value does not tell that.

use crate::metrics::catalogue::{
    BACKLOG_HEADROOM_BYTES, LAG_BYTES, LAG_SECONDS, LAST_KNOWN_BYTES, LAST_KNOWN_SECONDS, Metric,
};

/// The selector of an alert's pair, as a format string.
const PAIR: &str = "pair=%q,source_dc=%q,target_dc=%q,replica=%q";

/// The arguments of [`PAIR`].
const LABELS: &str = "$labels.pair $labels.source_dc $labels.target_dc $labels.replica";

/// The unit of a looked-up value.
#[derive(Clone, Copy, Debug)]
pub(super) enum LookupUnit {
    /// Printed as a duration.
    Seconds,
    /// Printed with binary prefixes.
    Bytes,
}

/// A template that expands to `known`, with the metric's value for the alert's pair in place of
/// `{}`, or to `unknown` where Prometheus has no value.
pub(super) fn pair_value(metric: Metric, unit: LookupUnit, known: &str, unknown: &str) -> String {
    let query = format!("max by (pair) ({}{{{PAIR}}})", metric.name);
    let value = match unit {
        LookupUnit::Seconds => "{{ . | first | value | humanizeDuration }}",
        LookupUnit::Bytes => "{{ . | first | value | humanize1024 }}B",
    };
    let otherwise = if unknown.is_empty() {
        String::new()
    } else {
        format!("{{{{ else }}}}{unknown}")
    };
    format!(
        "{{{{ with printf \"{query}\" {LABELS} | query }}}}{}{otherwise}{{{{ end }}}}",
        known.replace("{}", value)
    )
}

/// The sentence about what would be lost with the master now: the best estimate, else the last
/// known bound, else that it is unknown.
pub(super) fn loss() -> String {
    let estimate = pair_value(LAG_BYTES, LookupUnit::Bytes, ", {},", "");
    let now = format!("about the last {{}} of writes{estimate} would be lost.");
    let bound = pair_value(LAST_KNOWN_BYTES, LookupUnit::Bytes, ", {},", "");
    let known = format!("at most the last {{}} of writes{bound} would be lost, as last known.");
    let last_known = pair_value(
        LAST_KNOWN_SECONDS,
        LookupUnit::Seconds,
        &known,
        "what would be lost is unknown.",
    );
    let sentence = pair_value(LAG_SECONDS, LookupUnit::Seconds, &now, &last_known);
    format!("If the master in {{{{ $labels.source_dc }}}} were lost now, {sentence}")
}

/// The sentence about how much may be written until a full resync is needed, where that is known.
pub(super) fn backlog() -> String {
    pair_value(
        BACKLOG_HEADROOM_BYTES,
        LookupUnit::Bytes,
        " After {} more of writes a full resync is needed.",
        "",
    )
}
