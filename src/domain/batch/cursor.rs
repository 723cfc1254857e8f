//! Pages of jobs: the selected jobs, the position of a page, and the walk that fills it.
//!
//! A walk reads one index partition after another, and each in the order of the job ids.
//! Both are constant for a job, so that a change of its status moves it nowhere: a job
//! that is present and selected throughout is found once, and no job is found twice.

use serde::{Deserialize, Serialize};

use super::shard::Group;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::stored::Status;
use crate::domain::limits::BATCH_SHARDS;

/// A selection of jobs by status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Select {
    /// All jobs.
    #[default]
    All,
    /// The jobs with one status.
    Only(Status),
    /// The jobs that are `pending` or `processing`.
    Unfinished,
    /// The jobs that are `complete`, `failed` or `cancelled`.
    Ended,
}

impl Select {
    /// Whether the selection includes jobs with this status.
    pub fn includes(self, status: Status) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => status == only,
            Self::Unfinished => !status.has_ended(),
            Self::Ended => status.has_ended(),
        }
    }
}

/// The position of a page: the partition and the job before the page.
///
/// Its text is such as `2.job-1`; `2` is the start of partition 2.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor {
    /// The number of the index partition, from 0.
    pub shard: u32,
    /// The last job before the page.
    pub after: Option<JobId>,
}

impl Cursor {
    /// The position directly after a job of a batch.
    pub fn after_job(batch_id: &BatchId, job_id: &JobId) -> Self {
        Self { shard: Group::Batch(batch_id).shard_of(job_id), after: Some(job_id.clone()) }
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.after {
            Some(job_id) => write!(f, "{}.{job_id}", self.shard),
            None => write!(f, "{}", self.shard),
        }
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.to_string()
    }
}

impl TryFrom<String> for Cursor {
    type Error = InvalidCursor;
    fn try_from(text: String) -> Result<Self, InvalidCursor> {
        text.parse().map_err(|()| InvalidCursor)
    }
}

/// The text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the cursor of a page")]
pub struct InvalidCursor;

impl std::str::FromStr for Cursor {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (shard, after) = match text.split_once('.') {
            Some((shard, id)) => (shard, Some(id.parse().map_err(|_| ())?)),
            None => (text, None),
        };
        let shard = shard.parse().ok().filter(|shard| *shard < BATCH_SHARDS).ok_or(())?;
        let cursor = Self { shard, after };
        // Only the exact text of a cursor is valid: not `+2` and not `02`.
        if cursor.to_string() == text { Ok(cursor) } else { Err(()) }
    }
}

/// A page of jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The jobs, in the order of the walk.
    pub job_ids: Vec<JobId>,
    /// The position of the next page; `None` at the end. The next page may be empty.
    pub next: Option<Cursor>,
}

/// One read of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardRead {
    /// The selected jobs, in the order of their ids.
    pub job_ids: Vec<JobId>,
    /// The last job that was read, selected or not; `None` at the partition's end.
    pub last: Option<JobId>,
}

/// A walk that fills one page.
///
/// The walk reads partitions in rounds: one partition, then 4 together, then 16, then
/// the remaining ones. The jobs of a large batch fill a page from the first partition, and
/// those of a small batch are found in few rounds.
#[derive(Debug)]
pub struct Walk {
    at: Cursor,
    shards: u32,
    limit: usize,
    round: u32,
    job_ids: Vec<JobId>,
    is_done: bool,
}

/// The factor by which a round has more partitions than the round before.
const ROUND_GROWTH: u32 = 4;

impl Walk {
    /// Begins a walk over `shards` partitions, for at most `limit` jobs.
    pub fn new(from: Option<Cursor>, shards: u32, limit: usize) -> Self {
        let (at, limit) = (from.unwrap_or_default(), limit.max(1));
        Self { is_done: at.shard >= shards, at, shards, limit, round: 1, job_ids: Vec::new() }
    }

    /// The positions at which the next round reads partitions; none if the page is done.
    pub fn next_reads(&self) -> Vec<Cursor> {
        let end = if self.is_done { self.at.shard } else { self.at.shard.saturating_add(self.round).min(self.shards) };
        let shards = self.at.shard..end;
        shards.map(|shard| Cursor { shard, after: self.at.after.clone().filter(|_| shard == self.at.shard) }).collect()
    }

    /// The number of jobs that the page still takes.
    pub fn remaining(&self) -> usize {
        self.limit - self.job_ids.len()
    }

    /// Adds the reads of a round, in the order of [`next_reads`](Self::next_reads).
    ///
    /// The page ends when it is full. It also ends, with fewer jobs, at a partition whose
    /// read was incomplete: one request never reads an unlimited number of entries.
    pub fn add_reads(&mut self, reads: Vec<ShardRead>) {
        for ShardRead { mut job_ids, last } in reads {
            let is_cut = job_ids.len() > self.remaining();
            job_ids.truncate(self.remaining());
            let after = if is_cut { job_ids.last().cloned() } else { last };
            self.job_ids.append(&mut job_ids);
            self.at = match after {
                Some(job_id) => Cursor { after: Some(job_id), ..self.at },
                None => Cursor { shard: self.at.shard + 1, after: None },
            };
            self.is_done = self.at.after.is_some() || self.remaining() == 0 || self.at.shard >= self.shards;
            if self.is_done {
                return;
            }
        }
        self.round = self.round.saturating_mul(ROUND_GROWTH);
    }

    /// The page.
    pub fn into_page(self) -> Page {
        let next = (self.at.shard < self.shards).then_some(self.at);
        Page { job_ids: self.job_ids, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const SHARDS: u32 = 64;

    #[test]
    fn cursor_is_parsed_from_its_exact_text_only() {
        for text in ["0", "63", "3.a.b-c:d", "3.failed.a"] {
            assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
        }
        for wrong in ["", "64", "-1", "+2", "02", "1.", "1.a b", ".a", "a"] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }

    /// A partition of the index: jobs by id, and whether each is selected now.
    type Index = Vec<BTreeMap<JobId, bool>>;

    /// Reads a partition as DynamoDB does: at most `entries` entries, selected or not.
    fn read(index: &Index, at: &Cursor, entries: usize) -> ShardRead {
        let jobs = index[at.shard as usize].iter();
        let mut rest = jobs.filter(|(id, _)| at.after.as_ref().is_none_or(|after| *id > after)).peekable();
        let read: Vec<_> = rest.by_ref().take(entries).collect();
        // A read that stops at its limit does not look ahead.
        let last = (read.len() == entries).then(|| read.last().map(|(id, _)| (*id).clone())).flatten();
        ShardRead { job_ids: read.into_iter().filter(|(_, is)| **is).map(|(id, _)| id.clone()).collect(), last }
    }

    /// Reads all pages; `change` changes the index before each round.
    fn walk(
        index: &mut Index,
        limit: usize,
        entries: usize,
        mut change: impl FnMut(&mut Index),
    ) -> (Vec<JobId>, usize) {
        let (mut found, mut pages, mut cursor) = (Vec::new(), 0, None);
        loop {
            let mut walk = Walk::new(cursor, SHARDS, limit);
            loop {
                change(index);
                let reads = walk.next_reads();
                if reads.is_empty() {
                    break;
                }
                walk.add_reads(reads.iter().map(|at| read(index, at, entries)).collect());
            }
            let page = walk.into_page();
            assert!(page.job_ids.len() <= limit);
            found.extend(page.job_ids);
            pages += 1;
            // The cursor goes to the caller and back as text.
            cursor = page.next.map(|next| next.to_string().parse().unwrap());
            if cursor.is_none() {
                return (found, pages);
            }
        }
    }

    fn index_of(random: &mut fastrand::Rng, jobs: usize) -> Index {
        let mut index = vec![BTreeMap::new(); SHARDS as usize];
        for n in 0..jobs {
            let id = format!("{}-{n}", random.u16(..)).parse().unwrap();
            index[random.usize(..SHARDS as usize)].insert(id, random.bool());
        }
        index
    }

    #[test]
    fn job_selected_throughout_is_found_once_among_changes() {
        for seed in 0..500 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (jobs, limit, entries) = (random.usize(..400), random.usize(1..40), random.usize(1..60));
            let mut index = index_of(&mut random, jobs);
            let mut throughout: Vec<JobId> = Vec::new();
            for (id, is_selected) in index.iter().flatten() {
                if *is_selected && random.bool() {
                    throughout.push(id.clone());
                }
            }
            let (found, _) = walk(&mut index, limit, entries, |index| {
                for _ in 0..random.usize(..20) {
                    let shard = &mut index[random.usize(..SHARDS as usize)];
                    if random.u8(..) < 32 {
                        shard.insert(format!("new-{}", random.u32(..)).parse().unwrap(), random.bool());
                    }
                    let place = random.usize(..shard.len().max(1));
                    if let Some((id, is_selected)) =
                        shard.iter_mut().nth(place).filter(|(id, _)| !throughout.contains(id))
                    {
                        *is_selected = !*is_selected;
                        let id = id.clone();
                        if random.u8(..) < 32 {
                            shard.remove(&id);
                        }
                    }
                }
            });
            let mut distinct = found.clone();
            distinct.sort();
            distinct.dedup();
            assert_eq!(distinct.len(), found.len(), "seed {seed}: a job was found twice");
            let missed: Vec<&JobId> = throughout.iter().filter(|id| !found.contains(id)).collect();
            assert!(missed.is_empty(), "seed {seed}: {missed:?} were not found");
        }
    }

    #[test]
    fn small_batch_takes_four_rounds_and_a_large_one_takes_one() {
        let rounds = |jobs: usize| {
            let index = index_of(&mut fastrand::Rng::with_seed(7), jobs);
            let (mut walk, mut rounds) = (Walk::new(None, SHARDS, 10), 0);
            while !walk.next_reads().is_empty() {
                let reads = walk.next_reads();
                walk.add_reads(reads.iter().map(|at| read(&index, at, 1_000)).collect());
                rounds += 1;
            }
            (rounds, walk.into_page().next.is_some())
        };
        assert_eq!(rounds(4), (4, false));
        assert_eq!(rounds(10_000), (1, true));
    }

    #[test]
    fn incomplete_read_ends_a_page_early() {
        let id = |text: &str| text.parse::<JobId>().unwrap();
        let mut walk = Walk::new(Some(Cursor { shard: 5, after: Some(id("a")) }), SHARDS, 10);
        assert_eq!(walk.next_reads(), [Cursor { shard: 5, after: Some(id("a")) }]);
        walk.add_reads(vec![ShardRead { job_ids: vec![], last: Some(id("m")) }]);
        assert_eq!(walk.next_reads(), []);
        assert_eq!(walk.into_page(), Page { job_ids: vec![], next: "5.m".parse().ok() });
    }
}
