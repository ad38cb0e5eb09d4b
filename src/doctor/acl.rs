//! The ACL users of a server, as far as two servers can be compared by them: their names and a
//! fingerprint of their rules. The hashes of passwords, which ACL LIST contains, are not kept.

use std::collections::BTreeMap;

use crate::model::stable_hash;

/// The user that clients without a login are.
const DEFAULT_USER: &str = "default";

/// The users of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AclUsers(BTreeMap<String, AclUser>);

/// One user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AclUser {
    /// A fingerprint of its rules and of the hashes of its passwords.
    rules: u64,
    /// Whether any password will do.
    nopass: bool,
}

impl AclUsers {
    /// Reads the lines of ACL LIST: `user NAME on #HASH ~* +@all`. Lines of another form are left
    /// out.
    pub fn from_lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut users = BTreeMap::new();
        for line in lines {
            let mut words = line.split(' ');
            let (Some("user"), Some(name)) = (words.next(), words.next()) else {
                continue;
            };
            let rules: Vec<&str> = words.collect();
            users.insert(name.to_owned(), AclUser::new(&rules));
        }
        Self(users)
    }

    /// Whether there is a user of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether a client needs no login; `None` where there is no default user in the list.
    pub fn default_needs_no_password(&self) -> Option<bool> {
        self.0.get(DEFAULT_USER).map(|user| user.nopass)
    }

    /// The users of this server that `other` does not have.
    pub fn missing_in(&self, other: &Self) -> Vec<&str> {
        let names = self.0.keys().filter(|name| !other.0.contains_key(*name));
        names.map(String::as_str).collect()
    }

    /// The users that both servers have, with other rights or passwords.
    pub fn different_in(&self, other: &Self) -> Vec<&str> {
        let mut names = Vec::new();
        for (name, user) in &self.0 {
            if other
                .0
                .get(name)
                .is_some_and(|there| there.rules != user.rules)
            {
                names.push(name.as_str());
            }
        }
        names
    }
}

impl AclUser {
    fn new(rules: &[&str]) -> Self {
        Self {
            rules: stable_hash(normalized(rules)),
            nopass: rules.contains(&"nopass"),
        }
    }
}

/// `rules` in an order that is the same for equal users.
///
/// Redis 7.0 lists single commands in the order of a hash table that each process seeds for itself
/// (`ACLDescribeSelectorCommandRules`, acl.c), and the order of passwords and patterns means
/// nothing. That of categories does: `+@all -@admin` is not `-@admin +@all`.
fn normalized<'a>(rules: &[&'a str]) -> Vec<&'a str> {
    let mut others = Vec::new();
    let mut commands = Vec::new();
    let mut run = Vec::new();
    for &rule in rules {
        if !rule.starts_with(['+', '-']) {
            others.push(rule);
        } else if rule.contains('@') {
            run.sort_unstable();
            commands.append(&mut run);
            commands.push(rule);
        } else {
            run.push(rule);
        }
    }
    run.sort_unstable();
    others.sort_unstable();
    others.append(&mut commands);
    others.append(&mut run);
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_compared_by_their_rules_and_passwords() {
        let one = AclUsers::from_lines([
            "user default on nopass ~* &* +@all",
            "user app on #aa #bb ~app:* +@read",
            "user gone on #aa +@all",
            "nonsense",
        ]);
        let other = AclUsers::from_lines([
            "user default on #cc ~* &* +@all",
            "user app on #bb #aa ~app:* +@read",
        ]);
        assert_eq!(one.missing_in(&other), ["gone"]);
        assert_eq!(one.different_in(&other), ["default"]);
        assert_eq!(one.default_needs_no_password(), Some(true));
        assert_eq!(other.default_needs_no_password(), Some(false));
        assert_eq!(AclUsers::default().default_needs_no_password(), None);
    }

    #[test]
    fn the_order_counts_only_where_it_means_something() {
        let users = |rules: &str| AclUsers::from_lines([format!("user app on {rules}").as_str()]);
        let same = |one: &str, other: &str| users(one).different_in(&users(other)).is_empty();
        assert!(same("-@all +info +time ~a ~b", "~b ~a -@all +time +info"));
        assert!(!same("-@all +info", "-@all +time"));
        assert!(!same("+@all -@admin", "-@admin +@all"));
        assert!(!same("+@all -get", "-get +@all"));
    }

    #[test]
    fn no_hash_of_a_password_is_kept() {
        let users = AclUsers::from_lines(["user app on #5e884898da28047151 +@all"]);
        assert!(!format!("{users:?}").contains("5e884898"));
    }
}
