//! The map: datacenters in a circle, and between them the links, each as bad as its worst pair.

use std::collections::BTreeMap;
use std::f64::consts::{FRAC_PI_2, PI, TAU};

use super::query::link_address;
use crate::report::{LinkReport, ServerReport};

/// The map's size, in its own units.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 340.0;

/// Half the size of a datacenter's box.
const BOX: (f64, f64) = (78.0, 26.0);

/// Datacenters that fit into the circle; of more there is only the table.
const MAX_SITES: usize = 12;

/// Links that are all labelled; of more, only those that are not ok.
const MOST_LABELS: usize = 8;

/// Characters of a name that fit into its box.
const NAME: usize = 18;

/// The map, ready to be drawn.
pub(super) struct Map {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) sites: Vec<Site>,
    pub(super) lines: Vec<Line>,
}

/// A datacenter.
pub(super) struct Site {
    pub(super) name: String,
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
    pub(super) label: String,
    pub(super) level: &'static str,
    pub(super) y: f64,
}

/// A link.
pub(super) struct Line {
    pub(super) address: String,
    pub(super) path: String,
    pub(super) arrow: String,
    pub(super) level: &'static str,
    /// What a reader hears.
    pub(super) words: String,
    /// What stands beside it.
    pub(super) label: Option<String>,
    pub(super) label_x: f64,
    pub(super) label_y: f64,
    /// Which end of the label stands there: `start`, `middle` or `end`.
    pub(super) anchor: &'static str,
}

impl Map {
    /// The map of these links; `None` where there is nothing to draw, or too much.
    pub(super) fn of(links: &[LinkReport], servers: &[ServerReport]) -> Option<Self> {
        let mut names: Vec<&str> = links
            .iter()
            .flat_map(|link| [&*link.source_dc, &*link.target_dc])
            .collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() || names.len() > MAX_SITES {
            return None;
        }
        let places: BTreeMap<&str, (f64, f64)> =
            names.iter().copied().zip(places(names.len())).collect();
        let between: Vec<_> = links
            .iter()
            .filter(|link| link.source_dc != link.target_dc)
            .collect();
        let few = between.len() <= MOST_LABELS;
        Some(Self {
            width: WIDTH,
            height: HEIGHT,
            sites: names
                .iter()
                .map(|name| Site::of(name, places[name], links, servers))
                .collect(),
            lines: between
                .iter()
                .map(|link| Line::of(link, &places, (few, answered(link, &between))))
                .collect(),
        })
    }
}

/// Where `all` datacenters stand: two beside each other, more in a circle that is drawn out to the
/// map's edges, the first at the top.
fn places(all: usize) -> Vec<(f64, f64)> {
    let first = if all == 2 { PI } else { -FRAC_PI_2 };
    let circle: Vec<_> = (0..all)
        .map(|n| first + TAU * n as f64 / all as f64)
        .map(|a| (a.cos(), a.sin()))
        .collect();
    let room = (WIDTH / 2.0 - BOX.0 - 12.0, HEIGHT / 2.0 - BOX.1 - 22.0);
    let xs = stretched(
        circle.iter().map(|place| place.0).collect(),
        WIDTH / 2.0,
        room.0,
    );
    let ys = stretched(
        circle.iter().map(|place| place.1).collect(),
        HEIGHT / 2.0,
        room.1,
    );
    xs.into_iter().zip(ys).collect()
}

/// The values moved and drawn out to `centre - room ..= centre + room`; values that are all alike
/// to the centre.
fn stretched(values: Vec<f64>, centre: f64, room: f64) -> Vec<f64> {
    let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), v| {
        (low.min(*v), high.max(*v))
    });
    let span = high - low;
    let place = |v: f64| {
        if span < 0.01 {
            centre
        } else {
            centre - room + 2.0 * room * (v - low) / span
        }
    };
    values.into_iter().map(place).collect()
}

/// Whether there is a link back.
fn answered(link: &LinkReport, all: &[&LinkReport]) -> bool {
    all.iter()
        .any(|other| other.source_dc == link.target_dc && other.target_dc == link.source_dc)
}

impl Site {
    fn of(name: &str, (x, y): (f64, f64), links: &[LinkReport], servers: &[ServerReport]) -> Self {
        let own = servers.iter().filter(|server| server.dc == name);
        let silent = own
            .clone()
            .filter(|server| server.up == Some(false))
            .count();
        let inside = links
            .iter()
            .find(|link| link.source_dc == name && link.target_dc == name);
        Self {
            name: shortened(name),
            full_name: name.to_owned(),
            note: note(own.count(), silent),
            level: if silent > 0 { "critical" } else { "ok" },
            x: round(x),
            y: round(y),
            left: round(x - BOX.0),
            top: round(y - BOX.1),
            inside: inside.map(|link| Inside {
                address: link_address(name, name),
                label: format!("inside: {}", state_words(link)),
                level: link.level.label(),
                y: round(y + BOX.1 + 15.0),
            }),
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

fn shortened(name: &str) -> String {
    match name.char_indices().nth(NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// `3 pairs, 1 stalled`, or `3 pairs, streaming`.
pub(super) fn state_words(link: &LinkReport) -> String {
    let pairs = if link.pairs == 1 {
        "1 pair".to_owned()
    } else {
        format!("{} pairs", link.pairs)
    };
    format!("{pairs}, {}", link.state.label().replace('_', " "))
}

impl Line {
    fn of(
        link: &LinkReport,
        places: &BTreeMap<&str, (f64, f64)>,
        (all_labelled, answered): (bool, bool),
    ) -> Self {
        let level = link.level.label();
        let (from, to) = (places[&*link.source_dc], places[&*link.target_dc]);
        let curve = Curve::between(from, to, answered);
        let (label_x, label_y, anchor) = curve.label();
        let words = state_words(link);
        Self {
            address: link_address(&link.source_dc, &link.target_dc),
            path: curve.path(),
            arrow: curve.arrow(),
            level,
            words: format!("{} to {}: {level}, {words}", link.source_dc, link.target_dc),
            label: (all_labelled || level != "ok").then_some(words),
            label_x: round(label_x),
            label_y: round(label_y),
            anchor,
        }
    }
}

/// A quadratic Bézier curve, so that a link and its counterpart do not hide each other.
struct Curve {
    from: (f64, f64),
    bend: (f64, f64),
    to: (f64, f64),
    /// Towards its outside.
    side: (f64, f64),
}

impl Curve {
    /// To the left of its way; where there is no counterpart, to the outside of the map, where
    /// there is room.
    fn between(from: (f64, f64), to: (f64, f64), answered: bool) -> Self {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx.hypot(dy).max(1.0);
        let left = (dy / length, -dx / length);
        let middle = (
            f64::midpoint(from.0, to.0) - WIDTH / 2.0,
            f64::midpoint(from.1, to.1) - HEIGHT / 2.0,
        );
        let inwards = middle.0 * left.0 + middle.1 * left.1 < -0.01;
        let side = if inwards && !answered {
            (-left.0, -left.1)
        } else {
            left
        };
        // Enough for a label on either side, less on long lines.
        let away = 34.0 + length * 0.08;
        let bend = (
            f64::midpoint(from.0, to.0) + side.0 * away,
            f64::midpoint(from.1, to.1) + side.1 * away,
        );
        let (from, to) = (edge(from, bend), edge(to, bend));
        Self {
            from,
            bend,
            to,
            side,
        }
    }

    fn at(&self, t: f64) -> (f64, f64) {
        let along = |a: f64, b: f64, c: f64| {
            (1.0 - t) * (1.0 - t) * a + 2.0 * t * (1.0 - t) * b + t * t * c
        };
        (
            along(self.from.0, self.bend.0, self.to.0),
            along(self.from.1, self.bend.1, self.to.1),
        )
    }

    /// Where its label stands, outside of the bend, and by which end.
    fn label(&self) -> (f64, f64, &'static str) {
        let ((x, y), (dx, dy)) = (self.at(0.5), self.side);
        let anchor = match dx {
            right if right > 0.35 => "start",
            left if left < -0.35 => "end",
            _ => "middle",
        };
        // A text stands on its line: below the curve it needs its own height more.
        (
            x + dx * 9.0,
            y + dy * 11.0 + 5.0 + dy.max(0.0) * 3.0,
            anchor,
        )
    }

    fn path(&self) -> String {
        let [(ax, ay), (bx, by), (cx, cy)] =
            [self.from, self.bend, self.to].map(|(x, y)| (round(x), round(y)));
        format!("M{ax} {ay}Q{bx} {by} {cx} {cy}")
    }

    /// A triangle at the end.
    fn arrow(&self) -> String {
        let before = self.at(0.94);
        let (dx, dy) = (self.to.0 - before.0, self.to.1 - before.1);
        let length = dx.hypot(dy).max(1.0);
        let (dx, dy) = (dx / length, dy / length);
        let corner = |along: f64, aside: f64| {
            let x = self.to.0 - dx * along - dy * aside;
            let y = self.to.1 - dy * along + dx * aside;
            format!("{} {}", round(x), round(y))
        };
        format!(
            "M{}L{}L{}Z",
            corner(0.0, 0.0),
            corner(12.0, 5.5),
            corner(12.0, -5.5)
        )
    }
}

/// Where the way from a box's centre towards a point leaves the box, with a little air.
fn edge(centre: (f64, f64), towards: (f64, f64)) -> (f64, f64) {
    let (dx, dy) = (towards.0 - centre.0, towards.1 - centre.1);
    let share = ((BOX.0 + 5.0) / dx.abs().max(0.001))
        .min((BOX.1 + 5.0) / dy.abs().max(0.001))
        .min(1.0);
    (centre.0 + dx * share, centre.1 + dy * share)
}

/// To a tenth: more digits would only make the page longer.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replication::PairState;
    use crate::report::testing::{pair, report};

    fn links(names: &[(&str, &str)]) -> Vec<LinkReport> {
        let pairs = names.iter().map(|(from, to)| {
            let mut pair = pair("orders");
            (pair.source_dc, pair.target_dc) = ((*from).to_owned(), (*to).to_owned());
            pair
        });
        let mut report = report([]);
        report.pairs = pairs.collect();
        report.links()
    }

    #[test]
    fn a_link_and_its_counterpart_lie_apart_and_inside_the_map() {
        let map = Map::of(&links(&[("a", "b"), ("b", "a")]), &[]).unwrap();
        let [there, back] = map.lines.as_slice() else {
            panic!("two lines")
        };
        assert!(there.label_y < HEIGHT / 2.0 - 20.0 && back.label_y > HEIGHT / 2.0 + 20.0);
        assert_eq!((there.anchor, back.anchor), ("middle", "middle"));
        assert_eq!(there.words, "a to b: ok, 1 pair, streaming");
        assert_eq!(there.label.as_deref(), Some("1 pair, streaming"));
        assert_eq!(there.address, "/?from=a&to=b");
    }

    #[test]
    fn every_box_of_every_number_of_datacenters_is_inside_the_map() {
        let names: Vec<_> = (0..=MAX_SITES).map(|n| format!("dc{n:02}")).collect();
        for count in 1..=MAX_SITES {
            let all: Vec<_> = names[..count]
                .iter()
                .map(|name| ("dc00", name.as_str()))
                .collect();
            let map = Map::of(&links(&all), &[]).unwrap();
            assert_eq!(map.sites.len(), count);
            for site in &map.sites {
                assert!(
                    site.left >= 0.0 && site.x + BOX.0 <= WIDTH,
                    "{count}: {}",
                    site.left
                );
                assert!(
                    site.top >= 0.0 && site.y + BOX.1 + 20.0 <= HEIGHT,
                    "{count}: {}",
                    site.top
                );
            }
        }
        let too_many: Vec<_> = names.iter().map(|name| ("dc00", name.as_str())).collect();
        assert!(Map::of(&links(&too_many), &[]).is_none() && Map::of(&[], &[]).is_none());
    }

    #[test]
    fn of_many_links_only_those_in_trouble_are_labelled() {
        let all: Vec<_> = ["a", "b", "c", "d"]
            .iter()
            .flat_map(|a| ["a", "b", "c", "d"].map(|b| (*a, b)))
            .collect();
        let mut links = links(&all);
        (links[1].level, links[1].state) =
            (crate::report::Level::Critical, PairState::MasterUnreachable);
        let map = Map::of(&links, &[]).unwrap();
        assert_eq!(map.lines.len(), 12);
        let labels: Vec<_> = map
            .lines
            .iter()
            .filter_map(|line| line.label.as_deref())
            .collect();
        assert_eq!(labels, ["1 pair, master unreachable"]);
        assert_eq!(
            map.sites[0].inside.as_ref().unwrap().label,
            "inside: 1 pair, streaming"
        );
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let map = Map::of(&links(&[("é".repeat(40).as_str(), "b")]), &[]).unwrap();
        assert_eq!(map.sites[1].name, "é".repeat(NAME) + "…");
    }
}
