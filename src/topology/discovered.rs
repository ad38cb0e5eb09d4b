//! What Sentinels have told so far: their answers become entries like those of the configuration.
//!
//! Sentinels come and go, so nothing is forgotten because one of them is silent: what is known
//! stays until those that answer have told otherwise for a while
//! ([`GRACE`](super::known_master::GRACE)).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::datacenter_of;
use super::known_master::KnownMaster;
use super::placement::{PlacementRisk, placement_risks};
use super::sentinels::{SentinelView, agreements};
use crate::config::{DatacenterRule, PairSettings, SentinelSettings, ServerSettings, Settings};
use crate::info::{KnownSentinel, QuorumCheck};
use crate::model::{Datacenter, PairName, PollFailure, ServerAddr, Timestamp};

/// The most masters of one entry; a Sentinel that invents names must not fill the memory.
const MAX_MASTERS: usize = 5000;

/// What one Sentinel answered, or why it did not.
#[derive(Clone, Debug)]
pub struct SentinelEvent {
    /// The entry of `sentinels` on whose behalf it was asked.
    pub entry: PairName,
    /// The Sentinel.
    pub sentinel: ServerAddr,
    /// What it knows of the entry's masters.
    pub result: Result<SentinelView, PollFailure>,
}

/// What an answer is worth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// What it changes in what is to be watched.
    pub changes: Vec<DiscoveryChange>,
    /// Whether it says anything that this Sentinel had not said the last time.
    pub is_news: bool,
}

/// What an answer changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscoveryChange {
    /// A master was found.
    Found {
        /// What its pairs are called.
        pair: PairName,
        /// Where it listens.
        master: ServerAddr,
    },
    /// The Sentinels name another master: a failover.
    Switched {
        /// What its pairs are called.
        pair: PairName,
        /// The master before.
        from: ServerAddr,
        /// The master now.
        to: ServerAddr,
    },
    /// Replicas came or went.
    Replicas {
        /// What the pairs are called.
        pair: PairName,
    },
    /// Every Sentinel that answers has forgotten the master.
    Gone {
        /// What its pairs were called.
        pair: PairName,
    },
}

/// The Sentinels of one pair's name, and what they say.
#[derive(Clone, Debug, PartialEq)]
pub struct SentinelGroup {
    /// What the pairs are called; the entry's name while no master is known.
    pub pair: PairName,
    /// Whom they take for the master.
    pub master: Option<ServerAddr>,
    /// Every Sentinel of the entry, by address.
    pub sentinels: Vec<SentinelState>,
    /// What is risky about where they stand, as far as that is known.
    pub risks: Vec<PlacementRisk>,
    /// Whether it is known: some Sentinel has told who the others are and what the quorum is.
    pub placement_known: bool,
}

/// One Sentinel, and what it says of one master.
#[derive(Clone, Debug, PartialEq)]
pub struct SentinelState {
    /// Where it listens.
    pub addr: ServerAddr,
    /// Where it stands.
    pub dc: Datacenter,
    /// Whether it answered the last time; `None` before the first time.
    pub answer: Option<Result<(), PollFailure>>,
    /// Whether enough Sentinels are reachable for a failover; `None` where it does not say.
    pub quorum: Option<QuorumCheck>,
    /// Whether it names the same master as the newest story; `None` where it names none.
    pub agrees: Option<bool>,
    /// Whether it is in TILT; `None` where it does not say.
    pub tilted: Option<bool>,
}

/// All that Sentinels have told.
#[derive(Clone, Debug, Default)]
pub struct Discovered {
    entries: BTreeMap<PairName, Entry>,
    rules: Vec<DatacenterRule>,
}

/// One entry of `sentinels`.
#[derive(Clone, Debug)]
struct Entry {
    settings: Arc<SentinelSettings>,
    /// What each Sentinel last said; `None` before the first time.
    voices: BTreeMap<ServerAddr, Option<Result<SentinelView, PollFailure>>>,
    masters: BTreeMap<String, KnownMaster>,
}

impl Discovered {
    /// Nothing is known yet of what `settings` ask for.
    pub fn new(settings: &Settings) -> Self {
        let mut discovered = Self::default();
        discovered.reconfigure(settings);
        discovered
    }

    /// Goes over to other settings. Entries that stay keep what is known.
    pub fn reconfigure(&mut self, settings: &Settings) {
        self.rules.clone_from(&settings.datacenters);
        let mut old = std::mem::take(&mut self.entries);
        let entry = |settings: &SentinelSettings| {
            (
                settings.name.clone(),
                Entry::new(settings, old.remove(&settings.name)),
            )
        };
        self.entries = settings.sentinels.iter().map(entry).collect();
    }

    /// Takes in what a Sentinel answered. One that is no longer asked says nothing.
    pub fn handle(&mut self, event: SentinelEvent, now: Timestamp) -> Heard {
        let Some(entry) = self.entries.get_mut(&event.entry) else {
            return Heard::default();
        };
        entry.handle(&event.sentinel, event.result, now)
    }

    /// What is to be watched: an entry for each master that has replicas.
    pub fn entries(&self) -> Vec<PairSettings> {
        self.entries.values().flat_map(Entry::pairs).collect()
    }

    /// The Sentinels, and what they say of each master.
    pub fn groups(&self) -> Vec<SentinelGroup> {
        self.entries
            .values()
            .flat_map(|entry| entry.groups(&self.rules))
            .collect()
    }
}

impl Entry {
    fn new(settings: &SentinelSettings, known: Option<Self>) -> Self {
        let (mut old_voices, mut masters) = known
            .map(|known| (known.voices, known.masters))
            .unwrap_or_default();
        let asked: BTreeSet<_> = settings
            .sentinels
            .iter()
            .map(|sentinel| sentinel.addr.clone())
            .collect();
        masters.retain(|name, _| settings.masters.matches(name));
        for master in masters.values_mut() {
            master.retain_witnesses(&asked);
        }
        let voices = asked
            .into_iter()
            .map(|addr| (addr.clone(), old_voices.remove(&addr).flatten()))
            .collect();
        Self {
            settings: Arc::new(settings.clone()),
            voices,
            masters,
        }
    }

    fn handle(
        &mut self,
        sentinel: &ServerAddr,
        result: Result<SentinelView, PollFailure>,
        now: Timestamp,
    ) -> Heard {
        let Some(voice) = self.voices.get_mut(sentinel) else {
            return Heard::default();
        };
        let is_news = voice.as_ref() != Some(&result);
        *voice = Some(result);
        // Most answers repeat the one before, and a fleet may have a thousand masters.
        if !is_news && self.masters.values().all(KnownMaster::is_settled) {
            return Heard::default();
        }
        let before = self.masters.clone();
        self.learn(now);
        let changes = self.changes_since(&before);
        Heard {
            is_news: is_news || !changes.is_empty(),
            changes,
        }
    }

    fn learn(&mut self, now: Timestamp) {
        let views: BTreeMap<&ServerAddr, &SentinelView> = self
            .voices
            .iter()
            .filter_map(|(who, said)| Some((who, said.as_ref()?.as_ref().ok()?)))
            .collect();
        let mut agreed = agreements(&views);
        agreed.retain(|name, _| self.settings.masters.matches(name));
        if views.is_empty() {
            self.masters.values_mut().for_each(KnownMaster::keep);
            return;
        }
        self.masters
            .retain(|name, master| agreed.contains_key(name) || !master.is_forgotten(now));
        for (name, agreement) in &agreed {
            if let Some(master) = self.masters.get_mut(name) {
                master.learn(agreement, now);
            } else if self.masters.len() < MAX_MASTERS {
                self.masters
                    .insert(name.clone(), KnownMaster::new(agreement));
            }
        }
    }

    fn changes_since(&self, before: &BTreeMap<String, KnownMaster>) -> Vec<DiscoveryChange> {
        let names: BTreeSet<_> = before.keys().chain(self.masters.keys()).collect();
        let change = |name: &String| {
            let pair = self.settings.pair_name(name)?;
            match (before.get(name), self.masters.get(name)) {
                (None, Some(new)) => Some(DiscoveryChange::Found {
                    pair,
                    master: new.addr.clone(),
                }),
                (Some(_), None) => Some(DiscoveryChange::Gone { pair }),
                (Some(old), Some(new)) if old.addr != new.addr => Some(DiscoveryChange::Switched {
                    pair,
                    from: old.addr.clone(),
                    to: new.addr.clone(),
                }),
                (Some(old), Some(new)) if !old.replicas().eq(new.replicas()) => {
                    Some(DiscoveryChange::Replicas { pair })
                }
                _ => None,
            }
        };
        names.into_iter().filter_map(change).collect()
    }

    fn pairs(&self) -> impl Iterator<Item = PairSettings> {
        self.masters
            .iter()
            .filter_map(|(name, master)| self.pair(name, master))
    }

    fn pair(&self, name: &str, master: &KnownMaster) -> Option<PairSettings> {
        let settings = &self.settings;
        let server = |addr: &ServerAddr| ServerSettings {
            addr: addr.clone(),
            dc: None,
            credentials: settings.servers.credentials.clone(),
            tls: settings.servers.tls.clone(),
        };
        let replicas: Vec<_> = master.replicas().map(server).collect();
        // A master without replicas replicates to nobody: there is nothing to compare it with.
        (!replicas.is_empty()).then_some(())?;
        Some(PairSettings {
            name: settings.pair_name(name)?,
            shard: None,
            master: server(&master.addr),
            replicas,
            labels: settings.labels.clone(),
            alerts: settings.alerts.clone(),
            heartbeat: settings.heartbeat,
        })
    }

    fn groups(&self, rules: &[DatacenterRule]) -> Vec<SentinelGroup> {
        let of_master = |(name, master): (&String, &KnownMaster)| {
            let pair = self.settings.pair_name(name)?;
            let sentinels = self
                .voices
                .keys()
                .map(|sentinel| self.state(sentinel, Some((name, master)), rules))
                .collect();
            let risks = self.risks(name, master, rules);
            let placement_known = risks.is_some();
            let (master, risks) = (Some(master.addr.clone()), risks.unwrap_or_default());
            Some(SentinelGroup {
                pair,
                master,
                sentinels,
                risks,
                placement_known,
            })
        };
        let groups: Vec<_> = self.masters.iter().filter_map(of_master).collect();
        if !groups.is_empty() {
            return groups;
        }
        let sentinels = self
            .voices
            .keys()
            .map(|sentinel| self.state(sentinel, None, rules))
            .collect();
        let (pair, risks) = (self.settings.name.clone(), Vec::new());
        vec![SentinelGroup {
            pair,
            master: None,
            sentinels,
            risks,
            placement_known: false,
        }]
    }

    fn state(
        &self,
        addr: &ServerAddr,
        of: Option<(&String, &KnownMaster)>,
        rules: &[DatacenterRule],
    ) -> SentinelState {
        let voice = self.voices.get(addr).and_then(Option::as_ref);
        let view = voice.and_then(|said| said.as_ref().ok());
        let story = of.and_then(|(name, known)| Some((view?.masters.get(name)?, known)));
        SentinelState {
            addr: addr.clone(),
            dc: datacenter_of(addr, rules),
            answer: voice.map(|said| said.as_ref().map(|_| ()).map_err(Clone::clone)),
            quorum: story.and_then(|(story, _)| story.quorum),
            agrees: story.map(|(story, known)| story.master.addr == known.addr),
            tilted: view.and_then(|view| view.tilted),
        }
    }

    /// What is risky about where the Sentinels stand; `None` where nobody tells who they are, or
    /// what the quorum is.
    fn risks(
        &self,
        name: &str,
        known: &KnownMaster,
        rules: &[DatacenterRule],
    ) -> Option<Vec<PlacementRisk>> {
        let stories = self.voices.iter().filter_map(|(who, said)| {
            let story = said.as_ref()?.as_ref().ok()?.masters.get(name)?;
            let others = story.sentinels.as_ref()?;
            (story.master.addr == known.addr).then_some((who, others, story.master.quorum))
        });
        // Who knows the most of the others knows best where they stand.
        let (who, others, quorum) = stories.max_by_key(|(_, others, _)| others.len())?;
        let quorum = usize::try_from(quorum?).ok()?;
        let replica_dcs = known
            .replicas()
            .map(|replica| datacenter_of(replica, rules))
            .collect();
        let standing = standing(who, others, rules);
        Some(placement_risks(
            quorum,
            &standing,
            &datacenter_of(&known.addr, rules),
            &replica_dcs,
        ))
    }
}

/// Where the Sentinels of one story stand, its teller among them.
fn standing(
    teller: &ServerAddr,
    others: &[KnownSentinel],
    rules: &[DatacenterRule],
) -> Vec<Datacenter> {
    let all = others.iter().map(|other| &other.addr).chain([teller]);
    all.map(|sentinel| datacenter_of(sentinel, rules)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HostPattern;
    use crate::config::testing::{sentinels_of, settings_of};
    use crate::info::{KnownReplica, SeenHealth, WatchedMaster};
    use crate::model::PollError;
    use crate::topology::MasterView;
    use crate::topology::{Masters, Topology};

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    fn addr(host: &str) -> ServerAddr {
        ServerAddr::new(host, 1)
    }

    /// Settings with an entry `e` of Sentinels `s1.a`, `s2.b`, `s3.b`, and datacenters `a` and `b`
    /// by the end of names.
    fn settings() -> Settings {
        let mut settings = settings_of(&[]);
        settings.sentinels = vec![sentinels_of(
            "e",
            &["s1.a:1", "s2.b:1", "s3.b:1"].map(str::to_owned),
        )];
        settings.datacenters = ["a", "b"].map(place).into();
        settings
    }

    fn place(dc: &str) -> DatacenterRule {
        let patterns = vec![HostPattern::Glob(wildmatch::WildMatch::new(&format!(
            "*.{dc}"
        )))];
        DatacenterRule {
            name: Datacenter::new(dc),
            patterns,
            local: false,
        }
    }

    /// A Sentinel's view: masters, each as `name@epoch:master<replica,replica`.
    fn view(masters: &str) -> SentinelView {
        let health = SeenHealth::default();
        let master = |text: &str| {
            let (name, rest) = text.split_once('@').unwrap();
            let (epoch, rest) = rest.split_once(':').unwrap();
            let (master, replicas) = rest.split_once('<').unwrap();
            let master = WatchedMaster {
                name: name.to_owned(),
                addr: addr(master),
                health,
                quorum: Some(2),
                other_sentinels: Some(2),
                config_epoch: epoch.parse().ok(),
            };
            let replica = |host: &str| KnownReplica {
                addr: addr(host),
                health,
                announced: true,
            };
            let replicas = replicas
                .split(',')
                .filter(|host| !host.is_empty())
                .map(replica)
                .collect();
            let sentinels = ["s2.b", "s3.b"]
                .map(|host| KnownSentinel {
                    addr: addr(host),
                    health,
                })
                .into();
            (
                name.to_owned(),
                MasterView {
                    master,
                    replicas,
                    sentinels: Some(sentinels),
                    quorum: Some(QuorumCheck::Reached),
                },
            )
        };
        SentinelView {
            masters: masters
                .split(' ')
                .filter(|m| !m.is_empty())
                .map(master)
                .collect(),
            tilted: Some(false),
        }
    }

    struct Story(Discovered);

    impl Story {
        fn begin() -> Self {
            Self(Discovered::new(&settings()))
        }

        /// What this Sentinel's answer changes; `-` is no answer.
        fn says(&mut self, secs: i64, sentinel: &str, masters: &str) -> String {
            let result = if masters == "-" {
                Err(PollError::Timeout.into())
            } else {
                Ok(view(masters))
            };
            let event = SentinelEvent {
                entry: PairName::new("e"),
                sentinel: addr(sentinel),
                result,
            };
            let shown = |change: DiscoveryChange| match change {
                DiscoveryChange::Found { pair, .. } => format!("+{pair}"),
                DiscoveryChange::Gone { pair } => format!("-{pair}"),
                DiscoveryChange::Replicas { pair } => format!("~{pair}"),
                DiscoveryChange::Switched { pair, from, to } => {
                    format!("{pair}:{}>{}", from.host().unwrap(), to.host().unwrap())
                }
            };
            self.0
                .handle(event, at(secs))
                .changes
                .into_iter()
                .map(shown)
                .collect::<Vec<_>>()
                .join(" ")
        }

        fn entries(&self) -> String {
            let entry = |entry: PairSettings| {
                let replicas: Vec<_> = entry
                    .replicas
                    .iter()
                    .filter_map(|r| r.addr.host().map(str::to_owned))
                    .collect();
                format!(
                    "{}:{}<{}",
                    entry.name,
                    entry.master.addr.host().unwrap(),
                    replicas.join(",")
                )
            };
            self.0
                .entries()
                .into_iter()
                .map(entry)
                .collect::<Vec<_>>()
                .join(" ")
        }
    }

    #[test]
    fn masters_with_replicas_become_entries() {
        let mut story = Story::begin();
        assert_eq!(story.entries(), "");
        assert_eq!(story.says(0, "s1.a", "m@0:x.a<y.b n@0:z.a<"), "+e/m +e/n");
        assert_eq!(
            story.entries(),
            "e/m:x.a<y.b",
            "a master without replicas is no pair"
        );
        assert_eq!(
            story.says(1, "s1.a", "m@0:x.a<y.b,w.b n@0:z.a<v.b"),
            "~e/m ~e/n"
        );
        assert_eq!(story.entries(), "e/m:x.a<w.b,y.b e/n:z.a<v.b");
        assert_eq!(story.says(2, "s2.b", "m@0:x.a<y.b,w.b n@0:z.a<v.b"), "");
    }

    #[test]
    fn a_failover_turns_the_entry_at_the_first_word() {
        let mut story = Story::begin();
        for sentinel in ["s1.a", "s2.b", "s3.b"] {
            story.says(0, sentinel, "m@0:x.a<y.b");
        }
        assert_eq!(story.says(1, "s2.b", "m@1:y.b<x.a"), "e/m:x.a>y.b");
        assert_eq!(story.entries(), "e/m:y.b<x.a");
        let agrees = |story: &Story| {
            story.0.groups()[0]
                .sentinels
                .iter()
                .map(|s| s.agrees)
                .collect::<Vec<_>>()
        };
        assert_eq!(agrees(&story), [Some(false), Some(true), Some(false)]);
        assert_eq!(
            (
                story.says(2, "s1.a", "m@1:y.b<x.a"),
                story.says(2, "s3.b", "m@1:y.b<x.a")
            ),
            (String::new(), String::new())
        );
        assert_eq!(agrees(&story), [Some(true); 3]);
    }

    #[test]
    fn silence_forgets_nothing() {
        let mut story = Story::begin();
        story.says(0, "s1.a", "m@0:x.a<y.b");
        for secs in 1..600 {
            assert_eq!(story.says(secs, "s1.a", "-"), "");
        }
        assert_eq!(story.entries(), "e/m:x.a<y.b");
    }

    #[test]
    fn a_partition_does_not_turn_the_entry_back() {
        let mut story = Story::begin();
        story.says(0, "s1.a", "m@0:x.a<y.b");
        story.says(1, "s2.b", "m@1:y.b<x.a");
        story.says(2, "s2.b", "-");
        assert_eq!(story.says(99, "s1.a", "m@0:x.a<y.b"), "");
        assert_eq!(story.entries(), "e/m:y.b<x.a");
    }

    #[test]
    fn what_all_that_answer_have_forgotten_goes_after_a_while() {
        let mut story = Story::begin();
        story.says(0, "s1.a", "m@0:x.a<y.b");
        story.says(0, "s2.b", "m@0:x.a<y.b");
        assert_eq!(
            story.says(10, "s1.a", ""),
            "",
            "the other one still knows it"
        );
        assert_eq!(
            (story.says(99, "s2.b", ""), story.says(128, "s1.a", "")),
            (String::new(), String::new())
        );
        assert_eq!(story.says(129, "s1.a", ""), "-e/m");
        assert_eq!(story.entries(), "");
        assert_eq!(
            story.0.groups()[0].pair.as_str(),
            "e",
            "the entry's own name again"
        );
    }

    #[test]
    fn names_that_are_invented_for_ever_do_not_pile_up() {
        let mut story = Story::begin();
        let masters = |from: usize| {
            (from..from + 3000)
                .map(|n| format!("m{n}@0:x.a<y.b"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        story.says(0, "s1.a", &masters(0));
        story.says(0, "s2.b", &masters(3000));
        assert_eq!(story.0.entries().len(), MAX_MASTERS);
    }

    #[test]
    fn a_reload_keeps_what_is_known_of_what_stays() {
        let mut story = Story::begin();
        story.says(0, "s1.a", "m@0:x.a<y.b n@0:z.a<v.b");
        let mut narrower = settings();
        narrower.sentinels[0].masters = crate::config::MasterSelector::Exact("m".to_owned());
        narrower.sentinels[0].sentinels.remove(0);
        story.0.reconfigure(&narrower);
        assert_eq!(story.entries(), "e:x.a<y.b");
        assert_eq!(story.says(1, "s1.a", ""), "", "nobody asked it");
        assert_eq!(
            story.says(1, "s2.b", "m@0:y.b<x.a n@0:z.a<v.b"),
            "e:x.a>y.b",
            "a story of its own"
        );
        story.0.reconfigure(&settings_of(&[]));
        assert_eq!(
            (story.entries(), story.0.groups().len()),
            (String::new(), 0)
        );
    }

    #[test]
    fn a_group_says_how_its_sentinels_are_and_what_is_risky() {
        let mut story = Story::begin();
        let fresh = &story.0.groups()[0];
        assert_eq!(
            (
                fresh.pair.as_str(),
                fresh.master.clone(),
                fresh.sentinels.len()
            ),
            ("e", None, 3)
        );
        assert!(
            fresh
                .sentinels
                .iter()
                .all(|sentinel| sentinel.answer.is_none())
        );
        let fresh_placement = fresh.placement_known;
        story.says(0, "s1.a", "m@0:x.a<y.b");
        story.says(0, "s2.b", "-");
        let group = &story.0.groups()[0];
        let answers: Vec<_> = group
            .sentinels
            .iter()
            .map(|sentinel| sentinel.answer.clone())
            .collect();
        assert_eq!(
            answers,
            [Some(Ok(())), Some(Err(PollError::Timeout.into())), None]
        );
        assert_eq!(
            (group.pair.as_str(), group.sentinels[0].dc.as_str()),
            ("e/m", "a")
        );
        assert!(group.placement_known && !fresh_placement);
        assert_eq!(
            group
                .risks
                .iter()
                .map(|risk| (risk.dc.as_str(), risk.sentinels))
                .collect::<Vec<_>>(),
            [("b", 2)]
        );
    }

    #[test]
    fn what_is_found_makes_a_topology_in_which_the_file_says_how_to_connect() {
        let mut story = Story::begin();
        story.says(0, "s1.a", "m@0:x.a<y.b");
        let mut settings = settings_of(&[("own", "x.a:1", &["w.b:1"])]);
        settings.datacenters = ["a", "b"].map(place).into();
        settings.pairs[0].master.credentials.username = Some("named".to_owned());
        let entries: Vec<_> = settings
            .pairs
            .iter()
            .cloned()
            .chain(story.0.entries())
            .collect();
        let topology = Topology::observed(&entries, &settings.datacenters, &Masters::default());
        let pairs: Vec<_> = topology
            .pairs
            .iter()
            .map(|p| format!("{} {}>{}", p.key, p.source_dc, p.target_dc))
            .collect();
        assert_eq!(pairs, ["own/w.b:1 a>b", "e/m/y.b:1 a>b"]);
        assert_eq!(
            topology.servers[&addr("x.a")]
                .credentials
                .username
                .as_deref(),
            Some("named")
        );
        assert_eq!(topology.trees.len(), 1, "they share a master");
    }
}
