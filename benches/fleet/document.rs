//! Tables in docs/performance.md, between marks that name them.

use std::path::Path;

use redis_cross_dc_exporter::clock;

/// The variable with which a bench writes its table into the document.
const UPDATE: &str = "BENCH_UPDATE";

/// Prints `text`, and writes it between the marks `name` of the document if that is wanted.
pub(crate) fn publish(name: &str, text: &str) {
    println!("{text}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance.md");
    let document = std::fs::read_to_string(&path).expect("docs/performance.md");
    // Every run shows that the marks are there.
    let updated = with_text(&document, name, text);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, updated).expect("docs/performance.md");
        println!("wrote {}", path.display());
    }
}

fn with_text(document: &str, name: &str, text: &str) -> String {
    let begin = format!("<!-- {name}: begin -->\n");
    let end = format!("<!-- {name}: end -->\n");
    let (before, rest) = document
        .split_once(&begin)
        .expect("the mark where the table begins");
    let (_, after) = rest
        .split_once(&end)
        .expect("the mark where the table ends");
    format!("{before}{begin}{text}{end}{after}")
}

/// Variables that choose what is measured.
const CHOICES: [&str; 2] = ["BENCH_PAIRS", "BENCH_SECONDS"];

/// The command, the day, and the machine, as one line before a table.
pub(crate) fn circumstances() -> String {
    let mut command = String::new();
    for name in CHOICES {
        if let Ok(value) = std::env::var(name) {
            command += &format!("{name}={value} ");
        }
    }
    command += "make bench";
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(": "));
    let model = model.map_or("processor unknown", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let seconds = clock::wall_now().as_nanos() / 1_000_000_000;
    let today = jiff::Timestamp::from_second(seconds).expect("a date");
    let build = if cfg!(debug_assertions) {
        "debug build"
    } else {
        "release build"
    };
    let day = today.strftime("%F");
    format!("`{command}`, {day}, {cores} cores ({model}), {build}")
}
