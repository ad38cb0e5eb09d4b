//! Reading many keys of a site at once.

use crate::active_active::{
    Counter, Difference, MAX_ENVELOPE, Reply, Request, Site, SiteError, Stamp, Stored,
};

/// So many bytes of each value are read at first; the whole of longer ones afterwards.
const FIRST_READ: usize = 16 * 1024;

/// Long values that are read at once: at most 16 MiB.
const LONG_AT_ONCE: usize = 16;

/// Names that one EXISTS has: 100 names cost a server a third of what 100 commands do.
const NAMES_AT_ONCE: usize = 100;

/// Those of `keys` that `site` does not have.
pub(super) async fn absent_keys<S: Site>(
    site: &S,
    keys: &[Vec<u8>],
) -> Result<Vec<Vec<u8>>, SiteError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let groups = keys.chunks(NAMES_AT_ONCE);
    let requests = groups.clone().map(Request::count_existing);
    let counts = site.send(requests.collect()).await?;
    let mut doubtful = Vec::new();
    for (group, count) in groups.zip(counts) {
        if count?.number()? < group.len() as u64 {
            doubtful.extend_from_slice(group);
        }
    }
    let requests = doubtful.iter().map(|key| Request::exists(key));
    let replies = site.send(requests.collect()).await?;
    let mut absent = Vec::new();
    for (key, reply) in doubtful.into_iter().zip(replies) {
        if reply?.number()? == 0 {
            absent.push(key);
        }
    }
    Ok(absent)
}

/// What a site holds under some keys, and what its clock shows.
#[derive(Clone, Debug)]
pub struct SiteView {
    /// The site's clock, before the keys were read.
    pub now: Stamp,
    /// What it holds, in the order of the keys.
    pub stored: Vec<Stored>,
}

/// Reads `keys` in one exchange; more of them for long values and missing keys.
///
/// # Errors
/// Why the site did not answer.
pub async fn read_all<S: Site>(site: &S, keys: &[Vec<u8>]) -> Result<SiteView, SiteError> {
    let reads = keys.iter().map(|key| Request::read(key, FIRST_READ));
    let requests = std::iter::once(Request::time()).chain(reads);
    let mut replies = site.send(requests.collect()).await?.into_iter();
    let now = replies
        .next()
        .unwrap_or(Err(SiteError::Disconnected))?
        .time()?;
    let mut stored = Vec::with_capacity(keys.len());
    let mut empty = Vec::new();
    let mut long = Vec::new();
    for (key, reply) in keys.iter().zip(replies) {
        let Some(text) = text_of(reply)? else {
            stored.push(Stored::WrongType);
            continue;
        };
        match text.len() {
            0 => empty.push((stored.len(), key.clone())),
            FIRST_READ => long.push((stored.len(), key.clone())),
            _ => {}
        }
        stored.push(Stored::from_text(text));
    }
    note_missing(site, empty, &mut stored).await?;
    read_long(site, &long, &mut stored).await?;
    Ok(SiteView { now, stored })
}

/// The string in a reply; none where the key holds another type.
fn text_of(reply: Result<Reply, SiteError>) -> Result<Option<Vec<u8>>, SiteError> {
    match reply {
        Err(SiteError::WrongType) => Ok(None),
        reply => Ok(Some(reply?.bytes()?.unwrap_or_default())),
    }
}

/// Reads the whole of what the first read has cut off.
async fn read_long<S: Site>(
    site: &S,
    long: &[(usize, Vec<u8>)],
    found: &mut [Stored],
) -> Result<(), SiteError> {
    for some in long.chunks(LONG_AT_ONCE) {
        let requests = some
            .iter()
            .map(|(_, key)| Request::read(key, MAX_ENVELOPE + 1));
        let replies = site.send(requests.collect()).await?;
        for ((place, _), reply) in some.iter().zip(replies) {
            if let Some(stored) = found.get_mut(*place) {
                *stored = text_of(reply)?.map_or(Stored::WrongType, Stored::from_text);
            }
        }
    }
    Ok(())
}

/// A key that does not exist reads as an empty string: asks which of the `empty` ones do.
async fn note_missing<S: Site>(
    site: &S,
    empty: Vec<(usize, Vec<u8>)>,
    found: &mut [Stored],
) -> Result<(), SiteError> {
    let requests = empty.iter().map(|(_, key)| Request::exists(key));
    let replies = site.send(requests.collect()).await?;
    for ((place, _), reply) in empty.into_iter().zip(replies) {
        if reply?.number()? == 0
            && let Some(stored) = found.get_mut(place)
        {
            *stored = Stored::Missing;
        }
    }
    Ok(())
}

/// The counters of a site; for a key that is no hash or has too many fields, which of the two.
///
/// # Errors
/// Why the site did not answer.
pub async fn counters_at<S: Site>(
    site: &S,
    keys: &[Vec<u8>],
) -> Result<Vec<Result<Counter, Difference>>, SiteError> {
    let requests = keys.iter().map(|key| Request::counter(key));
    let replies = site.send(requests.collect()).await?;
    let mut found = Vec::with_capacity(keys.len());
    for reply in replies {
        found.push(match reply.and_then(Reply::counter) {
            Ok(counter) => Ok(counter),
            Err(SiteError::WrongType) => Err(Difference::WrongType),
            Err(SiteError::TooLarge) => Err(Difference::TooLarge),
            Err(error) => return Err(error),
        });
    }
    Ok(found)
}
