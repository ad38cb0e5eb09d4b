//! The map: datacenters in a circle, and between them the links, each drawn with the level of its
//! worst pair.

mod curve;
mod frame;
mod geometry;
mod labels;
mod words;

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::measure;
use super::query::link_address;
use crate::report::{Level, LinkReport, ServerReport};
use curve::Curve;
use frame::Frame;
use geometry::{Point, Rect, Size, round};
use labels::Labels;
pub(super) use words::{count_words, state_words};

/// Datacenters that fit on the map; with more there is only the table.
const MAX_SITES: usize = 12;

/// Datacenters of a map whose letters can be read on a phone, too.
const FEW_SITES: usize = 4;

/// Links that are all labelled; with more, only those that are not ok are.
const MOST_LABELS: usize = 8;

/// Font sizes, as style.css has them: of a name, of a long name, of the note below it.
const NAME_FONT: f64 = 13.0;
const LONG_NAME_FONT: f64 = 11.0;
const NOTE_FONT: f64 = 11.0;

/// The font size of a link's label; style.css has the same.
const LABEL_FONT: f64 = 12.0;

/// From one line of a label to the next.
const LINE_HEIGHT: f64 = 15.0;

/// Room between a box and the text in it or below it.
const PADDING: f64 = 5.0;

/// The map, ready to be drawn.
pub(super) struct Map {
    /// Whether it has too many boxes for a phone.
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

/// The pairs whose master and replica are in one datacenter.
pub(super) struct Inside {
    pub(super) address: String,
    pub(super) words: String,
    pub(super) level: &'static str,
    /// The text below the box, where there is room.
    pub(super) label: Option<Label>,
}

/// A link.
pub(super) struct Line {
    pub(super) address: String,
    pub(super) path: String,
    pub(super) arrow: String,
    pub(super) level: &'static str,
    /// The text for a screen reader.
    pub(super) words: String,
    /// The text beside it, where there is room.
    pub(super) label: Option<Label>,
}

/// A text in two lines, centred at `x`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Label {
    pub(super) x: f64,
    /// The baselines of its lines.
    pub(super) first_y: f64,
    pub(super) second_y: f64,
    pub(super) first: String,
    pub(super) second: String,
}

impl Label {
    /// The height of its two lines.
    const HEIGHT: f64 = LINE_HEIGHT + LABEL_FONT * 1.3;

    /// The text in the middle of a rectangle.
    fn within(place: Rect, first: String, second: String) -> Self {
        let baseline = Self::first_baseline(place.top);
        Self {
            x: round(f64::midpoint(place.left, place.right)),
            first_y: round(baseline),
            second_y: round(baseline + LINE_HEIGHT),
            first,
            second,
        }
    }

    /// The baseline of the first line of a label that begins at `top`.
    const fn first_baseline(top: f64) -> f64 {
        top + LABEL_FONT * 0.95
    }

    /// How much room it needs.
    fn size(first: &str, second: &str) -> Size {
        Size {
            width: measure::widest([first, second], LABEL_FONT).ceil(),
            height: Self::HEIGHT,
        }
    }
}

impl Map {
    /// The map of these links; `None` where there is nothing to draw, or too much.
    pub(super) fn new(links: &[LinkReport], servers: &[ServerReport]) -> Option<Self> {
        let names = datacenters(links);
        if names.is_empty() || names.len() > MAX_SITES {
            return None;
        }
        let has_inside = links.iter().any(is_inside);
        let frame = Frame::new(names.len(), has_inside);
        let centres = frame.box_centres(names.len());
        let places: BTreeMap<&str, Point> = names.iter().copied().zip(centres).collect();

        let mut labels = Labels::new(frame);
        let mut sites: Vec<Site> = places
            .iter()
            .map(|(name, centre)| Site::new(name, *centre, frame, servers))
            .collect();
        // All boxes before the first label: none may lie on any of them.
        for site in &sites {
            labels.occupy(site.rect(frame));
        }
        for site in &mut sites {
            site.inside = Inside::new(site, links, frame, &mut labels);
        }
        Some(Self {
            crowded: names.len() > FEW_SITES,
            width: frame.width,
            height: frame.height,
            box_width: frame.box_size.width,
            box_height: frame.box_size.height,
            lines: lines(links, &places, frame, &mut labels),
            sites,
        })
    }
}

/// The datacenters that the links join, in alphabetical order.
fn datacenters(links: &[LinkReport]) -> Vec<&str> {
    let mut names = Vec::new();
    for link in links {
        names.push(link.source_dc.as_str());
        names.push(link.target_dc.as_str());
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// Whether its pairs stay in one datacenter.
fn is_inside(link: &LinkReport) -> bool {
    link.source_dc == link.target_dc
}

/// The links between datacenters, with their labels. The worst come first, so that they have a
/// label even where there is not room for all.
fn lines(
    links: &[LinkReport],
    places: &BTreeMap<&str, Point>,
    frame: Frame,
    labels: &mut Labels,
) -> Vec<Line> {
    let mut between: Vec<&LinkReport> = links.iter().filter(|link| !is_inside(link)).collect();
    between.sort_by_key(|link| (Reverse(link.level), link.state));
    let label_all = between.len() <= MOST_LABELS;

    let mut drawn = Vec::new();
    for link in &between {
        let from = places.get(link.source_dc.as_str());
        let to = places.get(link.target_dc.as_str());
        let (Some(from), Some(to)) = (from, to) else {
            continue;
        };
        let curve = Curve::between(*from, *to, frame, has_return(link, &between));
        let label = if label_all || link.level != Level::Ok {
            labels.beside_link(&curve, count_words(link), state_words(link))
        } else {
            None
        };
        drawn.push(Line::new(link, &curve, label));
    }
    drawn
}

/// Whether there is also a link in the opposite direction.
fn has_return(link: &LinkReport, all: &[&LinkReport]) -> bool {
    all.iter()
        .any(|other| other.source_dc == link.target_dc && other.target_dc == link.source_dc)
}

impl Site {
    fn new(name: &str, centre: Point, frame: Frame, servers: &[ServerReport]) -> Self {
        let own: Vec<&ServerReport> = servers.iter().filter(|server| server.dc == name).collect();
        let silent = own.iter().filter(|server| server.up == Some(false)).count();
        let room = frame.box_size.width - 2.0 * PADDING;
        let long = measure::width(name, NAME_FONT) > room;
        let font = if long { LONG_NAME_FONT } else { NAME_FONT };
        let rect = Rect::around(centre, frame.box_size);
        Self {
            name: measure::fitted(name, font, room),
            long,
            full_name: name.to_owned(),
            note: measure::fitted(&note(own.len(), silent), NOTE_FONT, room),
            level: if silent > 0 { "critical" } else { "ok" },
            x: round(centre.x),
            y: round(centre.y),
            left: round(rect.left),
            top: round(rect.top),
            inside: None,
        }
    }

    /// Its box.
    fn rect(&self, frame: Frame) -> Rect {
        let centre = Point {
            x: self.x,
            y: self.y,
        };
        Rect::around(centre, frame.box_size)
    }
}

impl Inside {
    /// The pairs that stay in this datacenter, where there are some.
    fn new(site: &Site, links: &[LinkReport], frame: Frame, labels: &mut Labels) -> Option<Self> {
        let mut inside = links.iter().filter(|link| is_inside(link));
        let link = inside.find(|link| link.source_dc == site.full_name)?;
        let count = count_words(link);
        let state = state_words(link);
        let level = link.level.label();
        Some(Self {
            address: link_address(&link.source_dc, &link.target_dc),
            words: format!("inside {}: {level}, {count} {state}", link.source_dc),
            level,
            label: labels.near_box(site.rect(frame), format!("inside: {count}"), state),
        })
    }
}

/// The text below a datacenter's name.
fn note(servers: usize, silent: usize) -> String {
    match (servers, silent) {
        (1, 0) => "1 server".to_owned(),
        (all, 0) => format!("{all} servers"),
        (all, silent) => format!("{silent} of {all} silent"),
    }
}

impl Line {
    fn new(link: &LinkReport, curve: &Curve, label: Option<Label>) -> Self {
        let from = &link.source_dc;
        let to = &link.target_dc;
        let level = link.level.label();
        let count = count_words(link);
        let state = state_words(link);
        Self {
            address: link_address(from, to),
            path: curve.path(),
            arrow: curve.arrow(),
            level,
            words: format!("{from} to {to}: {level}, {count} {state}"),
            label,
        }
    }
}
