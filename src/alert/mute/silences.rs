//! Silences: alerts that fit a silence's matchers are muted until it ends. They are created through
//! the API or the page, and follow the wall clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

use super::Matchers;
use crate::alert::SilenceId;
use crate::model::{Span, WallTime, closed_set, is_label_name, stable_hash};

/// How many silences there are at most, expired ones included, which are evicted first. Each alert
/// is compared with all of them when they change.
pub const MAX_SILENCES: usize = 500;

/// How many matchers one silence has at most.
const MAX_MATCHERS: usize = 16;

/// The longest name of a label, glob, author or comment, in characters.
const MAX_CHARS: usize = 1_024;

/// How long a silence may last: longer ones outlive the knowledge of why they are there.
const LONGEST: Span = Span::from_secs(30 * 86_400);

/// How long an expired silence is listed.
const KEPT_FOR: Span = Span::from_secs(86_400);

/// A silence to be created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewSilence {
    /// Labels and the globs (`*`, `?`) that all of them have to match.
    pub matchers: BTreeMap<String, String>,
    /// When it begins; `None` is at once.
    pub starts: Option<WallTime>,
    /// When it ends.
    pub ends: WallTime,
    /// Who creates it.
    pub author: String,
    /// Why.
    pub comment: String,
}

/// A silence as it is saved and listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceRecord {
    /// Its ID.
    pub id: SilenceId,
    /// Labels and the globs that all of them have to match.
    pub matchers: BTreeMap<String, String>,
    /// When it begins.
    pub starts: WallTime,
    /// When it ends.
    pub ends: WallTime,
    /// Who created it.
    pub author: String,
    /// Why.
    pub comment: String,
}

/// A silence.
#[derive(Clone, Debug, PartialEq)]
pub struct Silence {
    record: SilenceRecord,
    globs: Matchers,
}

closed_set! {
    /// The state of a silence. In the order of lists.
    pub enum SilenceState {
        /// It mutes alerts now.
        Active => "active",
        /// It begins later.
        Pending => "pending",
        /// It has ended.
        Expired => "expired",
    }
}

/// Why a silence is not created, or not expired.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SilenceError {
    /// Its matchers fit every alert.
    #[error("it would silence everything: give a label with a value, such as pair=orders")]
    FitsAll,
    /// Too many labels.
    #[error("it has more than {MAX_MATCHERS} matchers")]
    TooManyMatchers,
    /// A label's name is not valid.
    #[error("{0:?} is not a label's name: letters, digits and _, not beginning with a digit")]
    BadLabel(String),
    /// A text is missing or too long.
    #[error("its {0} is missing, longer than {MAX_CHARS} characters, or holds control characters")]
    BadText(&'static str),
    /// It ends before it begins, or has ended already.
    #[error("it ends before it begins, or has ended already")]
    Empty,
    /// It lasts too long.
    #[error("it lasts longer than 30 days: to mute something permanently, change the rules")]
    TooLong,
    /// There are too many.
    #[error("there are {MAX_SILENCES} silences already: expire some")]
    TooMany,
    /// There is no such silence.
    #[error("there is no silence {0}")]
    Unknown(SilenceId),
    /// It has ended already.
    #[error("the silence {0} has expired already")]
    Expired(SilenceId),
}

/// Every silence: active, pending, and recently expired ones.
#[derive(Clone, Debug, Default)]
pub struct Silences {
    all: BTreeMap<SilenceId, Silence>,
}

impl Silences {
    /// Creates a silence and returns its ID.
    ///
    /// # Errors
    /// It would silence everything, has already ended, lasts too long, has texts that are missing
    /// or too long, or there are too many silences.
    pub fn add(&mut self, new: NewSilence, now: WallTime) -> Result<SilenceId, SilenceError> {
        let starts = new.starts.unwrap_or(now).max(now);
        check(&new, starts)?;
        self.forget_old(now);
        if self.all.len() >= MAX_SILENCES {
            self.evict_expired(now)?;
        }
        let id = self.new_id(&new, now);
        let record = SilenceRecord {
            id: id.clone(),
            matchers: new.matchers,
            starts,
            ends: new.ends,
            author: new.author,
            comment: new.comment,
        };
        self.all.insert(id.clone(), Silence::from(record));
        Ok(id)
    }

    /// Removes the silence that expired first.
    fn evict_expired(&mut self, now: WallTime) -> Result<(), SilenceError> {
        let all = self.all.values().map(|silence| &silence.record);
        match all.min_by_key(|record| record.ends) {
            Some(oldest) if oldest.ends <= now => {
                let id = oldest.id.clone();
                self.all.remove(&id);
                Ok(())
            }
            _ => Err(SilenceError::TooMany),
        }
    }

    /// Ends a silence now; a pending one never becomes active.
    ///
    /// # Errors
    /// There is no such silence, or it has expired.
    pub fn expire(&mut self, id: &SilenceId, now: WallTime) -> Result<(), SilenceError> {
        let Some(silence) = self.all.get_mut(id) else {
            return Err(SilenceError::Unknown(id.clone()));
        };
        if silence.state(now) == SilenceState::Expired {
            return Err(SilenceError::Expired(id.clone()));
        }
        silence.record.ends = now;
        silence.record.starts = silence.record.starts.min(now);
        Ok(())
    }

    /// Every silence at `now`: active ones first, then pending, then expired; each by its end.
    pub fn list(&self, now: WallTime) -> Vec<(SilenceState, SilenceRecord)> {
        let mut list = Vec::new();
        for silence in self.all.values() {
            list.push((silence.state(now), silence.record.clone()));
        }
        list.sort_by(|(state, silence), (other_state, other)| {
            let order = (state, silence.ends, &silence.id);
            order.cmp(&(other_state, other.ends, &other.id))
        });
        list
    }

    /// The records to save over a restart.
    pub fn records(&self) -> impl Iterator<Item = &SilenceRecord> {
        self.all.values().map(|silence| &silence.record)
    }

    /// The silences of saved records, without those whose matchers would not be accepted.
    pub fn restored(records: impl IntoIterator<Item = SilenceRecord>) -> Self {
        let is_sound = |record: &SilenceRecord| check_matchers(&record.matchers).is_ok();
        let mut silences = Self::default();
        for record in records.into_iter().filter(is_sound).take(MAX_SILENCES) {
            let id = record.id.clone();
            silences.all.insert(id, Silence::from(record));
        }
        silences
    }

    /// The IDs of the active silences, in order.
    pub fn active(&self, now: WallTime) -> Vec<SilenceId> {
        let mut active = Vec::new();
        for (id, silence) in &self.all {
            if silence.state(now) == SilenceState::Active {
                active.push(id.clone());
            }
        }
        active
    }

    /// The silence among `those` that fits these labels; of several the one that ends last.
    pub(super) fn find<'a, 'l>(
        &self,
        those: &'a [SilenceId],
        label: impl Fn(&str) -> &'l str,
    ) -> Option<&'a SilenceId> {
        let mut found = None;
        for id in those {
            let Some(silence) = self.all.get(id) else {
                continue;
            };
            let ends = silence.record.ends;
            let is_later = found.is_none_or(|(_, latest)| ends >= latest);
            if is_later && silence.globs.fit(&label) {
                found = Some((id, ends));
            }
        }
        found.map(|(id, _)| id)
    }

    /// Forgets silences that expired long ago.
    fn forget_old(&mut self, now: WallTime) {
        let oldest = now.as_nanos().saturating_sub(KEPT_FOR.as_nanos());
        self.all
            .retain(|_, silence| silence.record.ends.as_nanos() > oldest);
    }

    /// An ID that no silence has: a hash of what it silences and when it was created.
    fn new_id(&self, new: &NewSilence, now: WallTime) -> SilenceId {
        let created = now.as_nanos().to_string();
        let mut attempt = 0_usize;
        loop {
            let attempt_text = attempt.to_string();
            let mut words = vec![created.as_str(), attempt_text.as_str(), new.author.as_str()];
            for (label, glob) in &new.matchers {
                words.push(label);
                words.push(glob);
            }
            let id = SilenceId(format!("{:016x}", stable_hash(words)).into());
            if !self.all.contains_key(&id) {
                return id;
            }
            attempt += 1;
        }
    }
}

impl Silence {
    fn state(&self, now: WallTime) -> SilenceState {
        if now >= self.record.ends {
            SilenceState::Expired
        } else if now < self.record.starts {
            SilenceState::Pending
        } else {
            SilenceState::Active
        }
    }
}

impl From<SilenceRecord> for Silence {
    fn from(record: SilenceRecord) -> Self {
        Self {
            globs: Matchers::new(&record.matchers),
            record,
        }
    }
}

impl SilenceId {
    /// The ID in `text`, 16 hexadecimal digits; `None` if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 16 || !text.bytes().all(is_hex) {
            return None;
        }
        Some(Self(Arc::from(text)))
    }
}

fn check(new: &NewSilence, starts: WallTime) -> Result<(), SilenceError> {
    check_matchers(&new.matchers)?;
    for (what, text) in [("author", &new.author), ("comment", &new.comment)] {
        if text.trim().is_empty() || !is_text(text) {
            return Err(SilenceError::BadText(what));
        }
    }
    if new.ends <= starts {
        return Err(SilenceError::Empty);
    }
    if new.ends.as_nanos().saturating_sub(starts.as_nanos()) > LONGEST.as_nanos() {
        return Err(SilenceError::TooLong);
    }
    Ok(())
}

fn check_matchers(matchers: &BTreeMap<String, String>) -> Result<(), SilenceError> {
    if matchers.len() > MAX_MATCHERS {
        return Err(SilenceError::TooManyMatchers);
    }
    if let Some((label, _)) = matchers.iter().find(|(label, _)| !is_label_name(label)) {
        return Err(SilenceError::BadLabel(label.chars().take(64).collect()));
    }
    if matchers.values().any(|glob| !is_text(glob)) {
        return Err(SilenceError::BadText("matcher"));
    }
    // A glob that fits the empty text also fits alerts that lack the label.
    let fits_all = matchers
        .values()
        .all(|glob| WildMatch::new(glob).matches(""));
    if fits_all {
        return Err(SilenceError::FitsAll);
    }
    Ok(())
}

fn is_text(text: &str) -> bool {
    text.chars().count() <= MAX_CHARS && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> WallTime {
        WallTime::from_nanos(secs * 1_000_000_000)
    }

    fn new(matchers: &[(&str, &str)], starts: Option<i64>, ends: i64) -> NewSilence {
        NewSilence {
            matchers: matchers
                .iter()
                .map(|(label, glob)| ((*label).to_owned(), (*glob).to_owned()))
                .collect(),
            starts: starts.map(at),
            ends: at(ends),
            author: "me".to_owned(),
            comment: "a reason".to_owned(),
        }
    }

    const ORDERS: &[(&str, &str)] = &[("pair", "orders-*")];

    /// What two silences, 0 to 100 and 50 to 200, are at each moment.
    #[test]
    fn a_silence_begins_and_ends_by_the_wall_clock() {
        let mut silences = Silences::default();
        let first = silences.add(new(ORDERS, None, 100), at(0)).unwrap();
        let second = silences.add(new(ORDERS, Some(50), 200), at(0)).unwrap();
        let label = |_: &str| "orders-1";
        for (now, holds) in [
            (0, Some(&first)),
            (49, Some(&first)),
            (50, Some(&second)),
            (199, Some(&second)),
            (200, None),
        ] {
            assert_eq!(
                silences.find(&silences.active(at(now)), label),
                holds,
                "{now}"
            );
        }
        assert_eq!(
            silences.find(&silences.active(at(0)), |_: &str| "sessions"),
            None
        );
        let states: Vec<_> = silences
            .list(at(20))
            .into_iter()
            .map(|(state, silence)| (state, silence.id))
            .collect();
        assert_eq!(
            states,
            [
                (SilenceState::Active, first),
                (SilenceState::Pending, second)
            ]
        );
    }

    #[test]
    fn an_expired_silence_ends_at_once_and_is_listed_for_a_day() {
        let mut silences = Silences::default();
        let id = silences.add(new(ORDERS, None, 100), at(0)).unwrap();
        assert_eq!(silences.expire(&id, at(10)), Ok(()));
        assert_eq!(
            (silences.active(at(10)), silences.list(at(10))[0].0),
            (vec![], SilenceState::Expired)
        );
        assert_eq!(
            silences.expire(&id, at(11)),
            Err(SilenceError::Expired(id.clone()))
        );
        let later = 10 + 86_400;
        silences
            .add(new(ORDERS, None, later + 10), at(later - 1))
            .unwrap();
        assert_eq!(silences.list(at(later)).len(), 2);
        silences
            .add(new(ORDERS, None, later + 10), at(later))
            .unwrap();
        assert_eq!(
            silences.expire(&id, at(later)),
            Err(SilenceError::Unknown(id))
        );
    }

    fn refused(silence: NewSilence) -> String {
        Silences::default()
            .add(silence, at(1000))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn an_invalid_silence_is_refused_with_a_sentence() {
        let long = "x".repeat(MAX_CHARS + 1);
        let many: Vec<_> = (0..=MAX_MATCHERS).map(|n| format!("l{n}")).collect();
        let many: Vec<_> = many.iter().map(|label| (label.as_str(), "x")).collect();
        let cases = [
            (new(&[], None, 2000), "it would silence everything"),
            (
                new(&[("pair", "*")], None, 2000),
                "it would silence everything",
            ),
            (
                new(&[("1pair", "a")], None, 2000),
                "\"1pair\" is not a label's name",
            ),
            (new(&[("", "a")], None, 2000), "\"\" is not a label's name"),
            (
                new(&[("pair", &long)], None, 2000),
                "its matcher is missing, longer than 1024",
            ),
            (new(&many, None, 2000), "more than 16 matchers"),
            (new(ORDERS, None, 1000), "has ended already"),
            (new(ORDERS, Some(3000), 2000), "it ends before it begins"),
            (new(ORDERS, None, 1001 + 30 * 86_400), "longer than 30 days"),
            (
                NewSilence {
                    author: " ".to_owned(),
                    ..new(ORDERS, None, 2000)
                },
                "its author is missing",
            ),
            (
                NewSilence {
                    comment: "a\nb".to_owned(),
                    ..new(ORDERS, None, 2000)
                },
                "its comment is missing",
            ),
        ];
        for (silence, part) in cases {
            let sentence = refused(silence.clone());
            assert!(sentence.contains(part), "{silence:?}: {sentence}");
        }
    }

    #[test]
    fn at_the_limit_the_oldest_expired_silence_is_evicted() {
        let mut silences = Silences::default();
        let ids: Vec<_> = (0..MAX_SILENCES)
            .map(|_| silences.add(new(ORDERS, None, 100), at(0)).unwrap())
            .collect();
        assert_eq!(
            ids.iter().collect::<std::collections::BTreeSet<_>>().len(),
            MAX_SILENCES,
            "each has its name"
        );
        assert_eq!(
            silences.add(new(ORDERS, None, 100), at(0)),
            Err(SilenceError::TooMany)
        );
        silences.expire(&ids[7], at(1)).unwrap();
        assert!(silences.add(new(ORDERS, None, 100), at(2)).is_ok());
        assert_eq!(silences.list(at(2)).len(), MAX_SILENCES);
    }

    #[test]
    fn saved_silences_are_restored() {
        let mut silences = Silences::default();
        silences.add(new(ORDERS, Some(50), 200), at(0)).unwrap();
        silences
            .add(
                new(&[("alertname", "*Lag*"), ("team", "a")], None, 200),
                at(0),
            )
            .unwrap();
        let again = Silences::restored(silences.records().cloned());
        assert_eq!(again.list(at(10)), silences.list(at(10)));
        let foreign = silences.records().cloned().map(|record| SilenceRecord {
            matchers: BTreeMap::new(),
            ..record
        });
        assert_eq!(Silences::restored(foreign).list(at(10)), []);
    }

    #[test]
    fn an_id_is_sixteen_hexadecimal_digits() {
        for (text, good) in [
            ("0123456789abcdef", true),
            ("0123456789ABCDEF", false),
            ("0123", false),
            ("../../../../etc/", false),
        ] {
            assert_eq!(SilenceId::parse(text).is_some(), good, "{text}");
        }
    }
}
