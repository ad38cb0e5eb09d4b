use super::*;
use crate::config::Severity;
use crate::replication::PairState;
use crate::report::testing::{pair, report};
use crate::report::{AlertBrief, ListedState, PairReport};

fn reports(pairs: Vec<PairReport>) -> Vec<LinkReport> {
    let mut report = report([]);
    report.pairs = pairs;
    report.links()
}

fn between(from: &str, to: &str) -> PairReport {
    let mut pair = pair("orders");
    from.clone_into(&mut pair.source_dc);
    to.clone_into(&mut pair.target_dc);
    pair
}

fn lag_is_high() -> AlertBrief {
    AlertBrief {
        alertname: "RedisCrossDcLagHigh".to_owned(),
        severity: Severity::Warning,
        state: ListedState::Firing,
        recovering: false,
        reason: None,
    }
}

fn links(names: &[(&str, &str)]) -> Vec<LinkReport> {
    reports(names.iter().map(|(from, to)| between(from, to)).collect())
}

fn text(label: Option<&Label>) -> String {
    label.map_or_else(String::new, |label| {
        format!("{} {}", label.first, label.second)
    })
}

#[test]
fn links_in_both_directions_lie_apart_and_inside_the_map() {
    let map = Map::new(&links(&[("a", "b"), ("b", "a")]), &[]).unwrap();
    let [there, back] = map.lines.as_slice() else {
        panic!("two lines")
    };
    let height = |line: &Line| line.label.as_ref().unwrap().first_y;
    assert!(height(there) + 2.0 * LINE_HEIGHT < height(back));
    assert_eq!(there.words, "a to b: ok, 1 pair streaming");
    assert_eq!(text(there.label.as_ref()), "1 pair streaming");
    assert_eq!(there.address, "/?from=a&to=b");
}

#[test]
fn a_label_counts_the_pairs_in_the_worst_state() {
    let mut stalled = between("dc1", "dc2");
    stalled.state = PairState::Stalled;
    let map = Map::new(&reports(vec![between("dc1", "dc2"), stalled]), &[]).unwrap();
    assert_eq!(text(map.lines[0].label.as_ref()), "1 of 2 pairs stalled");
    assert_eq!(
        map.lines[0].words,
        "dc1 to dc2: warning, 1 of 2 pairs stalled"
    );
}

#[test]
fn a_link_with_an_alert_is_labelled_with_the_alert() {
    let mut slow = between("dc1", "dc2");
    slow.alerts = vec![lag_is_high()];
    let map = Map::new(&reports(vec![between("dc1", "dc2"), slow]), &[]).unwrap();
    assert_eq!(map.lines[0].level, "warning");
    assert_eq!(text(map.lines[0].label.as_ref()), "1 of 2 pairs lag high");
}

#[test]
fn with_many_links_only_those_in_trouble_are_labelled() {
    let all: Vec<_> = ["a", "b", "c", "d"]
        .iter()
        .flat_map(|a| ["a", "b", "c", "d"].map(|b| (*a, b)))
        .collect();
    let mut links = links(&all);
    links[1].level = Level::Critical;
    links[1].state = PairState::MasterUnreachable;
    let map = Map::new(&links, &[]).unwrap();
    assert_eq!(map.lines.len(), 12);
    let labels: Vec<_> = map
        .lines
        .iter()
        .filter_map(|line| line.label.as_ref())
        .collect();
    assert_eq!(labels.len(), 1);
    assert_eq!(text(labels.first().copied()), "1 pair master unreachable");
    let inside = map.sites[0].inside.as_ref().unwrap();
    assert_eq!(text(inside.label.as_ref()), "inside: 1 pair streaming");
}

#[test]
fn a_long_name_gets_smaller_letters_and_then_is_cut_between_characters() {
    let map = Map::new(
        &links(&[(&"é".repeat(40), "eu-central-1"), ("a", "b")]),
        &[],
    )
    .unwrap();
    let site = |name: &str| {
        map.sites
            .iter()
            .find(|site| site.full_name == name)
            .unwrap()
    };
    assert!(site(&"é".repeat(40)).name.ends_with('…'));
    assert_eq!(site("eu-central-1").name, "eu-central-1");
}

/// The room that a label needs, at the widest.
fn extent(label: &Label) -> Rect {
    let size = Label::size(&label.first, &label.second);
    let top = label.first_y - Label::first_baseline(0.0);
    let centre = Point {
        x: label.x,
        y: top + size.height / 2.0,
    };
    Rect::around(centre, size)
}

/// Rounded places are off by at most a tenth.
const ROUNDING: f64 = 0.2;

fn overlap(a: Rect, b: Rect) -> bool {
    a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
}

fn nothing_is_clipped_or_hidden(map: &Map) {
    let inside = map.sites.iter().any(|site| site.inside.is_some());
    let frame = Frame::new(map.sites.len(), inside);
    let boxes: Vec<Rect> = map
        .sites
        .iter()
        .map(|site| site.rect(frame).shrunk(ROUNDING))
        .collect();
    let of_lines = map.lines.iter().filter_map(|line| line.label.as_ref());
    let of_sites = map.sites.iter().filter_map(|site| site.inside.as_ref());
    let labels: Vec<Rect> = of_lines
        .chain(of_sites.filter_map(|inside| inside.label.as_ref()))
        .map(|label| extent(label).shrunk(ROUNDING))
        .collect();
    for place in labels.iter().chain(&boxes) {
        assert!(place.is_within(frame.area()), "{place:?}");
    }
    for (n, place) in boxes.iter().enumerate() {
        let others = boxes[n + 1..]
            .iter()
            .filter(|other| overlap(*place, **other));
        assert_eq!(others.count(), 0, "{} boxes: {place:?}", boxes.len());
    }
    for label in &labels {
        let hidden = boxes.iter().any(|site| overlap(*label, *site));
        assert!(!hidden, "{label:?} on a box");
    }
    for site in &map.sites {
        let font = if site.long { LONG_NAME_FONT } else { NAME_FONT };
        assert!(measure::width(&site.name, font) <= frame.box_size.width);
        assert!(measure::width(&site.note, NOTE_FONT) <= frame.box_size.width);
    }
}

/// Whatever the links are, every text is inside the map, at the widest that it may be.
#[test]
fn in_any_map_every_text_is_inside_and_none_is_on_a_box() {
    let names: Vec<String> = (0..MAX_SITES)
        .map(|n| format!("eu-central-{n:02}"))
        .collect();
    for count in 1..=MAX_SITES {
        for density in 1..=7 {
            let mut pairs = Vec::new();
            for (n, from) in names[..count].iter().enumerate() {
                for (m, to) in names[..count].iter().enumerate() {
                    if (n * 5 + m * 3) % density == 0 || n == 0 {
                        let mut pair = between(from, to);
                        pair.state = PairState::ALL[(n + m) % PairState::ALL.len()];
                        pairs.extend(vec![pair; 1 + (n * m) % 400]);
                        pairs.push(between(from, to));
                    }
                }
            }
            let map = Map::new(&reports(pairs), &[]).unwrap();
            assert_eq!(map.sites.len(), count);
            nothing_is_clipped_or_hidden(&map);
        }
    }
}

/// In the maps that most people have, every link is labelled: two datacenters that replicate both
/// ways, three that replicate one way.
#[test]
fn with_two_or_three_datacenters_every_link_has_a_label() {
    let all = ["dc1", "dc2", "dc3"];
    for count in 2..=3 {
        let mut pairs = Vec::new();
        for from in &all[..count] {
            for to in all[..count].iter().filter(|to| count == 2 || *from <= **to) {
                let mut pair = between(from, to);
                pair.state = PairState::ReplicaUnreachable;
                pairs.push(between(from, to));
                pairs.push(pair);
            }
        }
        let map = Map::new(&reports(pairs), &[]).unwrap();
        let labelled = map.lines.iter().filter(|line| line.label.is_some()).count();
        assert_eq!(labelled, map.lines.len(), "{count} datacenters");
    }
}

#[test]
fn too_many_datacenters_or_none_have_no_map() {
    let names: Vec<_> = (0..=MAX_SITES).map(|n| format!("dc{n:02}")).collect();
    let too_many: Vec<_> = names.iter().map(|name| ("dc00", name.as_str())).collect();
    assert!(Map::new(&links(&too_many), &[]).is_none() && Map::new(&[], &[]).is_none());
}
