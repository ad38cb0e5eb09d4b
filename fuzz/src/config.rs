//! A configuration, and the fleet that it describes.

use std::path::Path;

use redis_cross_dc_exporter::config::{ConfigErrors, Environment, Format, Settings, parse};
use redis_cross_dc_exporter::metrics::{self, Exposition};
use redis_cross_dc_exporter::model::{ClockAnchor, Timestamp, WallTime};
use redis_cross_dc_exporter::monitor::Monitor;
use redis_cross_dc_exporter::topology::Topology;

use super::exposition;

/// The first byte chooses the language, the others are the text. What is accepted prints as
/// something that is accepted again, and its fleet can be watched; what is refused is refused in
/// bounded, visible sentences. The same text is read as a pair file, too.
pub fn run(data: &[u8]) {
    let Some((first, text)) = data.split_first() else {
        return;
    };
    let format = [Format::Yaml, Format::Toml, Format::Json][usize::from(first % 3)];
    let text = String::from_utf8_lossy(text);
    match read(&text, format) {
        Ok(settings) => accepted(&settings),
        Err(errors) => refused(&errors),
    }
    let reader = read("discovery: {files: [a.yml]}", Format::Yaml).expect("a configuration");
    let pairs = reader
        .discovery
        .reader
        .parse(&text, format, Path::new("/etc"));
    if let Err(errors) = pairs {
        refused(&errors);
    }
}

fn read(text: &str, format: Format) -> Result<Settings, ConfigErrors> {
    parse(text, format, Path::new("/etc"), &Environment::default())
}

fn accepted(settings: &Settings) {
    let printed = settings.to_yaml_redacted();
    // A redacted secret is no URL any more; anything else reads back.
    if !printed.contains("***") {
        let again =
            read(&printed, Format::Yaml).unwrap_or_else(|errors| panic!("{errors}\n{printed}"));
        assert_eq!(&again, settings, "{printed}");
    }
    let anchor = ClockAnchor {
        mono: Timestamp::from_nanos(0),
        wall: WallTime::from_nanos(1_700_000_000_000_000_000),
    };
    let mut monitor = Monitor::new(settings, &Topology::from_settings(settings), anchor);
    monitor.tick(anchor.mono);
    let shown = Exposition::new(settings);
    let families = metrics::collect(&monitor.snapshot(anchor), anchor.mono, &shown);
    exposition::check(&families.to_text());
}

/// What every refusal keeps to.
pub(super) fn refused(errors: &ConfigErrors) {
    assert!((1..=100).contains(&errors.problems().len()));
    for problem in errors.problems() {
        let text = problem.to_string();
        assert!(
            !text.contains(char::is_control),
            "a line that a terminal may show: {text:?}"
        );
        assert!(
            text.len() <= 4096,
            "a sentence of {} bytes: {text:.200}",
            text.len()
        );
    }
}
