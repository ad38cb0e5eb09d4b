//! Reading many keys of a site at once.

use crate::active_active::{Counter, MAX_ENVELOPE, Reply, Request, Site, SiteError, Stored};

/// So many bytes of each value are read at first; longer ones are read one by one.
const FIRST_READ: usize = 64 * 1024;

/// Those of `keys` that `site` does not have.
pub(super) async fn absent_keys<S: Site>(
    site: &S,
    keys: Vec<Vec<u8>>,
) -> Result<Vec<Vec<u8>>, SiteError> {
    let requests = keys.iter().map(|key| Request::exists(key));
    let replies = site.send(requests.collect()).await?;
    let mut absent = Vec::new();
    for (key, reply) in keys.into_iter().zip(replies) {
        if reply?.number()? == 0 {
            absent.push(key);
        }
    }
    Ok(absent)
}

/// What a site holds under `keys`.
pub(super) async fn read_all<S: Site>(
    site: &S,
    keys: &[Vec<u8>],
) -> Result<Vec<Stored>, SiteError> {
    let requests = keys.iter().map(|key| Request::read(key, FIRST_READ));
    let replies = site.send(requests.collect()).await?;
    let mut found = Vec::with_capacity(keys.len());
    let mut empty = Vec::new();
    for (key, reply) in keys.iter().zip(replies) {
        let stored = match reply {
            Err(SiteError::WrongType) => Stored::WrongType,
            reply => from_first_read(site, key, reply?).await?,
        };
        if stored == Stored::Malformed(Vec::new()) {
            empty.push((found.len(), key.clone()));
        }
        found.push(stored);
    }
    note_missing(site, empty, &mut found).await?;
    Ok(found)
}

async fn from_first_read<S: Site>(site: &S, key: &[u8], reply: Reply) -> Result<Stored, SiteError> {
    let text = reply.bytes()?.unwrap_or_default();
    if text.len() < FIRST_READ {
        return Ok(Stored::from_text(text));
    }
    match site.request(Request::read(key, MAX_ENVELOPE + 1)).await {
        Err(SiteError::WrongType) => Ok(Stored::WrongType),
        Err(SiteError::TooLarge) => Ok(Stored::TooLarge),
        reply => Ok(Stored::from_text(reply?.bytes()?.unwrap_or_default())),
    }
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

/// The counters of a site; none for a key that is no hash or has too many fields.
pub(super) async fn counters_at<S: Site>(
    site: &S,
    keys: &[Vec<u8>],
) -> Result<Vec<Option<Counter>>, SiteError> {
    let requests = keys.iter().map(|key| Request::counter(key));
    let replies = site.send(requests.collect()).await?;
    let mut found = Vec::with_capacity(keys.len());
    for reply in replies {
        let counter = match reply {
            Ok(reply) => reply.counter(),
            Err(error) => Err(error),
        };
        match counter {
            Ok(counter) => found.push(Some(counter)),
            Err(SiteError::WrongType | SiteError::TooLarge) => found.push(None),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
