//! The viewers of one worker: one reader a stream feeds all of them, and where a stream has layers, each is sent the one
//! that its network carries.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, spawn_local};

use super::{Common, ToWorker, Worker};
use crate::ended::Ended;
use crate::frame::Codec;
use crate::hub::{Hub, Item, Layer, Reader, View};
use crate::name::StreamName;
use crate::rendition::Renditions;
use crate::rtc::choice::Choice;
use crate::rtc::feed::{Maker, Shared, Unfit, backlog};
use crate::rtc::pairs::{MANY, Pairs};
use crate::rtc::session::{Role, Session};

/// What a feed brings: a stream or a layer of one, as the audience is shown it or as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::rtc) struct Source {
    name: StreamName,
    view: View,
}

impl Source {
    fn layer(layer: &Layer) -> Self {
        Source { name: layer.name.clone(), view: View::Raw }
    }

    /// The stream as it is published, whatever its sound was made into.
    fn published(&self) -> StreamName {
        self.name.home().unwrap_or_else(|| self.name.clone())
    }
}

/// The audio that viewers are sent.
const AUDIO: &[Codec] = &[Codec::Opus];

pub(super) struct Feed {
    number: u64,
    /// The layer that it brings; none: the stream itself.
    layer: Option<usize>,
    /// It brings the rendition without B-frames.
    in_order: bool,
    maker: Maker,
    pairs: Pairs,
    /// One of its viewers wants sound in packets of 20 ms at most.
    is_short: bool,
    viewers: Vec<u64>,
    task: AbortHandle,
}

fn wants_short_sound(session: &Session) -> bool {
    matches!(&session.role, Role::Play { whep, .. } if whep.short_sound)
}

impl Worker {
    /// Brings a stream to one more viewer.
    fn feed_viewer(&mut self, source: &Source, layer: Option<usize>, key: u64) -> Result<(), Ended> {
        if !self.feeds.contains_key(source) {
            let in_order = layer.is_none() && self.common.is_put_in_order(&source.published());
            self.start_feed(source, layer, in_order)?;
        }
        if let Some(feed) = self.feeds.get_mut(source)
            && !feed.viewers.contains(&key)
        {
            feed.viewers.push(key);
            feed.is_short |= self.sessions.get(&key).is_some_and(wants_short_sound);
        }
        Ok(())
    }

    fn start_feed(&mut self, source: &Source, layer: Option<usize>, in_order: bool) -> Result<(), Ended> {
        self.feed_numbers += 1;
        let number = self.feed_numbers;
        let task = if in_order {
            start_in_order(&self.common, source, number, self.own.clone())
        } else {
            start(&self.common.hub, source, number, self.own.clone())?
        };
        let feed = Feed {
            number,
            layer,
            in_order,
            maker: Maker::default(),
            pairs: Pairs::default(),
            is_short: false,
            viewers: Vec::new(),
            task,
        };
        self.feeds.insert(source.clone(), feed);
        Ok(())
    }

    /// Brings these viewers the rendition of their stream that has no B-frames, or the stream itself again.
    fn change_feed(&mut self, source: &Source, viewers: Vec<u64>, in_order: bool, now: Instant) {
        let before = self.feeds.remove(source);
        if let Some(feed) = &before {
            feed.task.abort();
        }
        match self.start_feed(source, None, in_order) {
            Ok(()) => self.feeds.get_mut(source).into_iter().for_each(|feed| {
                feed.viewers.extend(&viewers);
                feed.is_short = before.as_ref().is_some_and(|before| before.is_short);
            }),
            Err(reason) => self.end_feed(source, viewers, None, &reason, now),
        }
    }

    /// Nothing could be made of a stream for its viewers.
    pub(super) fn unfed(&mut self, source: &Source, number: u64, reason: &Ended, now: Instant) {
        let Some(feed) = self.feeds.get_mut(source).filter(|feed| feed.number == number) else { return };
        let viewers = std::mem::take(&mut feed.viewers);
        self.end_feed(source, viewers, None, reason, now);
    }

    /// What a viewer is sent that comes now: from the group of pictures as it is now, not as it was when the offer came.
    fn group(&self, source: &Source) -> Result<Group, Ended> {
        let Common { hub, in_order, .. } = &*self.common;
        let renditions = Renditions::new(hub.clone());
        let is_in_order = self.feeds.get(source).is_some_and(|feed| feed.in_order);
        let seen = in_order.as_ref().filter(|_| is_in_order).and_then(|all| all.seen(&source.published()));
        let mut reader = renditions.read(seen.as_ref().unwrap_or(&source.name), source.view, AUDIO)?;
        // What is being made is sent to all as soon as it is there.
        let found = if is_in_order && seen.is_none() { Ok(Vec::new()) } else { backlog(&mut reader) };
        Ok((found, reader.time()))
    }

    /// A viewer's media can flow now.
    pub(super) fn joined(&mut self, key: u64, now: Instant) {
        let Some(source) = self.viewer(key) else { return };
        if let Err(ended) = self.feed_viewer(&source, None, key) {
            return self.end(key, ended, now);
        }
        let adapts = matches!(self.sessions.get(&key).map(|s| &s.role), Some(Role::Play { whep, .. }) if whep.adapts);
        let first = if adapts { self.first_layer(&source) } else { None };
        let first = first.filter(|layer| self.feed_viewer(&Source::layer(layer), Some(layer.number), key).is_ok());
        let Some(session) = self.sessions.get_mut(&key) else { return };
        // What the network takes is told by what comes back before and after the first pictures.
        session.check(now, &mut self.outbox);
        let Role::Play { whep, .. } = &mut session.role else { return };
        if let Some(layer) = &first {
            whep.begin_with(layer.number);
        }
        let source = first.as_ref().map_or(source, Source::layer);
        let group = self.group(&source);
        let Some(session) = self.sessions.get_mut(&key) else { return };
        match group {
            Ok((Ok(found), clock)) => {
                let sent = session.play(&mut self.outbox, now, |whep, sink| whep.catch_up(sink, &found, clock, now));
                let Role::Play { whep, ticket } = &mut session.role else { return };
                ticket.count_sent(sent.unwrap_or(0));
                if let Some(format) = whep.lacks {
                    let reason = format!("the stream's video is {format} now");
                    return self.end(key, Ended::Refused(reason), now);
                }
                if whep.need_key {
                    ticket.request_key();
                }
                self.tick(key, now);
            }
            Ok((Err(unfit), _)) => {
                let Common { hub, unfits, in_order, .. } = &*self.common;
                unfits.note(hub, &source.name, unfit);
                match self.feeds.get_mut(&source) {
                    Some(feed) if in_order.is_some() && first.is_none() => {
                        let viewers = std::mem::take(&mut feed.viewers);
                        self.change_feed(&source, viewers, true, now);
                    }
                    _ => self.end(key, Ended::Refused(unfit.to_string()), now),
                }
            }
            Err(ended) => self.end(key, ended, now),
        }
    }

    /// The layer for viewers of whose networks nothing is known, if it is not what the stream itself carries.
    fn first_layer(&self, source: &Source) -> Option<Layer> {
        let hub = &self.common.hub;
        let layered = hub.is_layered(&source.name) && !self.is_overlaid(source);
        let mut layers = if layered { hub.layers(&source.name) } else { Vec::new() };
        let rates: Vec<u64> = layers.iter().map(|layer| layer.bitrate).collect();
        let first = Choice::first(&rates);
        (first + 1 < layers.len() && rates.iter().all(|rate| *rate > 0)).then(|| layers.swap_remove(first))
    }

    /// Whether viewers of this are shown something else at the moment, which has no layers.
    fn is_overlaid(&self, source: &Source) -> bool {
        source.view == View::Shown && self.common.hub.is_overlaid(&source.name)
    }

    fn viewer(&self, key: u64) -> Option<Source> {
        match &self.sessions.get(&key)?.role {
            Role::Play { ticket, .. } => Some(Source { name: ticket.name().clone(), view: ticket.view() }),
            Role::Publish { .. } => None,
        }
    }

    /// Something for all viewers of a stream, or of a layer.
    pub(super) fn feed(&mut self, source: &Source, number: u64, item: Option<Item>, now: Instant) {
        let Some(feed) = self.feeds.get_mut(source).filter(|f| f.number == number) else { return };
        let mut made = std::mem::take(&mut self.scratch);
        let was_in_order = feed.in_order;
        let result = match &item {
            Some(item) => feed.maker.item(item, &mut made).map_err(|unfit| {
                let Common { hub, unfits, .. } = &*self.common;
                unfits.note(hub, &source.name, unfit);
                Ended::Refused(unfit.to_string())
            }),
            None => Err(self.common.hub.info(&source.name).map_or(Ended::Finished, |_| Ended::TooSlow)),
        };
        let layer = feed.layer;
        let waited = feed.pairs.due();
        feed.pairs.take(&mut made, feed.viewers.len() >= MANY && !feed.is_short, now);
        if result.is_err() {
            made.extend(feed.pairs.rest());
        }
        self.unpaired.extend(feed.pairs.due().filter(|due| Some(*due) != waited).map(|due| (due, source.clone())));
        let viewers = std::mem::take(&mut feed.viewers);
        if let Err(reason) = result {
            self.serve_all(&viewers, layer, &made, now);
            let Common { hub, in_order, .. } = &*self.common;
            let changes = match item {
                Some(_) => in_order.is_some() && !was_in_order,
                // The rendition is over, and not the stream.
                None => was_in_order && hub.info(&source.published()).is_some(),
            };
            if changes && layer.is_none() {
                self.change_feed(source, viewers, !was_in_order, now);
            } else {
                self.end_feed(source, viewers, layer, &reason, now);
            }
            made.clear();
            self.scratch = made;
            return;
        }
        self.serve_again(source, viewers, layer, &made, now);
        made.clear();
        self.scratch = made;
    }

    /// Gives a feed's viewers what was made, and the feed those back who are still there.
    fn serve_again(&mut self, source: &Source, viewers: Vec<u64>, layer: Option<usize>, made: &[Shared], now: Instant) {
        if !made.is_empty() {
            self.serve_all(&viewers, layer, made, now);
        }
        if let Some(feed) = self.feeds.get_mut(source) {
            // Those that ended meanwhile are no longer among the sessions.
            let sessions = &self.sessions;
            feed.viewers.extend(viewers.into_iter().filter(|key| sessions.contains_key(key)));
            if feed.is_short {
                feed.is_short = feed.viewers.iter().any(|key| sessions.get(key).is_some_and(wants_short_sound));
            }
        }
        self.drop_idle_feed(source);
    }

    /// When sound that waits for its pair goes by itself.
    pub(super) fn unpaired_due(&mut self) -> Option<Instant> {
        // Most found their pair meanwhile.
        while let Some((due, source)) = self.unpaired.front() {
            if self.feeds.get(source).is_some_and(|feed| feed.pairs.due() == Some(*due)) {
                return Some(*due);
            }
            self.unpaired.pop_front();
        }
        None
    }

    /// Sends sound that waited for its pair in vain.
    pub(super) fn send_unpaired(&mut self, now: Instant) {
        while self.unpaired_due().is_some_and(|due| due <= now) {
            let Some((_, source)) = self.unpaired.pop_front() else { return };
            let Some(feed) = self.feeds.get_mut(&source) else { continue };
            let alone: Vec<Shared> = feed.pairs.rest().into_iter().collect();
            let layer = feed.layer;
            let viewers = std::mem::take(&mut feed.viewers);
            self.serve_again(&source, viewers, layer, &alone, now);
        }
    }

    /// A feed has ended: its viewers go, or those of a layer on to another.
    fn end_feed(&mut self, source: &Source, viewers: Vec<u64>, layer: Option<usize>, reason: &Ended, now: Instant) {
        if let Some(feed) = self.feeds.remove(source) {
            feed.task.abort();
        }
        match layer {
            Some(layer) => self.lose_layer(layer, &viewers),
            None => {
                tracing::info!(stream = %source.name, viewers = viewers.len(), %reason, "WebRTC viewers let go");
                viewers.into_iter().for_each(|key| self.end(key, reason.clone(), now));
            }
        }
    }

    /// Gives these viewers what was made of their stream, or of a layer, and counts what was sent.
    fn serve_all(&mut self, viewers: &[u64], layer: Option<usize>, made: &[Shared], now: Instant) {
        let mut failed = Vec::new();
        let mut total = 0;
        for &key in viewers {
            match self.serve(key, layer, made, now) {
                Ok(sent) => total += sent,
                Err(ended) => failed.push((key, ended)),
            }
            if self.outbox.is_full() {
                self.outbox.pour();
            }
        }
        for (key, ended) in failed {
            self.end(key, ended, now);
        }
        let ticket = viewers.iter().find_map(|key| match &self.sessions.get(key)?.role {
            Role::Play { ticket, .. } => Some(ticket),
            Role::Publish { .. } => None,
        });
        if let Some(ticket) = ticket {
            ticket.count_sent(total);
        }
    }

    /// Gives a viewer what was made of its stream, or of a layer. Returns the bytes that were sent.
    fn serve(&mut self, key: u64, layer: Option<usize>, made: &[Shared], now: Instant) -> Result<u64, Ended> {
        let Some(session) = self.sessions.get_mut(&key) else { return Ok(0) };
        let sent = session.play(&mut self.outbox, now, |whep, sink| -> u64 {
            made.iter().map(|shared| whep.take(sink, layer, shared, now)).sum()
        });
        let (Some(sent), Role::Play { whep, ticket }) = (sent, &mut session.role) else { return Ok(0) };
        ticket.shows_layer(whep.showing());
        if let Some(format) = whep.lacks {
            return Err(Ended::Refused(format!("the stream's video is {format} now")));
        }
        if whep.asks_key(false, now) {
            ticket.request_key();
        }
        if sent > 0 || whep.has_waiting() {
            let before = session.deadline;
            if session.settle(now, &mut self.outbox) {
                self.reschedule(key, before);
            } else {
                session.tick(now, &mut self.outbox)?;
                self.drain(key, now);
            }
        }
        Ok(sent)
    }

    /// A layer is over: its viewers go on with the stream.
    fn lose_layer(&mut self, layer: usize, viewers: &[u64]) {
        for key in viewers {
            if let Some(session) = self.sessions.get_mut(key)
                && let Role::Play { whep, ticket } = &mut session.role
            {
                whep.lose(layer);
                if whep.need_key {
                    ticket.request_key();
                }
            }
        }
    }

    /// A viewer is gone.
    pub(super) fn left(&mut self, key: u64, name: &StreamName) {
        for view in [View::Shown, View::Raw] {
            if let Some(feed) = self.feeds.get_mut(&Source { name: name.clone(), view }) {
                feed.viewers.retain(|viewer| *viewer != key);
            }
        }
    }

    fn drop_idle_feed(&mut self, source: &Source) {
        if self.feeds.get(source).is_some_and(|feed| feed.viewers.is_empty())
            && let Some(feed) = self.feeds.remove(source)
        {
            feed.task.abort();
        }
    }

    /// Chooses among the layers of streams that have some, for each of their viewers.
    pub(super) fn adapt(&mut self, now: Instant) {
        let hub = &self.common.hub;
        let layered = |(source, feed): (&Source, &Feed)| {
            (feed.layer.is_none() && hub.is_layered(&source.name)).then(|| (source.clone(), feed.viewers.clone()))
        };
        let layered: Vec<_> = self.feeds.iter().filter_map(layered).collect();
        for (source, viewers) in layered {
            let layers = self.common.hub.layers(&source.name);
            if self.is_overlaid(&source) {
                viewers.into_iter().for_each(|key| self.leave_layers(key, &layers));
                continue;
            }
            // Until all are known; with one there is nothing to choose.
            if layers.iter().any(|layer| layer.bitrate == 0) || layers.is_empty() {
                continue;
            }
            for key in viewers {
                self.adapt_one(key, &source.name, &layers, now);
            }
        }
    }

    /// The viewer goes on with what the stream itself brings, from its next keyframe on.
    fn leave_layers(&mut self, key: u64, layers: &[Layer]) {
        if let Some(session) = self.sessions.get_mut(&key)
            && let Role::Play { whep, .. } = &mut session.role
        {
            whep.target = None;
        }
        self.drop_unwanted_layers(key, layers);
    }

    /// Layers that a viewer was sent before it changed over are not sent to it any more.
    fn drop_unwanted_layers(&mut self, key: u64, layers: &[Layer]) {
        let Some(Role::Play { whep, .. }) = self.sessions.get(&key).map(|session| &session.role) else { return };
        for layer in layers.iter().filter(|layer| !whep.wants(Some(layer.number))) {
            if let Some(feed) = self.feeds.get_mut(&Source::layer(layer)) {
                feed.viewers.retain(|viewer| *viewer != key);
            }
        }
    }

    /// `layers` are those that flow, the smallest first. The largest is what the stream itself carries.
    fn adapt_one(&mut self, key: u64, name: &StreamName, layers: &[Layer], now: Instant) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let Role::Play { whep, .. } = &mut session.role else { return };
        let last = layers.len() - 1;
        let rates: Vec<u64> = layers.iter().map(|layer| layer.bitrate).collect();
        let at = whep.target.and_then(|n| layers.iter().position(|layer| layer.number == n)).unwrap_or(last);
        let wanted = whep.choose(&mut session.rtc, &rates, at, now);
        let chosen = (wanted < last).then(|| &layers[wanted]);
        let target = chosen.map(|layer| layer.number);
        let changes = target != whep.target;
        whep.target = target;
        if changes || whep.adapts && whep.need_key || whep.asks_key(false, now) {
            self.common.hub.request_key(chosen.map_or(name, |layer| &layer.name));
        }
        if changes {
            tracing::debug!(stream = %name, key, layer = ?target, estimate = ?whep.choice.estimate(), "another layer");
            if let Some(layer) = chosen
                && self.feed_viewer(&Source::layer(layer), target, key).is_err()
                && let Some(session) = self.sessions.get_mut(&key)
                && let Role::Play { whep, .. } = &mut session.role
            {
                whep.lose(layer.number);
            }
        }
        self.drop_unwanted_layers(key, layers);
        self.tick(key, now);
    }
}

/// What there is of a stream for a viewer that comes, and the stream's time.
type Group = (Result<Vec<Shared>, Unfit>, i64);

/// Starts the task that brings a stream's frames to its viewers here.
fn start(hub: &Hub, source: &Source, number: u64, to: mpsc::Sender<ToWorker>) -> Result<AbortHandle, Ended> {
    let reader = Renditions::new(hub.clone()).read(&source.name, source.view, AUDIO)?;
    Ok(spawn_local(bring(reader, source.clone(), number, to)).abort_handle())
}

/// Starts the task that has a rendition without B-frames made, and brings that.
fn start_in_order(common: &Arc<Common>, source: &Source, number: u64, to: mpsc::Sender<ToWorker>) -> AbortHandle {
    let common = Arc::clone(common);
    let source = source.clone();
    let task = spawn_local(async move {
        let Some(in_order) = &common.in_order else { return };
        let opened = in_order
            .open(&source.published())
            .await
            .map_err(|why| Ended::Refused(format!("{} ({why})", Unfit::Reordered)));
        let renditions = Renditions::new(common.hub.clone());
        match opened.and_then(|name| renditions.read(&name, source.view, AUDIO)) {
            Ok(reader) => bring(reader, source, number, to).await,
            // A worker that is gone needs no reason.
            Err(reason) => drop(to.send(ToWorker::Unfed(source, number, reason)).await),
        }
    });
    task.abort_handle()
}

async fn bring(mut reader: Reader, source: Source, number: u64, to: mpsc::Sender<ToWorker>) {
    loop {
        let item = reader.next().await;
        let last = item.is_none();
        if to.send(ToWorker::Fed(source.clone(), number, item)).await.is_err() || last {
            return;
        }
    }
}
