//! The metrics of active-active sites. What is not known is absent; `up` is always there.

use super::catalogue as c;
use super::families::Families;
use super::labels::{SeriesLabels, label};
use crate::model::{ClockAnchor, Datacenter, Span, Timestamp};
use crate::monitor::{ActiveActiveSnapshot, DirectionSnapshot, SiteSnapshot};
use crate::sites::{DirectionStatus, ProbeRecord};

/// Everything about one entry.
pub(super) fn add(
    families: &mut Families,
    entry: &ActiveActiveSnapshot,
    anchor: ClockAnchor,
    now: Timestamp,
) {
    let labels = |source: &Datacenter, target: &Datacenter| {
        SeriesLabels::new([
            label("name", entry.name.as_str()),
            label("source_dc", source.as_str()),
            label("target_dc", target.as_str()),
        ])
    };
    for site in &entry.sites {
        if let Some(target) = &site.queue_to {
            add_queue(families, site, &labels(&site.dc, target), now);
        }
    }
    for direction in &entry.directions {
        let labels = labels(&direction.source, &direction.target);
        add_direction(families, direction, &labels, anchor, now);
    }
    for clock in &entry.clocks {
        if let Some(skew) = clock.skew {
            let labels = labels(&clock.source, &clock.target);
            families.add(&c::CLOCK_SKEW, &labels, skew.estimate);
            families.add(&c::CLOCK_SKEW_LOWER, &labels, skew.lower);
            families.add(&c::CLOCK_SKEW_UPPER, &labels, skew.upper);
        }
    }
}

fn add_queue(families: &mut Families, site: &SiteSnapshot, labels: &SeriesLabels, now: Timestamp) {
    let Some(queue) = site.fresh(now).and_then(|reading| reading.queue) else {
        return;
    };
    families.add(&c::QUEUE_LENGTH, labels, queue.length);
    families.add(&c::QUEUE_OLDEST, labels, queue.oldest.ok());
    families.add(&c::QUEUE_REJECTED, labels, queue.rejected);
    families.add(&c::QUEUE_OVERFLOW, labels, queue.has_overflowed);
}

fn add_direction(
    families: &mut Families,
    direction: &DirectionSnapshot,
    labels: &SeriesLabels,
    anchor: ClockAnchor,
    now: Timestamp,
) {
    let fresh = direction.fresh(now);
    let is_up = fresh.is_some() && direction.fault.is_none();
    families.add(&c::SITES_UP, labels, is_up);
    let faults = direction.faults.iter();
    let faults = faults.map(|(reason, count)| (reason.label(), *count));
    families.add_each(&c::SITE_ERRORS, labels, "reason", faults);
    add_probes(families, &direction.probes, labels);
    if let Some((_, latest)) = &direction.status {
        // Counters and instants stay true while nothing new is known.
        let checked = latest.checked.iter();
        let checked = checked.map(|(class, count)| (class.label(), *count));
        families.add_each(&c::KEYS_CHECKED, labels, "class", checked);
        if let Some(pass) = latest.last_pass {
            families.add(&c::PASS_SECONDS, labels, pass.took);
            families.add(&c::PASS_LAST_SUCCESS, labels, anchor.wall(pass.ended));
        }
    }
    if let Some(status) = fresh {
        add_status(families, status, labels);
    }
}

/// Nothing where nothing was probed and no key was found under way.
fn add_probes(families: &mut Families, probes: &ProbeRecord, labels: &SeriesLabels) {
    for (path, histogram) in &probes.convergence {
        let labels = labels.with("path", path.label());
        families.add_histogram(&c::CONVERGENCE, &labels, histogram);
    }
    if probes.written + probes.failed > 0 {
        let results = [("written", probes.written), ("failed", probes.failed)];
        families.add_each(&c::PROBE_WRITES, labels, "result", results);
    }
}

fn add_status(families: &mut Families, status: &DirectionStatus, labels: &SeriesLabels) {
    families.add(&c::DIVERGENT_KEYS, labels, status.keys.counted);
    families.add(&c::DIVERGENT_KEYS_LOWER, labels, status.keys.seen);
    families.add(&c::DIVERGENT_KEYS_UPPER, labels, status.keys.upper);
    families.add(&c::COUNTER_DIVERGENCE, labels, status.counters.counted);
    families.add(&c::IN_FLIGHT_KEYS, labels, status.in_flight);
    families.add(&c::UNPROPAGATED, labels, status.unpropagated);
    let ahead: Option<Span> = status.ahead;
    families.add(&c::TIMESTAMP_AHEAD, labels, ahead);
    let is_regression_known = status.regressed > 0 || status.counters.counted.is_some();
    let regressed = is_regression_known.then_some(status.regressed);
    families.add(&c::COUNTER_REGRESSED, labels, regressed);
}
