//! The map: datacenters in a circle, and between them the links, each as bad as its worst pair.

mod curve;
mod labels;
mod words;

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::f64::consts::{FRAC_PI_2, PI, TAU};

use super::measure;
use super::query::link_address;
use crate::report::{LinkReport, ServerReport};
use curve::Curve;
use labels::{Labels, Rect};
pub(super) use words::{count_words, state_words};

/// Datacenters that fit into the circle; of more there is only the table.
const MAX_SITES: usize = 12;

/// Datacenters of a map whose letters can be read on a phone, too.
const FEW_SITES: usize = 4;

/// Links that are all labelled; of more, only those that are not ok.
const MOST_LABELS: usize = 8;

/// Letters, as style.css has them: of a name, of a long one, of what stands below it, of a link.
const NAME: f64 = 13.0;
const LONG_NAME: f64 = 11.0;
const NOTE: f64 = 11.0;
pub(super) const LABEL: f64 = 12.0;

/// From one line of a label to the next.
const LINE: f64 = 15.0;

/// Between a box and what stands in it or below it.
const PADDING: f64 = 5.0;

/// The map's size in its own units, and half of a box's.
#[derive(Clone, Copy)]
struct Frame {
    width: f64,
    height: f64,
    half: (f64, f64),
    /// Room below each box.
    below: f64,
}

impl Frame {
    /// The frame of as many datacenters; `inside` is whether pairs stay in some of them, which is
    /// said below their boxes.
    const fn for_sites(count: usize, inside: bool) -> Self {
        let height = match (count, inside) {
            (1, _) => 130.0,
            (2, false) => 150.0,
            (2, true) => 190.0,
            _ => 350.0,
        };
        let below = if inside {
            LINE + LABEL * 1.3 + 2.0 * PADDING
        } else {
            0.0
        };
        if count <= FEW_SITES {
            return Self {
                width: 460.0,
                height,
                half: (64.0, 24.0),
                below,
            };
        }
        Self {
            width: 720.0,
            height: 420.0,
            half: (56.0, 22.0),
            below,
        }
    }
}

/// The map, ready to be drawn.
pub(super) struct Map {
    /// Whether it is too crowded for a phone.
    pub(super) crowded: bool,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) box_width: f64,
    pub(super) box_height: f64,
    pub(super) sites: Vec<Site>,
    pub(super) lines: Vec<Line>,
}

/// A datacenter.
pub(super) struct Site {
    pub(super) name: String,
    /// Whether its name is in smaller letters.
    pub(super) long: bool,
    pub(super) full_name: String,
    pub(super) note: String,
    pub(super) level: &'static str,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) inside: Option<Inside>,
}

/// The pairs that do not leave a datacenter.
pub(super) struct Inside {
    pub(super) address: String,
    pub(super) words: String,
    pub(super) level: &'static str,
    /// What stands below the box, where there is room.
    pub(super) label: Option<Label>,
}

/// A link.
pub(super) struct Line {
    pub(super) address: String,
    pub(super) path: String,
    pub(super) arrow: String,
    pub(super) level: &'static str,
    /// What a reader hears.
    pub(super) words: String,
    /// What stands beside it, where there is room.
    pub(super) label: Option<Label>,
}

/// A text in two lines around its middle.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Label {
    pub(super) x: f64,
    /// Where its lines stand.
    pub(super) first_y: f64,
    pub(super) second_y: f64,
    pub(super) first: String,
    pub(super) second: String,
}

impl Label {
    /// The text in the middle of a rectangle.
    fn within(place: Rect, first: String, second: String) -> Self {
        // A text stands on its line, with a quarter of its size below it.
        let baseline = place.top + LABEL * 0.95;
        Self {
            x: round(f64::midpoint(place.left, place.right)),
            first_y: round(baseline),
            second_y: round(baseline + LINE),
            first,
            second,
        }
    }

    /// How much room it needs.
    fn size(first: &str, second: &str) -> (f64, f64) {
        let width = measure::widest([first, second], LABEL);
        (width.ceil(), LINE + LABEL * 1.3)
    }
}

impl Map {
    /// The map of these links; `None` where there is nothing to draw, or too much.
    pub(super) fn new(links: &[LinkReport], servers: &[ServerReport]) -> Option<Self> {
        let mut names: Vec<&str> = links
            .iter()
            .flat_map(|link| [&*link.source_dc, &*link.target_dc])
            .collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() || names.len() > MAX_SITES {
            return None;
        }
        let stays = |link: &LinkReport| link.source_dc == link.target_dc;
        let frame = Frame::for_sites(names.len(), links.iter().any(stays));
        let places: BTreeMap<&str, (f64, f64)> = names
            .iter()
            .copied()
            .zip(places(names.len(), frame))
            .collect();
        let mut labels = Labels::new(frame);
        let mut sites: Vec<Site> = places
            .iter()
            .map(|(name, at)| Site::new(name, *at, frame, servers))
            .collect();
        for site in &sites {
            labels.keep_free(site.extent(frame));
        }
        for site in &mut sites {
            site.inside = inside(links, &site.full_name)
                .map(|link| Inside::new(link, site.extent(frame), &mut labels));
        }
        Some(Self {
            crowded: names.len() > FEW_SITES,
            width: frame.width,
            height: frame.height,
            box_width: 2.0 * frame.half.0,
            box_height: 2.0 * frame.half.1,
            lines: lines(links, &places, frame, &mut labels),
            sites,
        })
    }
}

/// The links between datacenters, with their labels. The worst are the first to be given room.
fn lines(
    links: &[LinkReport],
    places: &BTreeMap<&str, (f64, f64)>,
    frame: Frame,
    labels: &mut Labels,
) -> Vec<Line> {
    let mut between: Vec<&LinkReport> = links
        .iter()
        .filter(|link| link.source_dc != link.target_dc)
        .collect();
    between.sort_by_key(|link| (Reverse(link.level), link.state));
    let few = between.len() <= MOST_LABELS;
    let mut drawn = Vec::new();
    for link in &between {
        let ends = places
            .get(&*link.source_dc)
            .zip(places.get(&*link.target_dc));
        let Some((from, to)) = ends else {
            continue;
        };
        let curve = Curve::between(*from, *to, frame, answered(link, &between));
        let labelled = few || link.level.label() != "ok";
        let label = labelled.then(|| labels.place(&curve, count_words(link), state_words(link)));
        drawn.push(Line::new(link, &curve, label.flatten()));
    }
    drawn
}

/// Where `all` datacenters stand: two beside each other, more in a circle that is drawn out to the
/// map's edges, the first at the top.
fn places(all: usize, frame: Frame) -> Vec<(f64, f64)> {
    let first = if all == 2 { PI } else { -FRAC_PI_2 };
    let angles: Vec<f64> = (0..all)
        .map(|n| first + TAU * n as f64 / all as f64)
        .collect();
    let middle = (
        frame.width / 2.0,
        (frame.height - frame.below) / 2.0 + PADDING / 2.0,
    );
    let xs = stretched(
        angles.iter().map(|angle| angle.cos()).collect(),
        middle.0,
        middle.0 - frame.half.0 - PADDING,
    );
    let ys = stretched(
        angles.iter().map(|angle| angle.sin()).collect(),
        middle.1,
        middle.1 - frame.half.1 - 2.0 * PADDING,
    );
    xs.into_iter().zip(ys).collect()
}

/// The values moved and drawn out to `centre - room ..= centre + room`; values that are all alike
/// to the centre.
fn stretched(values: Vec<f64>, centre: f64, room: f64) -> Vec<f64> {
    let low = values.iter().copied().fold(f64::MAX, f64::min);
    let high = values.iter().copied().fold(f64::MIN, f64::max);
    let span = high - low;
    let place = |value: f64| {
        if span < 0.01 {
            centre
        } else {
            centre - room + 2.0 * room * (value - low) / span
        }
    };
    values.into_iter().map(place).collect()
}

/// The pairs that do not leave a datacenter.
fn inside<'a>(links: &'a [LinkReport], dc: &str) -> Option<&'a LinkReport> {
    links
        .iter()
        .find(|link| link.source_dc == dc && link.target_dc == dc)
}

/// Whether there is a link back.
fn answered(link: &LinkReport, all: &[&LinkReport]) -> bool {
    all.iter()
        .any(|other| other.source_dc == link.target_dc && other.target_dc == link.source_dc)
}

impl Site {
    fn new(name: &str, (x, y): (f64, f64), frame: Frame, servers: &[ServerReport]) -> Self {
        let own: Vec<&ServerReport> = servers.iter().filter(|server| server.dc == name).collect();
        let silent = own.iter().filter(|server| server.up == Some(false)).count();
        let room = 2.0 * (frame.half.0 - PADDING);
        let long = measure::width(name, NAME) > room;
        let size = if long { LONG_NAME } else { NAME };
        Self {
            name: measure::fitted(name, size, room),
            long,
            full_name: name.to_owned(),
            note: measure::fitted(&note(own.len(), silent), NOTE, room),
            level: if silent > 0 { "critical" } else { "ok" },
            x: round(x),
            y: round(y),
            left: round(x - frame.half.0),
            top: round(y - frame.half.1),
            inside: None,
        }
    }

    /// Its box: nothing else may stand there.
    fn extent(&self, frame: Frame) -> Rect {
        Rect::around(self.x, self.y, (2.0 * frame.half.0, 2.0 * frame.half.1))
    }
}

impl Inside {
    fn new(link: &LinkReport, site: Rect, labels: &mut Labels) -> Self {
        let count = count_words(link);
        let state = state_words(link);
        let level = link.level.label();
        let words = format!("inside {}: {level}, {count} {state}", link.source_dc);
        Self {
            address: link_address(&link.source_dc, &link.target_dc),
            words,
            level,
            label: labels.below(site, format!("inside: {count}"), state),
        }
    }
}

fn note(servers: usize, silent: usize) -> String {
    match (servers, silent) {
        (1, 0) => "1 server".to_owned(),
        (all, 0) => format!("{all} servers"),
        (all, silent) => format!("{silent} of {all} silent"),
    }
}

impl Line {
    fn new(link: &LinkReport, curve: &Curve, label: Option<Label>) -> Self {
        let level = link.level.label();
        Self {
            address: link_address(&link.source_dc, &link.target_dc),
            path: curve.path(),
            arrow: curve.arrow(),
            level,
            words: format!(
                "{} to {}: {level}, {} {}",
                link.source_dc,
                link.target_dc,
                count_words(link),
                state_words(link)
            ),
            label,
        }
    }
}

/// To a tenth: more digits would only make the page longer.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
