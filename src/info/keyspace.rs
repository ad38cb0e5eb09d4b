//! The number of keys on a server.

use super::table::{InfoTable, RawValue, parts};
use super::{Field, value};

/// The section's header; all that an empty server sends of the section.
const HEADER: &str = "# Keyspace";

/// The keys of all databases together, from lines like `db0:keys=1000,expires=0,avg_ttl=0`.
pub(super) fn keys(table: &InfoTable<'_>, text: &str) -> Field<u64> {
    let mut total = 0_u64;
    let mut found = text.contains(HEADER);
    for (key, raw) in table.entries() {
        if !is_database(key) {
            continue;
        }
        found = true;
        let Field::Value(count) = keys_of_database(raw) else {
            return Field::Malformed;
        };
        total = total.saturating_add(count);
    }
    if found {
        Field::Value(total)
    } else {
        Field::Missing
    }
}

/// Whether `key` names a database: `db0`.
pub(super) fn is_database(key: &str) -> bool {
    let Some(number) = key.strip_prefix("db") else {
        return false;
    };
    !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
}

/// The number of keys in one database, from the value of its line.
fn keys_of_database(raw: RawValue<'_>) -> Field<u64> {
    let RawValue::Text(text) = raw else {
        return Field::Malformed;
    };
    let keys = parts(text).find(|part| part.key == "keys");
    match keys.and_then(|part| part.value) {
        Some(keys) => value::count(RawValue::Text(keys)),
        None => Field::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::lines;
    use super::*;

    fn read(text: &str) -> Field<u64> {
        keys(&InfoTable::collect(lines(text)), text)
    }

    #[test]
    fn the_keys_of_all_databases_are_added_up() {
        let line = |number, keys| format!("db{number}:keys={keys},expires=3,avg_ttl=0\r\n");
        assert_eq!(
            read(&format!("# Keyspace\r\n{}{}", line(0, 1000), line(15, 2))),
            Field::Value(1002)
        );
        assert_eq!(read("# Keyspace\r\n"), Field::Value(0), "an empty server");
        assert_eq!(read("# Stats\r\ndbs:1\r\n"), Field::Missing);
        for broken in [
            "db0:keys=-1\r\n",
            "db0:expires=1\r\n",
            "db0:keys=1\r\ndb0:keys=2\r\n",
        ] {
            assert_eq!(read(broken), Field::Malformed, "{broken:?}");
        }
    }
}
