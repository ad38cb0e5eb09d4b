//! Passwords: bcrypt runs away from the threads that poll, for few logins at once, and only once for
//! each valid login.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{hmac, rand};
use tokio::sync::Semaphore;

use crate::config::PasswordHash;
use crate::model::Secret;

/// Checks at once. One takes a processor for some 50 ms, which polling needs first.
const AT_ONCE: usize = 1;

/// The cost of a dummy hash when no user is configured.
const DEFAULT_COST: u32 = 10;

/// Logins that are remembered: some Prometheus servers and people, each with one.
const REMEMBERED: usize = 64;

/// The user and password of a request.
pub(super) struct Login {
    user: String,
    password: Secret,
}

/// Checks logins.
pub(super) struct Passwords {
    /// The key of the tags of verified logins. Without one (a system without randomness) no login
    /// is remembered.
    key: Option<hmac::Key>,
    verified: Mutex<VecDeque<[u8; 32]>>,
    turns: Arc<Semaphore>,
    checks: AtomicU64,
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
        Self {
            key: hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new()).ok(),
            verified: Mutex::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            checks: AtomicU64::new(0),
        }
    }

    /// Whether `login` is one of `users`. A user that does not exist costs as much as one that
    /// does: the password is compared with a hash that nothing is known to match.
    pub(super) async fn accept(
        &self,
        users: &BTreeMap<String, PasswordHash>,
        login: Login,
    ) -> bool {
        let known = users.get(&login.user);
        let hash = match known {
            Some(hash) => Secret::new(hash.reveal()),
            None => self.dummy(users, &login.user),
        };
        let tag = self.tag(&login, &hash);
        if known.is_some() && tag.is_some_and(|tag| self.remembers(&tag)) {
            return true;
        }
        let matches = self.check(login.password, hash).await;
        if !matches || known.is_none() {
            return false;
        }
        if let Some(tag) = tag {
            self.remember(tag);
        }
        true
    }

    /// How often bcrypt ran.
    #[cfg(test)]
    pub(super) fn checks(&self) -> u64 {
        self.checks.load(Ordering::Relaxed)
    }

    async fn check(&self, password: Secret, hash: Secret) -> bool {
        // The semaphore is never closed. The permit stays with the work, even when nobody waits for
        // it any more.
        let permit = Arc::clone(&self.turns).acquire_owned().await.ok();
        self.checks.fetch_add(1, Ordering::Relaxed);
        let work = move || {
            let _permit = permit;
            bcrypt::verify(password.reveal(), hash.reveal()).unwrap_or(false)
        };
        tokio::task::spawn_blocking(work).await.unwrap_or(false)
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
        let Some(key) = &self.key else {
            return 0;
        };
        let tag = hmac::sign(key, name.as_bytes());
        tag.as_ref().first().copied().unwrap_or(0)
    }

    /// The fingerprint of a login together with the hash that it was verified against. It reveals
    /// nothing without the key.
    fn tag(&self, login: &Login, hash: &Secret) -> Option<[u8; 32]> {
        let mut context = hmac::Context::with_key(self.key.as_ref()?);
        for part in [login.user.as_str(), hash.reveal(), login.password.reveal()] {
            context.update(&part.len().to_le_bytes());
            context.update(part.as_bytes());
        }
        context.sign().as_ref().try_into().ok()
    }

    fn remembers(&self, tag: &[u8; 32]) -> bool {
        self.verified
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(tag)
    }

    fn remember(&self, tag: [u8; 32]) {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= REMEMBERED {
            verified.pop_front();
        }
        verified.push_back(tag);
    }
}

#[cfg(test)]
mod tests {
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
    async fn bcrypt_runs_once_for_a_good_login_and_each_time_for_every_other() {
        let (passwords, users) = (Passwords::new(), users(&[("alice", 4)]));
        let cases = [
            ("alice", "secret", true, 1),
            ("alice", "secret", true, 1),
            ("alice", "wrong", false, 2),
            ("alice", "wrong", false, 3),
            ("nobody", "secret", false, 4),
            ("nobody", "secret", false, 5),
            ("", "", false, 6),
            ("alice", "secret", true, 6),
        ];
        for (user, password, accepted, checks) in cases {
            assert_eq!(
                passwords.accept(&users, login(user, password)).await,
                accepted,
                "{user} {password}"
            );
            assert_eq!(passwords.checks(), checks, "{user} {password}");
        }
    }

    #[tokio::test]
    async fn a_new_hash_ends_what_was_remembered() {
        let passwords = Passwords::new();
        assert!(
            passwords
                .accept(&users(&[("alice", 4)]), login("alice", "secret"))
                .await
        );
        let other = PasswordHash::parse(&bcrypt::hash("other", 4).unwrap()).unwrap();
        let changed = BTreeMap::from([("alice".to_owned(), other)]);
        assert!(!passwords.accept(&changed, login("alice", "secret")).await);
        assert!(
            !passwords
                .accept(&users(&[("bob", 4)]), login("alice", "secret"))
                .await
        );
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
        let passwords = Passwords::new();
        let tag = |n: usize| [u8::try_from(n).unwrap(); 32];
        (0..=REMEMBERED).for_each(|n| passwords.remember(tag(n)));
        assert_eq!(passwords.verified.lock().unwrap().len(), REMEMBERED);
        assert!(
            !passwords.remembers(&tag(0))
                && passwords.remembers(&tag(1))
                && passwords.remembers(&tag(REMEMBERED))
        );
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
