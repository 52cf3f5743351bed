//! Who reads a stream, counted by protocol, here and in the figures of the hub. Knows no frames.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::figures::Tally;
use crate::ended::Ended;
use crate::name::Protocol;

pub(super) struct Readers {
    pub joined: u64,
    pub left: u64,
    pub tally: Arc<Tally>,
    /// Readers that are shown an overlay where there is one.
    pub shown: u32,
    counts: [u32; Protocol::ALL.len()],
    /// Those that are sent a layer in place of the stream itself, by its number.
    layers: BTreeMap<usize, u32>,
}

impl Readers {
    pub fn new(tally: Arc<Tally>) -> Self {
        Readers { joined: 0, left: 0, tally, shown: 0, counts: [0; Protocol::ALL.len()], layers: BTreeMap::new() }
    }

    /// Counts one that comes, unless it is a viewer and there are `most` of them. [`Ended::Limit`] says so.
    pub fn admit(&mut self, protocol: Protocol, most: usize) -> Result<(), Ended> {
        let views = |p: Protocol| !matches!(p, Protocol::Internal | Protocol::Relay);
        if views(protocol) && Protocol::ALL.into_iter().filter(|p| views(*p)).map(|p| self.by(p)).sum::<usize>() >= most
        {
            self.tally.refused();
            return Err(Ended::Limit("viewers of this stream"));
        }
        self.join(protocol);
        Ok(())
    }

    /// Whether there are players who have no way to ask for a keyframe.
    pub fn ask_nobody(&self) -> bool {
        [Protocol::Rtmp, Protocol::HttpFlv, Protocol::WsFlv].into_iter().any(|protocol| self.by(protocol) > 0)
    }

    /// Counts one that comes.
    pub fn join(&mut self, protocol: Protocol) {
        self.counts[protocol.index()] += 1;
        if protocol != Protocol::Internal {
            self.joined += 1;
            self.tally.joined(protocol);
        }
    }

    /// Counts one that goes.
    pub fn leave(&mut self, protocol: Protocol) {
        self.counts[protocol.index()] -= 1;
        if protocol != Protocol::Internal {
            self.left += 1;
            self.tally.left(protocol);
        }
    }

    /// One that came only to look goes, and was never here.
    pub fn withdraw(&mut self, protocol: Protocol) {
        self.counts[protocol.index()] -= 1;
        if protocol != Protocol::Internal {
            self.joined -= 1;
            self.tally.withdrew(protocol);
        }
    }

    /// One is sent another layer from now on; none: the stream itself.
    pub fn change_layer(&mut self, from: Option<usize>, to: Option<usize>) {
        if let Some(count) = from.and_then(|number| self.layers.get_mut(&number)) {
            *count -= 1;
        }
        if let Some(number) = to {
            *self.layers.entry(number).or_default() += 1;
        }
    }

    /// Viewers that are sent this layer.
    pub fn sent_layer(&self, number: usize) -> u32 {
        self.layers.get(&number).copied().unwrap_or(0)
    }

    /// Viewers by WebRTC that are sent the stream itself.
    pub fn sent_stream(&self) -> u32 {
        self.counts[Protocol::Whep.index()].saturating_sub(self.layers.values().sum())
    }

    /// Readers now that came by this protocol.
    pub fn by(&self, protocol: Protocol) -> usize {
        self.counts[protocol.index()] as usize
    }

    /// Players now that want each frame as soon as it is worth a wake.
    pub fn players(&self) -> usize {
        [Protocol::Rtmp, Protocol::HttpFlv, Protocol::WsFlv, Protocol::Relay].into_iter().map(|p| self.by(p)).sum()
    }

    /// Counts of the protocols that have readers now.
    pub fn list(&self) -> Vec<(Protocol, u32)> {
        Protocol::ALL.into_iter().map(|p| (p, self.counts[p.index()])).filter(|(_, n)| *n > 0).collect()
    }
}
