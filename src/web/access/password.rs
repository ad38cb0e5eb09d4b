//! Passwords: bcrypt runs on threads of its own, for one login at a time, and only once for each.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{hmac, rand};
use tokio::sync::{Semaphore, oneshot, watch};

use crate::config::PasswordHash;
use crate::model::Secret;

/// Checks at once. One takes a processor for 50 ms at a cost of 10, and for ten seconds at a cost
/// of 18, which polling needs first.
const AT_ONCE: usize = 1;

/// Logins that are being checked or wait for it; further ones are turned away. It is more than the
/// people and Prometheus servers that log in for the first time at the same moment.
const MAX_PENDING: usize = 16;

/// The cost of a dummy hash when no user is configured.
const DEFAULT_COST: u32 = 10;

/// Logins that are remembered as verified, and as many as refused: some Prometheus servers and
/// people, each with one.
const REMEMBERED: usize = 64;

/// The user and password of a request.
pub(super) struct Login {
    user: String,
    password: Secret,
}

/// What is known of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoginVerdict {
    /// It is one of a user.
    Accepted,
    /// It is not.
    Refused,
    /// It was not checked: too many others are.
    Busy,
}

/// The fingerprint of a login together with the hash that it is checked against.
type Tag = [u8; 32];

/// Checks logins. Cheap to clone.
#[derive(Clone)]
pub(super) struct Passwords {
    /// The key of the tags.
    key: hmac::Key,
    memory: Arc<Mutex<LoginMemory>>,
    turns: Arc<Semaphore>,
    checks: Arc<AtomicU64>,
}

/// What was found out, and what is being found out.
#[derive(Default)]
struct LoginMemory {
    verified: VecDeque<Tag>,
    refused: VecDeque<Tag>,
    pending: BTreeMap<Tag, watch::Receiver<Option<LoginVerdict>>>,
}

/// One check of a password.
struct PasswordCheck {
    tag: Tag,
    password: Secret,
    hash: Secret,
}

impl Login {
    /// The login of a request (RFC 7617); `None` where there is none, several, or one that cannot
    /// be read.
    pub(super) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(AUTHORIZATION).iter();
        let line = lines.next()?;
        if lines.next().is_some() {
            return None;
        }
        let (scheme, encoded) = line.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = STANDARD.decode(encoded.trim()).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Self {
            user: user.to_owned(),
            password: Secret::new(password),
        })
    }
}

impl Passwords {
    pub(super) fn new() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new());
        Self {
            // A system without randomness cannot speak TLS either; the tags stay in memory anyway.
            key: key.unwrap_or_else(|_| hmac::Key::new(hmac::HMAC_SHA256, &[0; 32])),
            memory: Arc::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            checks: Arc::default(),
        }
    }

    /// Whether `login` is one of `users`. A user that does not exist costs as much as one that
    /// does: the password is compared with a hash that nothing is known to match.
    ///
    /// A check goes on when nobody waits for it any more: an expensive one takes longer than a
    /// request may, and the next request finds its result.
    pub(super) async fn judge(
        &self,
        users: &BTreeMap<String, PasswordHash>,
        login: Login,
    ) -> LoginVerdict {
        let hash = match users.get(&login.user) {
            Some(hash) => Secret::new(hash.reveal()),
            None => self.dummy(users, &login.user),
        };
        let tag = self.tag(&login, &hash);
        let mut verdict = {
            let mut memory = self.memory();
            if let Some(known) = memory.recall(&tag) {
                return known;
            }
            match memory.pending.get(&tag) {
                Some(pending) => pending.clone(),
                None if memory.pending.len() >= MAX_PENDING => return LoginVerdict::Busy,
                None => {
                    let password = login.password;
                    let pending = self.begin(PasswordCheck {
                        tag,
                        password,
                        hash,
                    });
                    memory.pending.insert(tag, pending.clone());
                    pending
                }
            }
        };
        // Whoever sends it never goes without having done so, unless the program ends.
        match verdict.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(verdict)) => *verdict,
            _ => LoginVerdict::Busy,
        }
    }

    /// How often bcrypt ran.
    #[cfg(test)]
    pub(super) fn checks(&self) -> u64 {
        self.checks.load(Ordering::Relaxed)
    }

    /// Begins a check, whose result is remembered and sent.
    fn begin(&self, check: PasswordCheck) -> watch::Receiver<Option<LoginVerdict>> {
        let (done, verdict) = watch::channel(None);
        let passwords = self.clone();
        tokio::spawn(async move {
            let tag = check.tag;
            // The semaphore is never closed.
            let permit = Arc::clone(&passwords.turns).acquire_owned().await.ok();
            passwords.checks.fetch_add(1, Ordering::Relaxed);
            let matches = compare(check).await;
            drop(permit);
            done.send_replace(Some(passwords.memory().note(tag, matches)));
        });
        verdict
    }

    fn memory(&self) -> MutexGuard<'_, LoginMemory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A hash for a user that does not exist, as expensive as that of some user that does: always
    /// the same one for a name, so that a second try reveals nothing.
    fn dummy(&self, users: &BTreeMap<String, PasswordHash>, name: &str) -> Secret {
        let costs: Vec<_> = users.values().map(PasswordHash::cost).collect();
        let number = usize::from(self.first_tag_byte(name));
        let cost = costs.get(number % costs.len().max(1));
        let cost = cost.copied().unwrap_or(DEFAULT_COST);
        // Twenty-two characters of salt and thirty-one of a hash; `.` is bcrypt's zero.
        Secret::new(format!("$2b${cost:02}${}", ".".repeat(22 + 31)))
    }

    /// A byte that only this process can compute from `name`.
    fn first_tag_byte(&self, name: &str) -> u8 {
        let tag = hmac::sign(&self.key, name.as_bytes());
        tag.as_ref().first().copied().unwrap_or(0)
    }

    /// The fingerprint of a login together with the hash that it is checked against. It reveals
    /// nothing without the key.
    fn tag(&self, login: &Login, hash: &Secret) -> Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [login.user.as_str(), hash.reveal(), login.password.reveal()] {
            context.update(&part.len().to_le_bytes());
            context.update(part.as_bytes());
        }
        let signed = context.sign();
        let mut tag = Tag::default();
        for (byte, signed) in tag.iter_mut().zip(signed.as_ref()) {
            *byte = *signed;
        }
        tag
    }
}

impl LoginMemory {
    fn recall(&self, tag: &Tag) -> Option<LoginVerdict> {
        if self.verified.contains(tag) {
            Some(LoginVerdict::Accepted)
        } else if self.refused.contains(tag) {
            Some(LoginVerdict::Refused)
        } else {
            None
        }
    }

    /// Ends a check: whether the password is the right one, or `None` where that was not found out.
    fn note(&mut self, tag: Tag, matches: Option<bool>) -> LoginVerdict {
        self.pending.remove(&tag);
        let (known, verdict) = match matches {
            Some(true) => (&mut self.verified, LoginVerdict::Accepted),
            Some(false) => (&mut self.refused, LoginVerdict::Refused),
            None => return LoginVerdict::Busy,
        };
        if known.len() >= REMEMBERED {
            known.pop_front();
        }
        known.push_back(tag);
        verdict
    }
}

/// Compares a password with a hash; `None` where no thread can be had. Not on the runtime's threads
/// for such work: the program's end would wait for those.
async fn compare(check: PasswordCheck) -> Option<bool> {
    let (done, result) = oneshot::channel();
    let work = move || {
        let matches = bcrypt::verify(check.password.reveal(), check.hash.reveal());
        // Nobody waits for it when the program ends.
        let _ = done.send(matches.unwrap_or(false));
    };
    let started = thread::Builder::new()
        .name("password".to_owned())
        .spawn(work);
    if let Err(error) = started {
        tracing::error!(%error, "a password cannot be checked: no thread can be started");
        return None;
    }
    result.await.ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::LoginVerdict::{Accepted, Busy, Refused};
    use super::*;

    fn users(names: &[(&str, u32)]) -> BTreeMap<String, PasswordHash> {
        let hash = |cost| PasswordHash::parse(&bcrypt::hash("secret", cost).unwrap()).unwrap();
        names
            .iter()
            .map(|(name, cost)| ((*name).to_owned(), hash(*cost)))
            .collect()
    }

    fn login(user: &str, password: &str) -> Login {
        Login {
            user: user.to_owned(),
            password: Secret::new(password),
        }
    }

    #[tokio::test]
    async fn bcrypt_runs_once_for_each_login() {
        let passwords = Passwords::new();
        let users = users(&[("alice", 4)]);
        let cases = [
            ("alice", "secret", Accepted, 1),
            ("alice", "secret", Accepted, 1),
            ("alice", "wrong", Refused, 2),
            ("alice", "wrong", Refused, 2),
            ("nobody", "secret", Refused, 3),
            ("nobody", "secret", Refused, 3),
            ("", "", Refused, 4),
            ("alice", "secret", Accepted, 4),
        ];
        for (user, password, verdict, checks) in cases {
            assert_eq!(
                passwords.judge(&users, login(user, password)).await,
                verdict,
                "{user} {password}"
            );
            assert_eq!(passwords.checks(), checks, "{user} {password}");
        }
    }

    #[tokio::test]
    async fn a_new_hash_ends_what_was_remembered() {
        let passwords = Passwords::new();
        let other = PasswordHash::parse(&bcrypt::hash("other", 4).unwrap()).unwrap();
        let changed = BTreeMap::from([("alice".to_owned(), other)]);
        let cases = [
            (users(&[("alice", 4)]), Accepted),
            (changed, Refused),
            (users(&[("bob", 4)]), Refused),
        ];
        for (users, verdict) in cases {
            let judged = passwords.judge(&users, login("alice", "secret")).await;
            assert_eq!(judged, verdict);
        }
    }

    #[test]
    fn an_unknown_user_costs_what_some_user_costs_and_always_the_same() {
        let (passwords, users) = (Passwords::new(), users(&[("a", 4), ("b", 5)]));
        let cost = |name: &str| {
            PasswordHash::parse(passwords.dummy(&users, name).reveal())
                .unwrap()
                .cost()
        };
        let costs: Vec<_> = (0..64).map(|n| cost(&n.to_string())).collect();
        assert!(costs.contains(&4) && costs.contains(&5), "{costs:?}");
        assert_eq!(
            costs,
            (0..64).map(|n| cost(&n.to_string())).collect::<Vec<_>>()
        );
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_goes_first() {
        let mut memory = LoginMemory::default();
        let tag = |n: usize| [u8::try_from(n).unwrap(); 32];
        for (matches, verdict) in [(true, Accepted), (false, Refused)] {
            let first = if matches { 0 } else { 100 };
            for n in first..=first + REMEMBERED {
                assert_eq!(memory.note(tag(n), Some(matches)), verdict);
            }
            assert_eq!(memory.recall(&tag(first)), None);
            assert_eq!(memory.recall(&tag(first + 1)), Some(verdict));
            assert_eq!(memory.recall(&tag(first + REMEMBERED)), Some(verdict));
        }
        assert_eq!(memory.note(tag(250), None), Busy);
        assert_eq!(memory.recall(&tag(250)), None);
    }

    #[tokio::test]
    async fn a_check_that_nobody_waits_for_goes_on_and_one_login_is_checked_once() {
        let passwords = Passwords::new();
        let users = users(&[("alice", 9)]);
        let given_up = passwords.judge(&users, login("alice", "secret"));
        assert!(
            timeout(Duration::ZERO, given_up).await.is_err(),
            "it takes time"
        );
        let both = tokio::join!(
            passwords.judge(&users, login("alice", "secret")),
            passwords.judge(&users, login("alice", "secret")),
        );
        assert_eq!(both, (Accepted, Accepted));
        assert_eq!(passwords.checks(), 1);
    }

    #[tokio::test]
    async fn too_many_new_logins_are_turned_away_and_known_ones_are_not() {
        let passwords = Passwords::new();
        let users = users(&[("alice", 4)]);
        passwords.judge(&users, login("alice", "secret")).await;
        // Until the permit is given back, all that follow wait.
        let permit = passwords.turns.acquire().await.unwrap();
        let judge = async |number: usize| {
            let wrong = login("alice", &number.to_string());
            timeout(Duration::from_millis(1), passwords.judge(&users, wrong)).await
        };
        for number in 0..MAX_PENDING {
            assert!(judge(number).await.is_err(), "{number} waits");
        }
        assert_eq!(judge(MAX_PENDING).await, Ok(Busy));
        let known = passwords.judge(&users, login("alice", "secret")).await;
        assert_eq!(known, Accepted);
        drop(permit);
        assert_eq!(passwords.judge(&users, login("alice", "0")).await, Refused);
    }

    #[test]
    fn logins_are_read_as_the_rfc_writes_them() {
        let read = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(AUTHORIZATION, line.parse().unwrap());
            }
            Login::from_headers(&headers)
                .map(|login| (login.user, login.password.reveal().to_owned()))
        };
        let some = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        // RFC 7617, section 2: Aladdin, open sesame.
        assert_eq!(
            read(&["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]),
            some("Aladdin", "open sesame")
        );
        assert_eq!(read(&["bAsIc  OmE6Yg=="]), some("", "a:b"));
        for lines in [
            &[][..],
            &["Bearer x"],
            &["Basic"],
            &["Basic ???"],
            &["Basic QQ=="],
            &["Basic OmE=", "Basic OmE="],
        ] {
            assert_eq!(read(lines), None, "{lines:?}");
        }
    }
}
