//! A Redis server in memory: the commands and scripts that sites are sent, by the rules in Rust.
//! The differential tests compare it with real servers that run the scripts in Lua.

use std::collections::{BTreeMap, VecDeque};

use redis_cross_dc_exporter::active_active::{
    Envelope, Reply, Request, Script, ScriptCall, SiteError, Stamp, Stored,
};

/// What a key holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(Vec<u8>),
    List(VecDeque<Vec<u8>>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
}

/// The data of a server.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Data {
    pub(crate) values: BTreeMap<Vec<u8>, Value>,
    /// In milliseconds since the epoch.
    pub(crate) expiries: BTreeMap<Vec<u8>, f64>,
}

impl Data {
    /// What a register holds.
    pub(crate) fn register(&self, key: &[u8]) -> Stored {
        match self.values.get(key) {
            None => Stored::Missing,
            Some(Value::Text(text)) => Stored::from_text(text.clone()),
            Some(_) => Stored::WrongType,
        }
    }

    fn text(&self, key: &[u8]) -> Result<Option<&Vec<u8>>, SiteError> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(SiteError::WrongType),
        }
    }

    fn list(&self, key: &[u8]) -> Result<Vec<Vec<u8>>, SiteError> {
        match self.values.get(key) {
            None => Ok(Vec::new()),
            Some(Value::List(list)) => Ok(list.iter().cloned().collect()),
            Some(_) => Err(SiteError::WrongType),
        }
    }

    fn list_mut(&mut self, key: &[u8]) -> Result<&mut VecDeque<Vec<u8>>, SiteError> {
        let empty = || Value::List(VecDeque::new());
        match self.values.entry(key.to_vec()).or_insert_with(empty) {
            Value::List(list) => Ok(list),
            _ => Err(SiteError::WrongType),
        }
    }

    fn hash(&self, key: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, SiteError> {
        match self.values.get(key) {
            None => Ok(BTreeMap::new()),
            Some(Value::Hash(hash)) => Ok(hash.clone()),
            Some(_) => Err(SiteError::WrongType),
        }
    }

    fn set_text(&mut self, key: &[u8], text: Vec<u8>, expires: Option<f64>) {
        self.values.insert(key.to_vec(), Value::Text(text));
        self.expiries.remove(key);
        self.expiries.extend(expires.map(|at| (key.to_vec(), at)));
    }

    fn set_list(&mut self, key: &[u8], list: Vec<Vec<u8>>) {
        if list.is_empty() {
            self.values.remove(key);
        } else {
            self.values.insert(key.to_vec(), Value::List(list.into()));
        }
    }
}

/// A server: its data, what its clock shows, and which run this is.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) data: Data,
    pub(crate) run_id: String,
}

fn bytes(text: impl Into<Vec<u8>>) -> Reply {
    Reply::Bytes(text.into())
}

fn list(texts: impl IntoIterator<Item = Vec<u8>>) -> Reply {
    Reply::List(texts.into_iter().map(Reply::Bytes).collect())
}

fn number(count: usize) -> Reply {
    Reply::Number(i64::try_from(count).unwrap())
}

fn text_of(word: &[u8]) -> String {
    String::from_utf8(word.to_vec()).unwrap()
}

fn parse<T: std::str::FromStr>(word: &[u8]) -> T {
    let text = text_of(word);
    text.parse()
        .unwrap_or_else(|_| panic!("a number is expected: {text}"))
}

impl Server {
    pub(crate) fn new(run_id: &str) -> Self {
        Self {
            data: Data::default(),
            run_id: run_id.to_owned(),
        }
    }

    /// Removes what has expired when the clock shows `now`.
    pub(crate) fn expire(&mut self, now: f64) {
        let data = &mut self.data;
        let is_over = |at: f64| at <= (now * 1000.0).floor();
        data.expiries.retain(|key, at| {
            if is_over(*at) {
                data.values.remove(key);
            }
            !is_over(*at)
        });
    }

    /// Executes a request while the clock shows `now`, in seconds since the epoch.
    pub(crate) fn execute(&mut self, request: &Request, now: f64) -> Result<Reply, SiteError> {
        self.expire(now);
        let reply = match request {
            Request::Command(words) => self.command(words, now),
            Request::Script(call) => self.script(call, now),
        };
        self.expire(now);
        reply
    }

    fn command(&mut self, words: &[Vec<u8>], now: f64) -> Result<Reply, SiteError> {
        let data = &mut self.data;
        let word = |at: usize| words[at].as_slice();
        match text_of(word(0)).as_str() {
            "TIME" => {
                let seconds = now.floor();
                let micros = ((now - seconds) * 1e6).floor();
                Ok(list(
                    [seconds, micros].map(|n| format!("{n:.0}").into_bytes()),
                ))
            }
            "GET" => Ok(data
                .text(word(1))?
                .map_or(Reply::Nil, |text| bytes(text.clone()))),
            "SET" => {
                data.set_text(word(1), word(2).to_vec(), None);
                Ok(bytes("OK"))
            }
            "DEL" => {
                data.expiries.remove(word(1));
                Ok(number(usize::from(data.values.remove(word(1)).is_some())))
            }
            "GETRANGE" => {
                let text = data.text(word(1))?.cloned().unwrap_or_default();
                let last: usize = parse(word(3));
                Ok(bytes(text.into_iter().take(last + 1).collect::<Vec<u8>>()))
            }
            "EXISTS" => {
                let names = words.iter().skip(1);
                let existing = names.filter(|name| data.values.contains_key(*name));
                Ok(number(existing.count()))
            }
            "LLEN" => Ok(number(data.list(word(1))?.len())),
            "LRANGE" => {
                let items = data.list(word(1))?;
                let count: usize = parse(word(2).strip_prefix(b"-").unwrap());
                Ok(list(items[items.len().saturating_sub(count)..].to_vec()))
            }
            "LPUSH" => {
                let items = data.list_mut(word(1))?;
                items.push_front(word(2).to_vec());
                Ok(number(items.len()))
            }
            "RPOP" => {
                let mut items = data.list(word(1))?;
                let last = items.pop();
                data.set_list(word(1), items);
                Ok(last.map_or(Reply::Nil, Reply::Bytes))
            }
            "LREM" => {
                let mut items = data.list(word(1))?;
                let place = items.iter().position(|item| item == word(3));
                if let Some(place) = place {
                    items.remove(place);
                }
                data.set_list(word(1), items);
                Ok(number(usize::from(place.is_some())))
            }
            "HGETALL" => Ok(list(
                data.hash(word(1))?.into_iter().flat_map(<[_; 2]>::from),
            )),
            "SCAN" => {
                let prefix = text_of(word(3));
                let prefix = prefix.strip_suffix('*').unwrap().as_bytes();
                let keys = data.values.keys().filter(|key| key.starts_with(prefix));
                Ok(Reply::List(vec![bytes("0"), list(keys.cloned())]))
            }
            "INFO" => Ok(bytes(format!("# Server\r\nrun_id:{}\r\n", self.run_id))),
            other => panic!("the model does not know {other}"),
        }
    }

    fn script(&mut self, call: &ScriptCall, now: f64) -> Result<Reply, SiteError> {
        let key = call.keys[0].as_slice();
        let arguments = call.arguments.as_slice();
        match call.script {
            Script::Apply => self.apply(key, arguments, now),
            Script::Set => self.set(call, now),
            Script::Acknowledge => self.acknowledge(call),
            Script::Increment => self.increment(key, arguments),
            Script::Merge => self.merge(key, arguments),
        }
    }

    fn apply(&mut self, key: &[u8], arguments: &[Vec<u8>], now: f64) -> Result<Reply, SiteError> {
        let answer = |words: &[&[u8]]| Ok(list(words.iter().map(|word| word.to_vec())));
        let envelope = Envelope::parse(arguments[0].clone()).unwrap();
        let expires = (!arguments[5].is_empty()).then(|| parse(&arguments[5]));
        let stored = self.data.text(key)?.cloned();
        let stamp = envelope.version().stamp.seconds();
        let latest = now + parse::<f64>(&arguments[3]);
        let mut outcome: &[u8] = b"applied";
        match stored {
            None if stamp > latest => return answer(&[b"future"]),
            None if stamp < now - parse::<f64>(&arguments[4]) => {
                return answer(&[b"expired_tombstone"]);
            }
            None => {}
            Some(text) if text == arguments[0] => return answer(&[b"same"]),
            Some(text) => {
                let Ok(stored) = Envelope::parse(text.clone()) else {
                    return answer(&[b"malformed", &text]);
                };
                let is_tie = envelope.ties_with(&stored);
                if envelope < stored {
                    let name: &[u8] = if is_tie { b"older_tie" } else { b"older" };
                    return answer(&[name, &text]);
                }
                if stamp > latest && stored.version().stamp.seconds() <= latest {
                    return answer(&[b"future"]);
                }
                if is_tie {
                    outcome = b"applied_tie";
                }
            }
        }
        self.data.set_text(key, arguments[0].clone(), expires);
        answer(&[outcome])
    }

    fn set(&mut self, call: &ScriptCall, now: f64) -> Result<Reply, SiteError> {
        let [head, dc, version_head, tail, lives, key_text, max_queue] =
            <[Vec<u8>; 7]>::try_from(call.arguments.clone())
                .unwrap()
                .map(|word| text_of(&word));
        let clock = Stamp::new(now).unwrap();
        let stored = self.data.text(&call.keys[0])?.cloned();
        let stored = match stored.map(Envelope::parse) {
            None => None,
            Some(Ok(stored)) => Some(stored.version().stamp),
            Some(Err(_)) => {
                let text = self.data.text(&call.keys[0])?.cloned().unwrap();
                return Ok(list([
                    b"malformed".to_vec(),
                    text,
                    clock.to_string().into_bytes(),
                ]));
            }
        };
        let stamp = Stamp::of_write(clock, stored).unwrap();
        let lives: Option<f64> = (!lives.is_empty()).then(|| parse(lives.as_bytes()));
        let expires = lives.map(|lives| (now * 1000.0).floor() + lives);
        let mut tail = tail;
        if let Some(expires) = expires {
            let seconds = Stamp::new(expires / 1000.0).unwrap();
            tail = format!("{tail}, \"expires_at\": {seconds}");
        }
        let envelope =
            format!("{head}{stamp}, \"dc\": {dc}, \"version\": {version_head}{stamp}\"{tail}}}");
        let mut outcome = "queued";
        if self.data.list(&call.keys[1])?.len() < parse::<usize>(max_queue.as_bytes()) {
            let item = format!("{{\"key\": {key_text}, \"data\": {envelope}}}");
            self.data
                .list_mut(&call.keys[1])?
                .push_front(item.into_bytes());
        } else {
            outcome = "overflow";
            if !self.data.values.contains_key(&call.keys[2]) {
                self.data
                    .set_text(&call.keys[2], format!("{now:.0}").into_bytes(), None);
            }
        }
        self.data
            .set_text(&call.keys[0], envelope.clone().into_bytes(), expires);
        Ok(list(
            [outcome.to_owned(), envelope, clock.to_string()].map(String::into_bytes),
        ))
    }

    fn acknowledge(&mut self, call: &ScriptCall) -> Result<Reply, SiteError> {
        let mut items = self.data.list(&call.keys[0])?;
        let mut taken = 0;
        for pair in call.arguments.chunks(2) {
            if items.last() == Some(&pair[0]) {
                items.pop();
                taken += 1;
                if !pair[1].is_empty() {
                    self.data
                        .list_mut(&call.keys[1])?
                        .push_front(pair[1].clone());
                }
            }
        }
        self.data.set_list(&call.keys[0], items);
        Ok(number(taken))
    }

    fn increment(&mut self, key: &[u8], arguments: &[Vec<u8>]) -> Result<Reply, SiteError> {
        if arguments[0] != self.run_id.as_bytes() {
            return Ok(list([b"run".to_vec(), self.run_id.clone().into_bytes()]));
        }
        let mut hash = self.data.hash(key)?;
        let stored = match hash.get(&arguments[1]) {
            None => 0,
            Some(text) => match text_of(text).parse::<i64>() {
                Ok(stored) if stored.to_string().into_bytes() == *text => stored,
                _ => return Err(SiteError::NotANumber),
            },
        };
        let sum = stored
            .checked_add(parse(&arguments[2]))
            .ok_or(SiteError::Overflow)?;
        hash.insert(arguments[1].clone(), sum.to_string().into_bytes());
        self.data.values.insert(key.to_vec(), Value::Hash(hash));
        Ok(list([b"counted".to_vec()]))
    }

    fn merge(&mut self, key: &[u8], arguments: &[Vec<u8>]) -> Result<Reply, SiteError> {
        let mut hash = self.data.hash(key)?;
        for pair in arguments.chunks(2) {
            let is_less = match hash.get(&pair[0]) {
                None => true,
                Some(stored) => {
                    let is_count = text_of(stored)
                        .parse::<u128>()
                        .is_ok_and(|number| number.to_string().into_bytes() == *stored);
                    is_count && parse::<u128>(stored) < parse::<u128>(&pair[1])
                }
            };
            if is_less {
                hash.insert(pair[0].clone(), pair[1].clone());
            }
        }
        if !hash.is_empty() {
            self.data
                .values
                .insert(key.to_vec(), Value::Hash(hash.clone()));
        }
        Ok(list(hash.into_iter().flat_map(<[_; 2]>::from)))
    }
}
