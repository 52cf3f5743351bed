//! The book where several nodes share Redis: what is committed there, in its order, and what a failover or a loss takes back.

use std::collections::{BTreeMap, BTreeSet};

use room::{Event, RoomId, UserId, What};
use store::News;
use tokio::time::{Duration, Instant};

use super::Pages;
use crate::redis::{Noticed, Told};

/// How long it takes at most until all nodes have heard of something, where nothing is wrong.
pub const HEARD: Duration = Duration::from_secs(5);

/// One commit.
#[derive(Clone, Debug)]
pub struct Commit {
    told: Told,
    events: Vec<Event>,
    at: Instant,
}

impl Commit {
    fn of(told: Told) -> Self {
        let news: Vec<News> = serde_json::from_slice(&told.text).unwrap_or_default();
        Self { told, events: news.into_iter().filter_map(News::into_event).collect(), at: Instant::now() }
    }
}

impl Pages {
    /// Within which time what was acknowledged at one node must hold at all.
    pub fn bound(&self) -> Duration {
        if !self.shared {
            return Duration::ZERO;
        }
        if self.calm.elapsed() < HEARD { Duration::MAX } else { HEARD }
    }

    /// Whether nodes may not have heard of each other, or number messages apart.
    pub fn unsure(&self) -> bool {
        self.shared && self.calm.elapsed() < HEARD
    }

    /// Whether commits were lost that need not be kept, at that time or later.
    pub fn lost_since(&self, asked: Instant) -> bool {
        self.lost.is_some_and(|lost| lost >= asked)
    }

    /// Nodes say different things of these groups. Where nothing is wrong that is over as soon as they have heard of each other.
    pub fn differ(&mut self, groups: BTreeMap<RoomId, BTreeSet<String>>) {
        let calm = self.calm + HEARD;
        self.differ.retain(|id, _| groups.contains_key(id));
        for (id, said) in groups {
            if !self.differ.contains_key(&id) {
                self.note(format!("  nodes differ about {id}: {said:?}"));
            }
            let since = *self.differ.entry(id.clone()).or_insert_with(Instant::now);
            if since.max(calm).elapsed() > HEARD {
                self.broken("nodes agree on their groups", format!("{id}: {said:?}"));
            }
        }
    }

    /// The last change of this user in this room was acknowledged: it and all before it.
    pub fn acknowledged(&mut self, room: &RoomId, user: &UserId) {
        let of = |event: &Event| match &event.what {
            What::Joined { user: who } | What::Left { user: who, .. } => event.room == *room && who == user,
            _ => false,
        };
        let last = self.commits.iter().rposition(|commit| commit.events.iter().any(of));
        self.acknowledged = self.acknowledged.max(last.map_or(0, |at| at + 1));
    }

    /// Redis has changed.
    pub fn noticed(&mut self, noticed: Noticed) {
        match noticed {
            Noticed::Added(told) => {
                let commit = Commit::of(told);
                for event in &commit.events {
                    self.committed(event);
                }
                self.commits.push(commit);
            }
            Noticed::Promoted(all) => self.promoted(all),
            Noticed::Forgotten => self.forgotten(),
        }
    }

    /// Another server is the master: it may lack the last commits.
    fn promoted(&mut self, all: Vec<Told>) {
        self.calm = Instant::now();
        let same = self.commits.iter().zip(&all).take_while(|(commit, told)| commit.told == **told).count();
        let lost = self.commits.len() - same;
        self.note(format!("  {lost} commits are lost, {} were acknowledged", self.acknowledged.saturating_sub(same)));
        if self.waits && self.acknowledged > same {
            let why = format!("{} commits that replicas had", self.acknowledged - same);
            self.broken("nothing acknowledged is lost", why);
        }
        // Chat is not waited for.
        self.last_said.clear();
        self.said.clear();
        if lost == 0 {
            return;
        }
        self.lost = Some(Instant::now());
        self.acknowledged = self.acknowledged.min(same);
        let rooms: Vec<RoomId> =
            self.commits.drain(same..).flat_map(|commit| commit.events).map(|event| event.room).collect();
        for id in rooms {
            let Some(room) = self.rooms.get_mut(&id) else { continue };
            let mut before = super::Room { untold: std::mem::take(&mut room.untold), ..super::Room::default() };
            before.untold.clear();
            let events =
                self.commits.iter().flat_map(|commit| commit.events.iter().map(move |event| (event, commit.at)));
            for (event, at) in events.filter(|(event, _)| event.room == id) {
                // It could before.
                let _ = before.apply(event, false);
                before.untold.clear();
                if let What::Created { .. } = event.what {
                    before.made = Some(at);
                }
                if let What::Left { user, .. } = &event.what {
                    before.left.insert(user.clone(), at);
                }
            }
            before.unheard = true;
            before.life = before.life.max(room.life);
            *room = before;
        }
        if !self.waits {
            // Any of them may be lost.
            self.fields.values_mut().for_each(|may| may.push(String::new()));
        }
    }

    /// Redis has come back empty.
    fn forgotten(&mut self) {
        self.calm = Instant::now();
        self.lost = Some(Instant::now());
        self.commits.clear();
        self.acknowledged = 0;
        self.last_said.clear();
        self.said.clear();
        for room in self.rooms.values_mut() {
            room.untold.clear();
            room.unheard = true;
            // What nodes have not heard of, they cannot end.
            let heard = room.last.is_some_and(|last| last.elapsed() > HEARD);
            room.forgotten = room.there.then_some(heard);
        }
    }
}
