//! A copy of a returning server, before it is overwritten.

use std::path::Path;

use super::narrator::Narrator;
use super::operator::timeout;
use super::request::Prepared;
use crate::capture::{CopyRequest, StoredCopy, copy_server};
use crate::clock;
use crate::config::Settings;
use crate::model::{Bytes, PairName, Span};

/// How often the progress is shown.
const EVERY: Span = Span::from_secs(5);

/// Room that has to be left on the disk.
const SPARE: u64 = 64 * 1024 * 1024;

/// Copies the returning server of `prepared` into `folder`.
///
/// # Errors
/// A sentence for the user; nothing is left in the folder then.
pub async fn copy_returning(
    settings: &Settings,
    prepared: &Prepared,
    folder: &Path,
    narrator: &mut dyn Narrator,
) -> Result<StoredCopy, String> {
    let server = prepared.hands.old.server();
    let addr = server.addr.clone();
    check_room(folder, prepared.returning_memory)?;
    narrator.line(&format!("{addr} is copied into {}", folder.display()));
    let pair = PairName::new(&prepared.intent.pair);
    let request = CopyRequest {
        pair: &pair,
        server,
        announce: &prepared.hands.target.server().addr,
        folder,
        timeout: timeout(server, settings),
    };
    let mut shown_at = clock::now();
    let progress = |written: Bytes| {
        if clock::now() - shown_at >= EVERY {
            shown_at = clock::now();
            narrator.line(&format!("{addr}: {written} copied"));
        }
    };
    let copied = copy_server(request, progress).await;
    let copy = copied.map_err(|why| format!("{addr} was not copied: {why}"))?;
    let size = Bytes::new(copy.header.file_bytes);
    narrator.line(&format!(
        "{addr}: the copy is {} ({size})",
        copy.path.display()
    ));
    Ok(copy)
}

/// Whether the disk has room: an RDB file is rarely larger than the memory that the data take.
fn check_room(folder: &Path, memory: Option<Bytes>) -> Result<(), String> {
    let Some(memory) = memory else {
        return Ok(());
    };
    let mut ancestors = folder.ancestors().filter(|path| path.is_dir());
    let existing = ancestors.next().unwrap_or(Path::new("."));
    let Ok(disk) = rustix::fs::statvfs(existing) else {
        return Ok(());
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let needed = memory.get().saturating_add(SPARE);
    if free >= needed {
        return Ok(());
    }
    Err(format!(
        "the returning server has up to {memory} of data, and {} has {} of room: give --copy another \
         folder",
        folder.display(),
        Bytes::new(free)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_would_fill_the_disk_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("not/there/yet");
        check_room(&missing, Some(Bytes::new(1))).unwrap();
        check_room(&missing, None).unwrap();
        let why = check_room(&missing, Some(Bytes::new(1 << 60))).unwrap_err();
        assert!(why.contains("give --copy another folder"), "{why}");
    }
}
