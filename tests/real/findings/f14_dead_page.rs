//! F14: the page of a dead exporter was green.

use crate::browser::{DriverFailed, Play, follow, start};
use crate::exporter::Exporter;
use crate::stage::Stage;

/// An exporter that the browser's driver stops, continues and kills.
struct Mortal {
    exporter: Exporter,
    _stage: Stage,
}

impl Play for Mortal {
    async fn play(&mut self, word: &str) {
        match word {
            "freeze" => self.exporter.signal("STOP"),
            "thaw" => self.exporter.signal("CONT"),
            "kill" => self.exporter.signal("KILL"),
            other => panic!("the driver asks for {other}"),
        }
    }
}

async fn mortal() -> Mortal {
    let stage = Stage::set().await;
    let yaml = format!(
        "poll: {{interval: 200ms, min_interval: 100ms}}\npairs:\n- {}\n",
        stage.entry("orders")
    );
    Mortal {
        exporter: Exporter::start(&yaml).await,
        _stage: stage,
    }
}

#[tokio::test]
async fn f14_the_page_of_a_dead_exporter_has_a_banner_and_no_green() -> Result<(), DriverFailed> {
    let mut mortal = mortal().await;
    let driver = start("dead.mjs", mortal.exporter.url(), &[]);
    follow(driver, &mut mortal).await
}

#[tokio::test]
async fn f14_a_page_without_its_script_shows_its_time() {
    let mortal = mortal().await;
    for path in ["/", "/pairs/orders"] {
        let page = mortal.exporter.get(path).await;
        let main = page.split("<main").nth(1).unwrap_or_default();
        assert!(main.contains(">As of <time datetime="), "{path}: {main}");
    }
}
