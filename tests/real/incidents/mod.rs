//! The incidents that a new user went through, replayed: all output of the program in them,
//! beside the truth from the writers' log.
//!
//! `make incidents` plays all of them with the default thresholds and prints their transcripts.
//! A person reads them; what a program can check, [`verdict`] checks. `INCIDENTS=1,3` plays only
//! these, `INCIDENT_JOBS` says how many at once.

#![allow(clippy::print_stdout)] // the transcripts are for people

mod message;
mod scene;
mod stories;
mod transcript;
mod verdict;

use std::sync::Arc;

use tokio::sync::Semaphore;

use stories::{ALL, Incident};

/// How many incidents are played at once on two cores: they mostly wait.
const JOBS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "minutes long: `make incidents`"]
async fn replay() {
    let wanted = numbers("INCIDENTS");
    let jobs = numbers("INCIDENT_JOBS").first().copied().unwrap_or(JOBS);
    let room = Arc::new(Semaphore::new(jobs));
    let chosen = ALL
        .iter()
        .filter(|incident| wanted.is_empty() || wanted.contains(&incident.number));
    let playing: Vec<_> = chosen
        .map(|incident| tokio::spawn(play(incident, Arc::clone(&room))))
        .collect();
    let mut complaints = Vec::new();
    for task in playing {
        complaints.extend(task.await.expect("the incident is played to its end"));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    println!("every incident: nothing was said that the truth contradicts");
}

/// Plays one incident and prints its transcript. Returns what is wrong in it.
async fn play(incident: &'static Incident, room: Arc<Semaphore>) -> Vec<String> {
    let _permit = room.acquire().await.expect("nobody closes it");
    eprintln!("playing incident {}: {}", incident.number, incident.title);
    let transcript = (incident.play)().await;
    println!("\n## Incident {}: {}\n", incident.number, incident.title);
    println!("{transcript}");
    let wrong = verdict::complaints(&transcript, incident.pages);
    let number = incident.number;
    wrong
        .into_iter()
        .map(|complaint| format!("incident {number}: {complaint}"))
        .collect()
}

/// The numbers, separated by commas, of an environment variable.
fn numbers(variable: &str) -> Vec<usize> {
    let text = std::env::var(variable).unwrap_or_default();
    text.split(',')
        .filter_map(|number| number.trim().parse().ok())
        .collect()
}
