use super::*;
use crate::report::testing::{Scene, fleet, fleet_named, large_fleet};

fn html(fleet: (FleetSnapshot, Timestamp)) -> String {
    filtered(fleet, &Filter::default())
}

fn filtered((fleet, now): (FleetSnapshot, Timestamp), filter: &Filter) -> String {
    String::from_utf8(render(&fleet, now, filter).unwrap()).unwrap()
}

fn pair_html((fleet, now): (FleetSnapshot, Timestamp), name: &str) -> String {
    let view = PairView {
        name: name.to_owned(),
        replica: None,
        range: Range::Minutes,
    };
    String::from_utf8(render_pair(&fleet, now, &view).unwrap()).unwrap()
}

fn check(html: &str, parts: &[&str]) {
    for part in parts {
        assert!(html.contains(part), "{part} is not in {html}");
    }
}

#[test]
fn a_healthy_fleet_shows_lag_with_its_interval_and_a_calm_page() {
    let html = html(fleet(Scene::Streaming));
    check(
        &html,
        &[
            "<title>1 ok - redis-cross-dc-exporter</title>",
            "<span class=\"badge ok\">ok</span> streaming</td>",
            "<strong>0.000 s</strong> <small>0.000 s to 0.",
            "<a href=\"/pairs/orders?replica=r.example.com%3A6379\">orders</a>",
            "dc1 → dc2",
            "No alert is firing or pending.",
            "<path class=\"wire\" d=\"M",
        ],
    );
    assert!(!html.contains("Servers that do not answer"));
}

#[test]
fn a_lost_master_page_shows_the_last_certain_lag_and_the_silent_server() {
    check(
        &html(fleet(Scene::MasterLost)),
        &[
            "<span class=\"badge warning\">warning</span> master_unreachable",
            "; last certain: at most 0.",
            "Servers that do not answer</h2>",
            "href=\"/runbooks/RedisCrossDcServerUnreachable?server=m.example.com%3A6379\"",
            "the server gave no answer in time",
            "<time datetime=\"2025-06-15T",
            "aria-label=\"dc1 to dc2: warning, 1 pair master unreachable\"",
            "streaming → master_unreachable",
            "1 of 1 silent",
            "<details class=\"alert warning\" id=\"alerts.firing.RedisCrossDcServerUnreachable.dc1\">",
            "<span class=\"line\">orders: master m.example.com:6379 (dc1) has not answered",
            "last known: at most 0.",
            "1 of 1 unknown",
        ],
    );
}

#[test]
fn unknown_values_are_a_dash_with_a_reason() {
    check(
        &html(fleet(Scene::NothingYet)),
        &[
            "<td data-label=\"Lag\" class=\"number lag\"><strong>-</strong></td>",
            "the first polls are under way",
            "Starting: not every server has been polled yet.",
        ],
    );
}

#[test]
fn a_monitor_that_has_stopped_makes_a_stale_page() {
    let (fleet, now) = fleet(Scene::Streaming);
    let stopped = now + crate::model::Span::from_secs(45);
    let html = html((fleet, stopped));
    check(
        &html,
        &[
            "<title>stale · ",
            "<body class=\"stale\">",
            "<p class=\"banner critical\"><strong>This page is stale: ",
        ],
    );
}

#[test]
fn a_page_shows_its_time_and_fills_in_a_silence() {
    let filter = Filter {
        silence: vec!["pair=orders".to_owned()],
        silence_for: "2h".to_owned(),
        ..Filter::default()
    };
    check(
        &filtered(fleet(Scene::MasterLost), &filter),
        &[
            "data-live>As of <time datetime=\"2025-06-15T",
            "<details id=\"silence\" open hidden>",
            ">pair=orders</textarea>",
            "<option value=\"7200\" selected>2 hours</option>",
            "Matches no alert now, and later ones of 1 pair.",
            "silence add &#39;pair=orders&#39; --for 2h",
        ],
    );
}

#[test]
fn hostile_names_are_text_and_nothing_else() {
    let name = "<script>alert('x')</script>\"&";
    for html in [
        html(fleet_named(name, Scene::MasterLost)),
        pair_html(fleet_named(name, Scene::MasterLost), name),
    ] {
        assert_eq!(html.matches("<script").count(), 1, "the page's own: {html}");
        check(
            &html,
            &["&#60;script&#62;alert(&#39;x&#39;)&#60;/script&#62;&#34;&#38;"],
        );
    }
}

#[test]
fn a_large_fleet_is_split_into_screenfuls() {
    let page = |page: &str| {
        let filter = Filter {
            page: page.to_owned(),
            ..Filter::default()
        };
        filtered(large_fleet(ROWS_PER_PAGE + 7), &filter)
    };
    let rows = |html: &str| {
        html.matches("<th scope=\"row\" data-label=\"Pair\"><a href=\"/pairs/")
            .count()
    };
    let (first, second) = (page("1"), page("2"));
    assert_eq!((rows(&first), rows(&second)), (ROWS_PER_PAGE, 7));
    check(
        &first,
        &[
            "1 to 100 of 107, worst first",
            "<a rel=\"next\" href=\"/?page=2#pairs\">",
        ],
    );
    check(
        &second,
        &[
            "101 to 107 of 107, worst first",
            "<a rel=\"prev\" href=\"/#pairs\">",
        ],
    );
    assert_eq!(rows(&page("999")), 7, "the last one");
}

#[test]
fn a_filter_shows_the_matching_pairs_and_their_number() {
    let filter = |q: &str| Filter {
        q: q.to_owned(),
        state: "unknown".to_owned(),
        ..Filter::default()
    };
    let html = filtered(large_fleet(20), &filter("r7.example"));
    check(
        &html,
        &[
            "1 to 1 of 1 that match (20 in all)",
            "value=\"r7.example\"",
            "<option selected>unknown</option>",
        ],
    );
    check(
        &filtered(large_fleet(20), &filter("nothing")),
        &["None of 20 pairs matches the filter.", "Show all</a>"],
    );
}

#[test]
fn the_page_of_a_pair_shows_its_state_and_its_history() {
    let html = pair_html(fleet(Scene::MasterLost), "orders");
    check(
        &html,
        &[
            "<title>orders: warning - redis-cross-dc-exporter</title>",
            "<strong>master_unreachable</strong>",
            "RedisCrossDcServerUnreachable",
            "<g class=\"run critical\"><title>master_unreachable from ",
            "<path class=\"trace\" d=\"M",
            "href=\"/api/v1/pairs/orders/history?replica=r.example.com%3A6379&#38;since=",
            "aria-current=\"true\">15 minutes</a>",
            "<p class=\"summary\">",
            "<dt>Labels</dt><dd>note=orders</dd>",
            "<figcaption id=\"headroom-title\">Backlog headroom, by 5 seconds</figcaption>",
            "with the 1.0 MiB that it has now, without the bytes behind.",
            "<span class=\"key trace\">the highest estimate</span>",
            "<span class=\"key trace\">the lowest estimate</span>",
            "<span>a gap is unknown</span>",
            "gave no answer in time",
            "reports that it is a replica",
        ],
    );
}

#[test]
fn the_pages_need_nothing_but_their_own_files() {
    for html in [
        html(fleet(Scene::MasterLost)),
        pair_html(fleet(Scene::MasterLost), "orders"),
    ] {
        assert!(
            !html.contains(" style=") && !html.contains("http://") && !html.contains("https://"),
            "{html}"
        );
        assert!(
            !html.contains(" onclick=") && !html.contains("<style"),
            "{html}"
        );
    }
    for file in [STYLE, SCRIPT] {
        assert!(
            !file.contains("url(") && !file.contains("@import") && !file.contains("http"),
            "{file}"
        );
    }
}

#[test]
fn many_silent_servers_are_counted_and_folded_away() {
    let (fleet, now) = fleet(Scene::MasterLost);
    let reports = Reports::new(&fleet, now);
    let servers = &reports.pairs.servers;
    let silent = servers.iter().find(|server| server.up == Some(false));
    let silent = silent.unwrap();
    let words = |count| SilentServers::new(&vec![silent; count]).words;
    assert_eq!(words(FEW_SILENT), "");
    assert_eq!(words(300), "300 servers: 300 in dc1");
}

#[test]
fn a_long_table_is_cut_and_says_so() {
    let rows = Rows::new(0..MOST_ROWS + 7, |row| row);
    assert_eq!((rows.shown.len(), rows.more), (MOST_ROWS, 7));
}

#[test]
fn ten_thousand_pairs_are_a_screenful_and_no_more() {
    let (fleet, now) = large_fleet(10_000);
    let began = std::time::Instant::now();
    let html = render(&fleet, now, &Filter::default()).unwrap();
    eprintln!("{} KB in {:?}", html.len() / 1024, began.elapsed());
    assert!(html.len() < 256 * 1024, "{}", html.len());
}
