//! The counters of two sites.

use super::{PAGE, Run, SUSPECTS_AT_ONCE, counters_at};
use crate::active_active::{Counter, Difference, Direction, Site, SiteError};
use crate::multi_site::pn_counter::merge;

/// A counter at both sites.
pub(super) struct CounterPair {
    first: Counter,
    second: Counter,
}

impl CounterPair {
    const fn source(&self, direction: Direction) -> &Counter {
        match direction {
            Direction::FirstToSecond => &self.first,
            Direction::SecondToFirst => &self.second,
        }
    }

    const fn target(&self, direction: Direction) -> &Counter {
        match direction {
            Direction::FirstToSecond => &self.second,
            Direction::SecondToFirst => &self.first,
        }
    }
}

impl<S: Site> Run<'_, S> {
    /// Compares the counters at these keys.
    pub(super) async fn compare_counters(&mut self, keys: Vec<Vec<u8>>) -> Result<(), SiteError> {
        if keys.is_empty() {
            return Ok(());
        }
        let pairs = self.read_counters(&keys).await?;
        self.report.counters += keys.len() as u64;
        for (key, pair) in keys.into_iter().zip(pairs) {
            self.note_counter(key, pair);
        }
        if self.counter_suspects.len() >= SUSPECTS_AT_ONCE {
            self.look_at_counters_again().await?;
        }
        Ok(())
    }

    fn note_counter(&mut self, key: Vec<u8>, pair: Result<CounterPair, Difference>) {
        let pair = match pair {
            Ok(pair) => pair,
            Err(why) => {
                self.note_no_counter(&key, why);
                return;
            }
        };
        for direction in Direction::ALL {
            if !pair.source(direction).malformed().is_empty() {
                let report = self.report.direction_mut(direction);
                report.malformed_counters += 1;
                report.note(&key, "malformed_counter");
            }
        }
        let mut differences = pair.first.missing_at(&pair.second);
        if differences.next().is_some() || pair.second.missing_at(&pair.first).next().is_some() {
            drop(differences);
            self.counter_suspects.insert(key, pair);
            self.suspected = self.plan.first.elapsed();
        }
    }

    /// Counts a key that cannot be compared, since a site has no counter there.
    fn note_no_counter(&mut self, key: &[u8], why: Difference) {
        let report = self.report.direction_mut(Direction::FirstToSecond);
        *report.settled.entry(why).or_default() += 1;
        report.note(key, why.label());
    }

    async fn read_counters(
        &self,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Result<CounterPair, Difference>>, SiteError> {
        let first = counters_at(self.plan.first, keys).await?;
        let second = counters_at(self.plan.second, keys).await?;
        let mut pairs = Vec::with_capacity(keys.len());
        for (first, second) in first.into_iter().zip(second) {
            pairs.push(match (first, second) {
                (Ok(first), Ok(second)) => Ok(CounterPair { first, second }),
                (Err(why), _) | (_, Err(why)) => Err(why),
            });
        }
        Ok(pairs)
    }

    /// Takes the second look at counters: a field is settled that the target still has less of than
    /// the source had at the first look. Only what is still a counter at both sites is merged.
    pub(super) async fn look_at_counters_again(&mut self) -> Result<(), SiteError> {
        let suspects = std::mem::take(&mut self.counter_suspects);
        if suspects.is_empty() {
            return Ok(());
        }
        self.wait_for_second_look().await;
        let keys: Vec<Vec<u8>> = suspects.keys().cloned().collect();
        for some in keys.chunks(PAGE) {
            let pairs = self.read_counters(some).await?;
            let mut counters = Vec::new();
            for (key, now) in some.iter().zip(pairs) {
                match (now, suspects.get(key)) {
                    (Err(why), _) => self.note_no_counter(key, why),
                    (Ok(now), Some(seen)) => {
                        self.judge_counter(key, seen, &now);
                        counters.push(key);
                    }
                    (Ok(_), None) => {}
                }
            }
            if self.plan.repairs.is_some() {
                for key in counters {
                    merge(self.plan.first, self.plan.second, key).await?;
                    self.report.repairs.counters += 1;
                }
            }
        }
        Ok(())
    }

    fn judge_counter(&mut self, key: &[u8], seen: &CounterPair, now: &CounterPair) {
        for direction in Direction::ALL {
            let has_more = seen.source(direction);
            let has_less = now.target(direction);
            if has_more.missing_at(has_less).next().is_none() {
                continue;
            }
            let home = self.plan.dc_of_target(direction);
            let is_regressed = has_less.regressed_field(home, has_more).is_some();
            let report = self.report.direction_mut(direction);
            report.counters += 1;
            report.regressed += u64::from(is_regressed);
            report.note(
                key,
                if is_regressed {
                    "regressed_counter"
                } else {
                    "counter"
                },
            );
        }
    }
}
